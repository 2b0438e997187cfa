"""`run_benchmark.py study.yaml`: the file's values take the place of flags that were not given."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from algoperf import files
from algoperf.adapter import as_submission
from algoperf.adapter import flags as adapter_flags
from algoperf.settings import marks
from algoperf.spec import UsageError
from campaign import study

PATHS = ("suite", "tuning_search_space", "data_dir", "workload_path")


def settle(arguments: Sequence[str], given: flags.FlagValues = flags.FLAGS) -> None:
    """Sets flags from a study file, where one is given; what the command line says stays, and is named on stderr.

    Args:
      arguments: the command line without flags: the path of a study file, or nothing.
      given: the flags of run_benchmark.py.

    Raises:
      UsageError: as `study.read`; if no folder for the results is named.
    """
    if arguments:
        found = study.read(files.expanded(arguments[0]))
        values = found.flags()
        overridden = [name for name, value in values.items() if not _set(given, name, value, found.path)]
        if overridden:
            said = ", ".join(
                f"--{name}={_shown(given[name].value)} ({_shown(values[name])} there)" for name in overridden
            )
            print(f"From the command line, in place of {found.path}: {said}.", file=sys.stderr)
        if "submissions" not in overridden:
            given["submissions"].value = _submissions(values["submissions"], found.path, given)
    if given["experiment_dir"].value is None:
        raise UsageError(
            "--experiment_dir is missing: give --experiment_dir=<value>, or experiment_dir in a study file. Root of "
            "the results."
        )


def _set(given: flags.FlagValues, name: str, value: Any, path: Path) -> bool:
    """Sets a flag, if the command line has not; returns whether it did."""
    if name not in given:
        if not value:
            return True  # As it is without: first_study: 0.
        raise UsageError(f"{path}: {name!r} means nothing to this command; it has no --{name}.")
    aliases = marks()[name].aliases if name in marks() else ()
    if any(given[one].present for one in (name, *aliases) if one in given):
        return False
    if name in PATHS:
        value = study.paths_from(path, value)
    if name != "submissions":
        given[name].value = value
    return True


def _submissions(entries: Sequence[Any], path: Path, given: flags.FlagValues) -> list[str]:
    """Names and folders; an optimizer with settings of its own becomes a folder of the campaign."""
    found = []
    for entry in entries:
        if isinstance(entry, str):
            found.append(study.paths_from(path, entry))
        elif "set" not in entry:
            found.append(study.paths_from(path, entry["optimizer"]))
        else:
            found.append(_adapted(study.paths_from(path, entry["optimizer"]), entry["set"], path, given))
    return found


def _adapted(optimizer: str, settings: dict[str, Any], path: Path, given: flags.FlagValues) -> str:
    if given["experiment_dir"].value is None:
        raise UsageError(f"{path}: say where results go, experiment_dir: <folder>.")
    space = given["tuning_search_space"].value
    if space is not None and given["tuning_ruleset"].value == "external":
        raise UsageError(
            f"{path}: 'set' makes one point of {optimizer}, and tuning_search_space, {space}, is of all submissions: "
            "leave one of them out. --set on the command line fixes values beside a search space."
        )
    root = files.expanded(given["experiment_dir"].value).resolve() / adapter_flags.FOLDER
    framework = given["framework"].value
    return str(as_submission(optimizer, framework=framework, settings=settings, root=root))


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(one if isinstance(one, str) else one["optimizer"] for one in value)
    return value if isinstance(value, str) else json.dumps(value)
