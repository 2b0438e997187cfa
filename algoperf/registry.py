"""Workload name -> spec. Workloads are found as `workloads/<family>/workload.py`; imports no framework.

A folder with a mistake is left out, with one line that says what is wrong; all other folders work.
"""

import contextlib
import dataclasses
import functools
import importlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from algoperf import commands, families, files, frameworks
from algoperf.spec import UsageError, no_such
from algoperf.workload import Family, WorkloadSpec

HOW_TO_LIST = "`python -m algoperf.registry` lists them all"

ROOT = Path(__file__).resolve().parent.parent / "workloads"

MORE_ROOTS = "ALGOPERF_WORKLOADS"
"""Environment variable with further root folders, or single workload folders, separated as in $PATH; child processes
inherit it."""


@dataclasses.dataclass(frozen=True)
class _Registry:
    """All families and workloads found under some roots."""

    folders: dict[str, Path] = dataclasses.field(default_factory=dict)
    """Family -> folder, for folders without mistakes."""
    specs: dict[str, WorkloadSpec] = dataclasses.field(default_factory=dict)
    """Workload name -> spec."""
    doubles: dict[str, str] = dataclasses.field(default_factory=dict)
    """Workload name defined by two folders -> one line about it; the name is then refused."""
    broken: dict[Path, str] = dataclasses.field(default_factory=dict)
    """Folder with a mistake -> one line about it."""


def roots() -> tuple[Path, ...]:
    """The folders in which families' folders lie: ours, then those of $ALGOPERF_WORKLOADS."""
    above = (place.parent if _is_family(place) else place for place in _more_places())
    return tuple(dict.fromkeys((ROOT, *above)))


def _more_places() -> tuple[Path, ...]:
    more = os.environ.get(MORE_ROOTS, "").split(os.pathsep)
    return tuple(files.expanded(root).resolve() for root in more if root)


def _is_family(place: Path) -> bool:
    return (place / "workload.py").exists()


def add_folder(folder: Path) -> Path:
    """Makes a workload folder known that lies anywhere, in this process and those that it starts.

    Returns the folder's path; its name is that of the family. Other folders beside it stay unknown.

    Raises:
      UsageError: if there is no such folder, it holds no workload.py, or that has a mistake.
    """
    folder = files.expanded(folder).resolve()
    if not folder.is_dir():
        raise UsageError(f"There is no folder {folder}: give that of a workload, which holds workload.py.")
    if not _is_family(folder):
        raise UsageError(
            f"{folder} holds no workload.py, where the facts of a workload are: see docs/adding_a_workload.md."
        )
    if folder not in (*discover().values(), *_registered().folders.values(), *_registered().broken):
        given = [part for part in os.environ.get(MORE_ROOTS, "").split(os.pathsep) if part]
        os.environ[MORE_ROOTS] = os.pathsep.join([*given, str(folder)])
    if reason := _registered().broken.get(folder):
        raise UsageError(reason)
    return folder


def add_place(place: Path | str | None) -> None:
    """Makes known what lies in a folder: one workload, as `add_folder` does, or several, each in a folder of its own.

    Raises:
      UsageError: if there is no workload in it.
    """
    if place is None:
        return
    folder = files.expanded(place).resolve()
    found = discover(folder) if folder.is_dir() and not _is_family(folder) else {}
    if not found:
        add_folder(folder)
    elif folder != ROOT and folder not in _more_places():
        given = [part for part in os.environ.get(MORE_ROOTS, "").split(os.pathsep) if part]
        os.environ[MORE_ROOTS] = os.pathsep.join([*given, str(folder)])


def discover(root: Path = ROOT) -> dict[str, Path]:
    """Family name -> folder, for every folder under `root` that holds a workload.py, or for `root` if it does."""
    if _is_family(root):
        return {root.name: root}
    return {path.parent.name: path.parent for path in sorted(root.glob("*/workload.py"))}


def _registered() -> _Registry:
    # All roots become one package `workloads`, because families import their own files as `workloads.<family>`.
    importlib.import_module("workloads").__path__[:] = [str(root) for root in roots()]
    return _registered_in((ROOT, *_more_places()))


@functools.cache
def _registered_in(places: tuple[Path, ...]) -> _Registry:
    importlib.invalidate_caches()  # Python caches directory listings; a folder may have been added since.
    found = _Registry()
    for family, folder in ((family, path) for root in places for family, path in discover(root).items()):
        try:
            if found.folders.get(family) == folder:
                continue  # Given alone, and with those beside it.
            if family in found.folders:
                raise UsageError(f"{folder} has the name of {found.folders[family]}: rename one.")
            declared = _declared(folder)
            specs = declared.specs()
        except UsageError as error:
            found.broken[folder] = _line(error)
            continue
        found.folders[family] = folder
        for name, workload_spec in specs.items():
            if name in found.specs or name in found.doubles:
                other = found.folders[found.specs[name].family] if name in found.specs else "others"
                found.doubles[name] = (
                    f"Two folders give a workload {name!r}, {other} and {folder}: rename one."
                )
                found.specs.pop(name, None)
            else:
                found.specs[name] = workload_spec
    return found


def _declared(folder: Path) -> Family:
    """`FAMILY` of a folder; UsageError if one of its files has a mistake."""
    place = families.shown(folder)
    try:
        module = importlib.import_module(f"workloads.{folder.name}.workload")
    # A module may raise anything when it is imported; one broken folder must not break the others.
    except (Exception, SystemExit) as error:
        text = f"{place}/workload.py cannot be imported: {type(error).__name__}: {error}"
        raise UsageError(text) from error
    declared = families.read(module, families.WorkloadFile).FAMILY
    if not isinstance(declared, Family):
        raise UsageError(f"{place}/workload.py: FAMILY must be a Family, got {declared!r}.")
    if declared.base.family != folder.name:
        raise UsageError(
            f"{place}/workload.py says family={declared.base.family!r}; it must be the name of its folder."
        )
    reason = families.problem(folder, has_mini=declared.mini is not None)
    if reason is not None:
        raise UsageError(reason)
    return declared


def _line(error: UsageError) -> str:
    return " ".join(str(error).split())


def broken() -> dict[Path, str]:
    """Every workload folder with a mistake -> one line that says what is wrong."""
    return dict(_registered().broken)


def names(mini: bool | None = None) -> list[str]:
    """All workload names, sorted; `mini` True or False keeps only one kind."""
    specs = _registered().specs
    return sorted(name for name, found in specs.items() if mini is None or found.is_mini == mini)


def get(name: str) -> WorkloadSpec:
    """The spec of a workload.

    Raises:
      UsageError: if there is no workload of that name, or its folder has a mistake.
    """
    found = _registered()
    if name in found.specs:
        return found.specs[name]
    if name in found.doubles:
        raise UsageError(found.doubles[name])
    reasons = {folder.name: reason for folder, reason in found.broken.items()}
    own = [reason for family, reason in reasons.items() if name == family or name.startswith(f"{family}_")]
    if own:
        raise UsageError(" ".join(own))
    left_out = f" Left out: {' '.join(reasons.values())}" if reasons else ""
    raise UsageError(f"{no_such('workload', name, list(found.specs), HOW_TO_LIST)}{left_out}")


# ---- the files of a family -------------------------------------------------------------------------------------------


def data_module(workload_spec: WorkloadSpec) -> families.DataFile:
    """`workloads/<family>/data.py`: raw files -> prepared files -> numpy batches.

    Raises:
      UsageError: if a package that it needs is not installed.
    """
    with data_packages(workload_spec):
        return families.read(_module(workload_spec.family, "data"), families.DataFile)


@contextlib.contextmanager
def data_packages(workload_spec: WorkloadSpec) -> Iterator[None]:
    """Within this context, a ModuleNotFoundError becomes a UsageError that says how to install the package."""
    try:
        yield
    except ModuleNotFoundError as error:
        # A missing module of our own is a mistake in the code, which no installation repairs.
        if error.name is None or error.name.split(".")[0] in ("algoperf", "workloads"):
            raise
        raise UsageError(
            f"The data of workload {workload_spec.name!r} need the package {error.name!r}, which is not installed: "
            "run `pip install -e '.[data]' -c constraints.txt`."
        ) from error


def download_module(workload_spec: WorkloadSpec) -> families.DownloadFile | None:
    """`workloads/<data set>/download.py`; None if the user has to download the raw files by hand."""
    if not _has(workload_spec.dataset, "download"):
        return None
    return families.read(_module(workload_spec.dataset, "download"), families.DownloadFile)


def model_module(workload_spec: WorkloadSpec, framework: str) -> families.ModelFile:
    """`workloads/<family>/model_<suffix>.py`; the suffix is that of the framework, given by name or alias.

    Raises:
      UsageError: if the workload has no model in this framework.
    """
    suffix = frameworks.get(framework).suffix
    family, stem = workload_spec.family, f"model_{suffix}"
    if not _has(family, stem):
        raise UsageError(
            f"Workload {workload_spec.name!r} has no model in {framework}: workloads/{family}/{stem}.py is missing."
        )
    return families.read(_module(family, stem), families.MODEL_FILES.get(suffix, families.ModelFile))


def has_model(workload_spec: WorkloadSpec, framework: str) -> bool:
    """Whether the workload has a model in a framework, given by name or alias; imports nothing of either."""
    return _has(workload_spec.family, f"model_{frameworks.get(framework).suffix}")


def metrics_module(workload_spec: WorkloadSpec) -> families.MetricsFile:
    """`workloads/<family>/metrics.py`, or the default averages."""
    if not _has(workload_spec.family, "metrics"):
        return families.MetricsFile()
    return families.read(_module(workload_spec.family, "metrics"), families.MetricsFile)


def weights_module(workload_spec: WorkloadSpec) -> families.WeightsFile:
    """`workloads/<family>/weights.py`: one framework's weights in the layouts of the other."""
    return families.read(_module(workload_spec.family, "weights"), families.WeightsFile)


def _has(folder: str, stem: str) -> bool:
    return any((root / folder / f"{stem}.py").exists() for root in roots())


def _module(folder: str, stem: str) -> ModuleType:
    _registered()  # Sets up the package `workloads` with all roots.
    return importlib.import_module(f"workloads.{folder}.{stem}")


def main(argv: Sequence[str]) -> None:
    """Prints the names of all workloads, each base before its variants and twins."""
    del argv
    for family in discover():
        members = [name for name in names() if get(name).family == family]
        print("\n".join(sorted(members, key=lambda name: (len(name), name))))


if __name__ == "__main__":
    commands.run(main)
