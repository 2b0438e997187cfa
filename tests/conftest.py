"""Shared fixtures; the repository root is importable whether or not the package is installed."""

import atexit
import gc
import os
import shutil
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("bound_workloads", "conformance")

# They hold no doctests, and modules of one name cannot all be collected.
collect_ignore_glob = ["*conftest.py", "helpers/*", "workloads/mistakes/*"]

# Examples are a function of the test, so that a run fails for what was changed and not by the draw of the day.
settings.register_profile("repeatable", derandomize=True, deadline=None)  # Machines may be busy.
settings.load_profile("repeatable")

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
sys.path.append(str(ROOT / "tests" / "helpers"))

# Small models on two cores are quicker, and runs more alike, with one thread per process.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# Compiled functions are shared by all tests of a session and the processes that they start: compiling a training
# step takes seconds, and the same ones come up again and again. Trials would not use what others compiled.
os.environ.setdefault("ALGOPERF_KEEP_COMPILE_CACHE", "1")
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    os.environ["JAX_COMPILATION_CACHE_DIR"] = tempfile.mkdtemp(prefix="algoperf-tests-jax-")
    atexit.register(shutil.rmtree, os.environ["JAX_COMPILATION_CACHE_DIR"], ignore_errors=True)
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "0")
# Tests run each step a few times, so a quick compiler matters more than quick code (6 s -> 2 s for digits).
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")


def pytest_addoption(parser):
    parser.addoption(
        "--quick", action="store_true", help="Leave out what needs a framework, a process or seconds."
    )


def pytest_configure(config):
    """Hooks for all that is collected; hooks in this file would not see the doctests beside `tests/`."""
    import collecting
    import quick

    config.pluginmanager.register(collecting)
    if config.getoption("quick"):
        config.pluginmanager.register(quick.Quick(config))


MAX_MAPS = 25_000
"""Of a process's memory, see below; Linux allows 65,530 (vm.max_map_count)."""


@pytest.fixture(autouse=True, scope="module")
def _compiled_code_is_given_back():
    """Every compiled function of JAX takes some maps of memory, and a process that has no more of them crashes."""
    yield
    maps = Path("/proc/self/maps")
    num_maps = maps.read_bytes().count(b"\n") if maps.exists() else 0
    if num_maps > MAX_MAPS and "jax" in sys.modules:
        sys.modules["jax"].clear_caches()
        gc.collect()


@pytest.fixture(autouse=True)
def _machine_counts_as_free(monkeypatch):
    """Tests that run trials do not look whether the machine is busy: it may be, and looking takes 0.3 s each time.

    Nor is each of their trials to tell that tests share what they compile.
    """
    from algoperf import machine
    from algoperf.backends import compile_caches

    monkeypatch.setattr(machine, "busy_warning", lambda: None)
    if compile_caches.are_kept():
        monkeypatch.setattr(compile_caches, "warnings", list)


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium, one for all tests of a process; skips where there is none."""
    import browsers

    with browsers.chromium() as running:
        yield running
