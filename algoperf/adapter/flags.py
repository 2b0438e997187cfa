"""The flags of commands that take submissions: `--set` and `--eject`, and what they make of optimizers."""

import contextlib
import dataclasses
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from absl import flags

from algoperf import files
from algoperf.adapter import given
from algoperf.adapter.adapt import as_submission
from algoperf.adapter.named import is_optimizer
from algoperf.settings import RunSettings
from algoperf.spec import UsageError

FOLDER = "adapted"
"""Below --experiment_dir: the submissions that optimizers have become."""


def define(*, ejects: bool = True, into: flags.FlagValues = flags.FLAGS) -> None:
    """Defines --set and, for commands that run one submission, --eject."""
    flags.DEFINE_multi_string(
        "set",
        [],
        "Arguments of an optimizer that is given as the submission, and what all share: --set lr=1e-3 --set "
        "schedule=constant, or --set lr=1e-3,schedule=constant; see docs/optimizers.md.",
        flag_values=into,
    )
    if ejects:
        flags.DEFINE_string(
            "eject",
            None,
            "Write the submission that the optimizer becomes to this new folder, and run nothing.",
            flag_values=into,
        )


def ejected(settings: RunSettings, values: flags.FlagValues = flags.FLAGS) -> bool:
    """Whether --eject has asked for the folder of an optimizer alone, which is then written."""
    folder = values["eject"].value
    if folder is None:
        return False
    if settings.given_submission is None:
        raise UsageError("Say which optimizer to write as a submission: --submission=torch.optim.AdamW.")
    path = files.expanded(folder)
    _adapted([settings.given_submission], settings, path.parent, values, path)
    print(f"Written to {folder}: run it with --submission={folder}.")
    return True


def settled(settings: RunSettings, values: flags.FlagValues = flags.FLAGS) -> RunSettings:
    """The settings of a run, with its optimizer as a submission below the experiment folder.

    Raises:
      UsageError: if the optimizer, or what is set, cannot be used.
    """
    if settings.given_submission is None:
        return settings
    root = files.expanded(settings.experiment_dir)
    (path,), found = settled_all([settings.given_submission], settings, root, values)
    return dataclasses.replace(found, submission=path, submission_path=None)


def settled_all(
    whats: Sequence[str],
    settings: RunSettings,
    experiment_dir: Path,
    values: flags.FlagValues = flags.FLAGS,
) -> tuple[tuple[str, ...], RunSettings]:
    """(paths of submissions, also in place of optimizers; the settings that are left to them).

    Raises:
      UsageError: if an optimizer, or what is set, cannot be used.
    """
    if not whats:
        return (), settings
    optimizers = [what for what in whats if is_optimizer(what)]
    if settings.tuning_search_space and optimizers and len(optimizers) < len(whats):
        raise UsageError(
            f"--tuning_search_space={settings.tuning_search_space} would be of {optimizers[0]}, and of other "
            "submissions with other names: give them in commands of their own, or leave it out."
        )
    paths = _adapted(whats, settings, experiment_dir / FOLDER, values)
    if optimizers and settings.tuning_ruleset == "external":
        # Each folder holds the search space, together with what is set.
        settings = dataclasses.replace(settings, tuning_search_space=None)
    return tuple(paths), settings


@contextlib.contextmanager
def for_a_while(what: str, framework: str | None, values: flags.FlagValues = flags.FLAGS) -> Iterator[str]:
    """The path of a submission; of an optimizer, one that is gone after the block."""
    with tempfile.TemporaryDirectory() as root:
        yield _adapted([what], RunSettings(framework=framework), Path(root), values)[0]


def _adapted(
    whats: Sequence[str],
    settings: RunSettings,
    root: Path,
    values: flags.FlagValues,
    eject: Path | None = None,
) -> list[str]:
    """Paths of submissions, of which optimizers are written below `root`, or to `eject`."""
    asked = given.parse(values["set"].value or ())
    for name in asked:
        _check_is_for_one(name, whats)
    space = settings.tuning_search_space if settings.tuning_ruleset == "external" else None
    paths = []
    for what in whats:
        own = of_one(what, asked)
        if is_optimizer(what) or eject is not None or (own and not any(map(is_optimizer, whats))):
            path = as_submission(
                what, framework=settings.framework, settings=own, root=root, search_space=space, eject=eject
            )
            what = str(path)
        paths.append(what)
    return paths


def of_one(what: str, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of one optimizer of several: those for all, and in their place those with its name and a colon.

    >>> of_one("torch.optim.SGD", {"lr": 0.1, "SGD:momentum": 0.9, "Adam:lr": 0.01})
    {'lr': 0.1, 'momentum': 0.9}
    """
    for_all = {name: value for name, value in asked.items() if ":" not in name}
    parts = ((name.rpartition(":"), value) for name, value in asked.items() if ":" in name)
    return for_all | {own: value for (which, _, own), value in parts if _is_called(what, which)}


def _check_is_for_one(name: str, whats: Sequence[str]) -> None:
    which, colon, _ = name.rpartition(":")
    if colon and not any(is_optimizer(what) and _is_called(what, which) for what in whats):
        raise UsageError(
            f"--set {name}=…: no optimizer among {', '.join(whats)} is called {which!r}; give --set <name>=<value> for "
            "all, or begin with the end of an optimizer's name and a colon."
        )


def _is_called(what: str, which: str) -> bool:
    return what == which or what.replace(":", ".").endswith(f".{which}")
