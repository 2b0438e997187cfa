"""Runs the conformance checks on a workload folder, wherever it lies: what to run before asking for it to be taken in.

    for result in check(Path("~/my_workloads/diabetes"), frameworks=None):
        print(result.line())

The checks are those of the project's own workloads (`tests/helpers/conformance.py`); their data are made small, in a
temporary folder. The folder becomes known by `registry.add_folder`; nothing in the project changes.
"""

import contextlib
import dataclasses
import enum
import importlib
import os
import sys
import tempfile
import traceback
import unittest
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

from algoperf import frameworks, registry
from algoperf.spec import UsageError

_INSTALLED = Path(__file__).resolve().parent / "conformance_checks"
HELPERS = _INSTALLED if _INSTALLED.is_dir() else Path(__file__).resolve().parents[1] / "tests" / "helpers"
"""Where the checks are: beside this file in a wheel (`setup.py`), else with the tests."""
MAX_DETAIL = 400
"""Characters of what is said of a failing check."""
ENVIRONMENT = {
    # Each compiled function runs a few times, so a quick compiler matters more than quick code.
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
    "OMP_NUM_THREADS": "1",
}


class Verdict(enum.StrEnum):
    """How a check ended."""

    OK = "ok"
    FAILED = "FAILED"
    SKIPPED = "skipped"


@dataclasses.dataclass(frozen=True)
class Result:
    """One check on one workload."""

    workload: str
    check: str
    """A sentence."""
    frameworks: tuple[str, ...]
    verdict: Verdict
    detail: str = ""
    """Why it failed or was skipped."""

    def line(self) -> str:
        """One line for people."""
        where = " ".join([self.workload, *([f"({', '.join(self.frameworks)})"] if self.frameworks else [])])
        return f"{self.verdict:7}  {where}: {self.check}" + (f" -- {self.detail}" if self.detail else "")


def check(folder: Path, framework: str | None = None) -> Iterator[Result]:
    """Runs all checks on the workloads of a folder, one after the other.

    Args:
      folder: that holds workload.py.
      framework: the only one to look at; all that are installed by default.

    Raises:
      UsageError: before the first check, if there is no such folder or it declares no workload, the framework is none
        or not installed, or there is no workload with little data in it.
    """
    chosen = _frameworks(framework)
    place = registry.add_folder(folder)
    conformance, names = _suite(place.name)
    return _results(conformance, names, chosen, place)


def _frameworks(given: str | None) -> tuple[str, ...]:
    if given is not None:
        one = frameworks.get(given)
        one.check_installed()
        return (one.name,)
    # PyTorch first: its checks need no compilation, so mistakes show sooner.
    found = tuple(one.name for one in reversed(frameworks.FRAMEWORKS) if not one.missing_packages())
    if not found:
        raise UsageError(
            "No framework is installed to check a workload with: pip install -e '.[jax,torch,data]'."
        )
    return found


def _suite(family: str) -> tuple[ModuleType, list[str]]:
    """The module of the checks, and the workloads of a family that they can run on."""
    if not (HELPERS / "conformance.py").exists():
        raise UsageError(
            f"The conformance checks are not in {HELPERS}: run check_workload.py in a clone of the project."
        )
    if str(HELPERS) not in sys.path:
        sys.path.append(str(HELPERS))
    bound_workloads = importlib.import_module("bound_workloads")
    names = [name for name in registry.names() if registry.get(name).family == family]
    small = [name for name in names if bound_workloads.is_small(registry.get(name))]
    if not small:
        raise UsageError(
            f"No workload of {family!r} has data that are made here: give the family a mini version "
            "(mini=Variant(...) in workload.py and synthesize in data.py)."
        )
    return importlib.import_module("conformance"), small


def _results(
    conformance: ModuleType, names: list[str], chosen: tuple[str, ...], folder: Path
) -> Iterator[Result]:
    for key, value in ENVIRONMENT.items():
        os.environ.setdefault(key, value)
    yield _result(
        names[0], "the README shows a command that runs it", (), lambda: _see_readme(folder), folder
    )
    seen_data = set()
    with tempfile.TemporaryDirectory() as data_dir:
        for name in sorted(names, key=lambda name: (registry.get(name).variant is not None, name)):
            # Variants that share their data need not show it each.
            data = str(registry.get(name).data)
            for one in conformance.checks_of(name, Path(data_dir), chosen, with_data=data not in seen_data):
                yield _result(name, one.name.replace("_", " "), one.frameworks, one.run, folder)
            seen_data.add(data)


def _see_readme(folder: Path) -> None:
    readme = folder / "README.md"
    assert readme.is_file(), f"{readme.name} is missing: it says where the numbers of workload.py come from"
    assert "--workload=" in readme.read_text(encoding="utf-8"), (
        f"{readme.name} shows no command with --workload="
    )


def _result(
    workload: str, sentence: str, chosen: tuple[str, ...], run: Callable[[], None], folder: Path
) -> Result:
    try:
        with _own_output():
            run()
    except unittest.SkipTest as reason:
        return Result(workload, sentence, chosen, Verdict.SKIPPED, str(reason))
    except Exception as error:  # The code of the workload may raise anything.
        return Result(workload, sentence, chosen, Verdict.FAILED, _words(error, folder))
    return Result(workload, sentence, chosen, Verdict.OK)


@contextlib.contextmanager
def _own_output() -> Iterator[None]:
    """Lines of results alone go to stdout; what a workload prints goes to stderr."""
    with contextlib.redirect_stdout(sys.stderr):
        yield


def _words(error: Exception, folder: Path) -> str:
    """What an error says, and where in the folder, or else which line of the check, it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if Path(frame.filename).resolve().is_relative_to(folder)]
    text = " ".join(str(error).split())
    if isinstance(error, AssertionError) and not own:
        text = text or (frames[-1].line or "assertion failed")
    elif not isinstance(error, UsageError):
        text = f"{type(error).__name__}: {text}"
    if own:
        text = f"{Path(own[-1].filename).name}:{own[-1].lineno}: {text}"
    return text if len(text) <= MAX_DETAIL else text[: MAX_DETAIL - 1] + "…"
