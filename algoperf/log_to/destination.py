"""What a destination of `--log_to` has to be, and what it gets: points, one for each row of the records."""

import dataclasses
import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol, cast


class Point(NamedTuple):
    """The numbers of one row."""

    step: int
    """Updates so far."""
    values: Mapping[str, float]
    """Name -> value. Names open with a word and '/': `training/loss` and what else the submission logs,
    `train/…`, `validation/…` and `test/…` of evaluations, `clock/…_sec`, `memory/…_bytes`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class About:
    """What a destination may know of a trial."""

    folder: Path
    """Of the trial."""
    root: Path
    """Of all results: `--experiment_dir`."""
    name: str
    """`<submission>/study_<s>/<workload>_<framework>/trial_<t>`."""
    group: str
    """The trials of one study on one workload have the same."""
    facts: Mapping[str, str | int | float | None]
    """Settings and hyperparameters that people filter by."""


class Destination(Protocol):
    """Where points go. Whatever a method raises becomes a warning, and the same points come once more later."""

    @property
    def run(self) -> str:
        """By which name another process goes on with the same run."""

    def send(self, points: Sequence[Point]) -> None:
        """Sends points, in the order in which the rows were written; steps never go down."""

    def end(self, status: str | None) -> None:
        """Called once, at the end: with the trial's status, or None where a later command may continue it."""


class Module(Protocol):
    """A file `to_<name>.py`; it imports its package in `make`, and not before."""

    PACKAGE: str
    """By import name."""

    def make(self, about: About, run: str | None) -> Destination:
        """The destination of a trial; `run` is that of an earlier process, which is continued."""


def module_of(name: str) -> Module:
    """The module of a destination, by its name in `settings.DESTINATIONS`."""
    return cast(Module, importlib.import_module(f"algoperf.log_to.to_{name}"))
