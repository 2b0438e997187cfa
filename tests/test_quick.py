"""How tests are found: doctests by their text, and quick tests by what they need when they run."""

import os
import subprocess
import sys

import pytest
from harness import ROOT

TESTS = {
    "test_pure.py": """
        import subprocess, sys, threading
        import pytest

        def test_passes():
            pass

        def test_imports_a_framework():
            try:
                import {framework}
            except Exception:
                pass
            assert False, "not reached"

        def test_starts_python():
            subprocess.run([sys.executable, "-c", "print()"])
            assert False, "not reached"

        def test_starts_something_else():
            subprocess.run(["true"], check=True)

        @pytest.mark.slow
        def test_takes_long():
            assert False, "not reached"
        """,
    "test_workers.py": """
        import multiprocessing

        def test_starts_a_worker():
            multiprocessing.get_context("spawn").Process(target=print).start()
            assert False, "not reached"
        """,
    "test_framework_at_the_top.py": """
        import {framework}

        def test_anything():
            assert False, "not reached"
        """,
}


@pytest.fixture
def run_pytest(tmp_path):
    """run_pytest(*arguments, files=path -> text) -> (exit code, output) of pytest in a project of these files."""

    def run(*arguments, files, testpaths="tests"):
        for name, text in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("\n".join(line.removeprefix(" " * 8) for line in text.splitlines()))
        (tmp_path / "pytest.ini").write_text(
            f"[pytest]\naddopts = -q --doctest-modules -p no:cacheprovider\ntestpaths = {testpaths}\nmarkers = slow"
        )
        paths = [str(ROOT / "tests"), str(ROOT / "tests" / "helpers"), str(ROOT)]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "conftest", *arguments],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    return run


@pytest.mark.parametrize("workers", ["0", "2"])
@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_quick_leaves_out_what_needs_a_framework_or_a_process_or_is_slow(run_pytest, framework, workers):
    files = {f"tests/{name}": text.format(framework=framework) for name, text in TESTS.items()}
    code, out = run_pytest("--quick", "-n", workers, files=files)
    assert code == 0, out
    assert "2 passed, 1 skipped" in out, "the file with the import at its top"
    assert "3 not quick" in out


def test_a_quick_run_fails_with_a_quick_test(run_pytest):
    code, out = run_pytest("--quick", files={"tests/test_one.py": "def test_one():\n    assert 1 == 2"})
    assert code == 1
    assert "1 failed" in out


def test_a_quick_run_of_everything_fails_where_no_test_of_a_package_is_left(run_pytest):
    files = {
        "red/__init__.py": "import jax",
        "blue/__init__.py": "",
        "tests/red/test_one.py": "import red\n\ndef test_one():\n    pass",
        "tests/blue/test_two.py": "import blue\n\ndef test_two():\n    pass",
    }
    code, out = run_pytest("--quick", files=files, testpaths="tests red blue")
    assert code == 1
    assert "error: no quick test of red/ has passed" in out
    assert "of blue/" not in out
    assert run_pytest("--quick", "-k", "two", files=files, testpaths="tests red blue")[0] == 0


def test_modules_without_examples_are_not_imported_for_their_doctests(run_pytest):
    files = {
        "green/plain.py": "raise ImportError('not reached')",
        "green/examples.py": 'def three():\n    """\n    >>> three()\n    3\n    """\n    return 3',
    }
    code, out = run_pytest(files=files, testpaths="green")
    assert code == 0, out
    assert "1 passed" in out
