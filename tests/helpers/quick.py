"""`pytest --quick`: the tests that need no framework and no process of their own, without a list of them.

Which these are shows when they run: what would import a framework or start Python is refused, and the test, or the
whole file if its first lines are at fault, counts as *not quick*. So a quick run holds the rule by itself, a test that
begins to need a framework leaves it without anybody's doing, and no time goes into imports. Tests of pure Python that
take seconds are marked `slow` by hand; `make quick` shows those that should be.

What could go unseen is that all tests of a package leave, for example because it imports a framework at its top.
Therefore a quick run of everything fails unless a test of every package has passed.
"""

import importlib.abc
import importlib.machinery
import multiprocessing.process
import subprocess
import sys
import threading
import types
from collections.abc import Callable, Sequence

import pytest

FRAMEWORK_PACKAGES = ("jax", "flax", "optax", "torch", "tensorflow")
REFUSED = "not quick: "


def refuse(what: str) -> None:
    """Skips the test that runs, or the file that is collected; what it raises passes any `except Exception`."""
    pytest.skip(REFUSED + what, allow_module_level=True)


class _FrameworkLoader(importlib.abc.Loader):
    """Stands in for the loader, not for the finder: whether a framework is installed has its usual answer."""

    def exec_module(self, module: types.ModuleType) -> None:
        refuse(f"needs {module.__name__}")


class _FrameworkFinder(importlib.abc.MetaPathFinder):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname not in FRAMEWORK_PACKAGES or not importlib.machinery.PathFinder.find_spec(fullname):
            return None
        return importlib.machinery.ModuleSpec(fullname, _FrameworkLoader())


def _starts_python(_process: object, args: object, *_others: object, **_options: object) -> bool:
    return sys.executable in (map(str, args) if isinstance(args, list | tuple) else str(args))


def _refusing(start: Callable[..., None], is_refused: Callable[..., bool]) -> Callable[..., None]:
    """`start`, which the main thread may not call; another one cannot skip the test, and the test may wait for it."""

    def refused_or_started(*args: object, **options: object) -> None:
        if threading.current_thread() is threading.main_thread() and is_refused(*args, **options):
            refuse("starts a process")
        start(*args, **options)

    return refused_or_started


class Quick:
    """The hooks of a quick run; in a worker of xdist, or in the only process."""

    def __init__(self, config: pytest.Config) -> None:
        assert not sys.modules.keys() & set(FRAMEWORK_PACKAGES), (
            "a conftest.py or a plugin imports a framework"
        )
        self.config = config
        self.passed: set[str] = set()
        self.missing: list[str] = []
        is_controller = config.getoption("numprocesses", None) and not hasattr(config, "workerinput")
        if not is_controller:  # which starts the workers
            sys.meta_path.insert(0, _FrameworkFinder())
            subprocess.Popen.__init__ = _refusing(subprocess.Popen.__init__, _starts_python)
            start = multiprocessing.process.BaseProcess.start
            multiprocessing.process.BaseProcess.start = _refusing(start, lambda process: True)

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        slow = [item for item in items if item.get_closest_marker("slow")]
        self.config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in slow]

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Two thousand letters for what is left out would hide the others."""
        if report.skipped and REFUSED in str(report.longrepr):
            return "not quick", "", "NOT QUICK"
        return None

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            parts = report.nodeid.split("::")[0].split("/")
            self.passed.add(parts[1] if parts[0] == "tests" else parts[0])

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        option = self.config.option
        is_worker = hasattr(self.config, "workerinput")
        is_whole = self.config.args_source is pytest.Config.ArgsSource.TESTPATHS
        if exitstatus == 0 and is_whole and not (is_worker or option.keyword or option.collectonly):
            packages = set(self.config.getini("testpaths")) - {"tests"}
            self.missing = sorted(packages - self.passed)
            session.exitstatus = pytest.ExitCode.TESTS_FAILED if self.missing else exitstatus

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for package in self.missing:
            terminalreporter.write_line(
                f"error: no quick test of {package}/ has passed: what does it import?"
            )
