"""Workload names -> specs, found by looking for `workloads/<family>/workload.py`; imports no framework."""

import contextlib
import functools
import importlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import ModuleType

from algoperf import commands, frameworks
from algoperf.spec import UsageError, no_such
from algoperf.workload import Family, WorkloadSpec

HOW_TO_LIST = "`python -m algoperf.registry` lists them all"

ROOT = Path(__file__).resolve().parent.parent / "workloads"


def discover(root: Path = ROOT) -> dict[str, Path]:
    """Family name -> folder, for every folder under `root` that holds a workload.py."""
    return {path.parent.name: path.parent for path in sorted(root.glob("*/workload.py"))}


@functools.cache
def _specs() -> dict[str, WorkloadSpec]:
    found: dict[str, WorkloadSpec] = {}
    for family in discover():
        declared: Family = importlib.import_module(f"workloads.{family}.workload").FAMILY
        found.update(declared.specs())
    return found


def names(mini: bool | None = None) -> list[str]:
    """All workload names, sorted; `mini` True or False keeps only one kind."""
    return sorted(name for name, found in _specs().items() if mini is None or found.is_mini == mini)


def get(name: str) -> WorkloadSpec:
    """The spec of a workload.

    Raises:
      UsageError: if there is none of that name.
    """
    specs = _specs()
    if name not in specs:
        raise no_such("workload", name, list(specs), HOW_TO_LIST)
    return specs[name]


def data_module(workload_spec: WorkloadSpec) -> ModuleType:
    """`workloads/<family>/data.py`: raw files -> prepared files -> numpy batches.

    Raises:
      UsageError: if a package that it needs is not installed.
    """
    with data_packages(workload_spec):
        return importlib.import_module(f"workloads.{workload_spec.family}.data")


@contextlib.contextmanager
def data_packages(workload_spec: WorkloadSpec) -> Iterator[None]:
    """Within this context, a missing package becomes advice on how to install it."""
    try:
        yield
    except ModuleNotFoundError as error:
        if error.name is None or error.name.split(".")[0] in ("algoperf", "workloads"):
            raise
        raise UsageError(
            f"The data of workload {workload_spec.name!r} need the package {error.name!r}, which is not installed: "
            "run `pip install -e '.[data]' -c constraints.txt`."
        ) from error


def model_module(workload_spec: WorkloadSpec, framework: str) -> ModuleType:
    """`workloads/<family>/model_<suffix>.py`, with the suffix of the framework of that name ('torch' will do).

    Raises:
      UsageError: if the workload has no model in this framework.
    """
    name = f"workloads.{workload_spec.family}.model_{frameworks.get(framework).suffix}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise UsageError(
            f"Workload {workload_spec.name!r} has no model in {framework}: {name.replace('.', '/')}.py is missing."
        ) from None


def metrics_module(workload_spec: WorkloadSpec) -> ModuleType | None:
    """`workloads/<family>/metrics.py`, or None where the default averages do."""
    if not (ROOT / workload_spec.family / "metrics.py").exists():
        return None
    return importlib.import_module(f"workloads.{workload_spec.family}.metrics")


def main(argv: Sequence[str]) -> None:
    """Prints the names of all workloads, each base before its variants and twins."""
    del argv
    for family in discover():
        members = [name for name in names() if get(name).family == family]
        print("\n".join(sorted(members, key=lambda name: (len(name), name))))


if __name__ == "__main__":
    commands.run(main)
