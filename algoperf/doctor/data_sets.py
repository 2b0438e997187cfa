"""The data sets: which are ready, which are missing or were left half done, and the command that mends it."""

import dataclasses
import enum
from collections.abc import Iterable, Iterator
from pathlib import Path

from algoperf import registry
from algoperf.data import locate
from algoperf.doctor.line import DATA, Line, Mark
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec


class Condition(enum.StrEnum):
    """Of a data set."""

    READY = "ready"
    ON_FIRST_USE = "made on first use"
    MISSING = "missing"
    INCOMPLETE = "incomplete"
    """Something is there: a download or a preparation that stopped, or files of another version."""
    DAMAGED = "damaged"
    NO_PACKAGE = "not to be read"
    """A package is missing that its files need."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DataSet:
    """One data set, which several workloads may share."""

    name: str
    """As --dataset of datasets/dataset_setup.py has it."""
    is_mini: bool
    workloads: tuple[str, ...]
    folder: Path | None
    """None where it has no files."""
    condition: Condition
    next_step: str | None = None

    @property
    def is_usable(self) -> bool:
        """Whether a trial can begin."""
        return self.condition in (Condition.READY, Condition.ON_FIRST_USE)


def found(data_dir: str | None) -> list[DataSet]:
    """All data sets of all workloads, full-size ones last.

    Args:
      data_dir: root of prepared data; None for the default.
    """
    specs: dict[str, list[WorkloadSpec]] = {}
    for name in registry.names():
        spec = registry.get(name)
        specs.setdefault(locate.dataset_name(spec), []).append(spec)
    sets = [_of(name, group, data_dir) for name, group in specs.items()]
    return sorted(sets, key=lambda one: (not one.is_mini, one.name))


def _of(name: str, specs: list[WorkloadSpec], data_dir: str | None) -> DataSet:
    # The base stands for its variants; of two families with the same data, either.
    first = min(specs, key=lambda spec: (spec.variant is not None, len(spec.name)))
    known = DataSet(
        name=name,
        is_mini=first.is_mini,
        workloads=tuple(spec.name for spec in specs),
        folder=None,
        condition=Condition.READY,
    )
    try:
        module = registry.data_module(first)
        if not module.NEEDS_FILES:
            return dataclasses.replace(known, is_mini=True)
        folder = locate.folder_of(first, data_dir)
    except UsageError as error:
        return dataclasses.replace(known, condition=Condition.NO_PACKAGE, next_step=str(error))
    known = dataclasses.replace(known, folder=folder)
    command = locate.setup_command(first, folder)
    try:
        if module.is_ready(first, folder):
            return known
    except (UsageError, OSError) as error:
        step = f"{str(error).rstrip('.')}; then: {command}"
        return dataclasses.replace(known, condition=Condition.DAMAGED, next_step=step)
    if first.is_mini:
        return dataclasses.replace(known, condition=Condition.ON_FIRST_USE)
    is_there = folder.is_dir() and any(folder.iterdir())
    condition = Condition.INCOMPLETE if is_there else Condition.MISSING
    return dataclasses.replace(known, condition=condition, next_step=command)


def lines(sets: Iterable[DataSet]) -> Iterator[Line]:
    """One for each condition of small and of full-size data, with all names; one each for what is not in order."""
    groups: dict[tuple[bool, Condition], list[DataSet]] = {}
    for one in sets:
        groups.setdefault((one.is_mini, one.condition), []).append(one)
    for (is_mini, condition), members in groups.items():
        kind = "mini" if is_mini else "full size"
        names = ", ".join(one.name for one in members)
        if condition in (Condition.READY, Condition.ON_FIRST_USE):
            yield Line(group=DATA, name=kind, mark=Mark.OK, words=f"{condition}: {names}")
        elif condition is Condition.MISSING:
            step = (members[0].next_step or "").replace(f"--dataset={members[0].name}", "--dataset=<name>")
            yield Line(group=DATA, name=kind, mark=Mark.NONE, words=f"{condition}: {names}", next_step=step)
        else:
            for one in members:
                words = f"{condition}: {one.name}"
                yield Line(group=DATA, name=kind, mark=Mark.WARN, words=words, next_step=one.next_step)
