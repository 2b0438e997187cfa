"""The wheel: every file that code asks for is in it, nothing else is, and the commands run from it anywhere."""

import configparser
import json
import os
import shutil
import subprocess
import sys
import zipfile

import pytest
from harness import ROOT

SETUP = configparser.ConfigParser()
SETUP.read(ROOT / "setup.cfg")
PACKAGES = [name.rstrip("*") for name in SETUP["options.packages.find"]["include"].split()]
BESIDE = ("RULES.md", "README.md", "LICENSE", "MANIFEST.in", "setup.py", "setup.cfg", "pyproject.toml")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, unpacked as an installation would, and the names of what is in it."""
    source = tmp_path_factory.mktemp("source")
    for folder in (*PACKAGES, "submissions", "tests/helpers"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in BESIDE:
        shutil.copy(ROOT / name, source / name)
    code = "from setuptools import build_meta; print(build_meta.build_wheel('made'))"
    subprocess.run([sys.executable, "-c", code], cwd=source, capture_output=True, text=True, check=True)
    (path,) = (source / "made").glob("*.whl")
    installed = tmp_path_factory.mktemp("site")
    with zipfile.ZipFile(path) as archive:
        archive.extractall(installed)
        return installed, set(archive.namelist())


def run(wheel, folder, *arguments):
    """`algoperf` in another folder, as it is where only the wheel is installed."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "algoperf", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(wheel[0])},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.slow
def test_every_file_of_the_packages_is_in_the_wheel_and_no_tests_are(wheel):
    _, names = wheel
    wanted = {
        str(path.relative_to(ROOT))
        for package in PACKAGES
        for path in (ROOT / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert wanted - names == set()
    assert not [name for name in names if name.startswith(("tests/", "benchmarks/", "datasets/", "docs/"))]
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == set(PACKAGES)


@pytest.mark.slow
def test_what_ships_beside_code_is_found_where_only_the_wheel_is(wheel, tmp_path):
    made = run(wheel, tmp_path, "new", "mine")
    assert made.returncode == 0, made.stderr
    assert (tmp_path / "mine" / "submission_jax.py").read_bytes() == (
        ROOT / "submissions" / "template" / "submission_jax.py"
    ).read_bytes()
    code = (
        "from audit import workload_check; from scoring.site import method_page; from algoperf import commands\n"
        "assert (workload_check.HELPERS / 'conformance.py').is_file() and method_page.RULES.is_file()\n"
        "print(workload_check.HELPERS, *commands.trial_command())"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(wheel[0])},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith(str(wheel[0]))
    assert done.stdout.endswith("-P -m algoperf run\n")


@pytest.mark.slow
def test_a_trial_runs_by_the_name_of_an_algorithm_where_only_the_wheel_is(wheel, tmp_path):
    done = run(
        wheel,
        tmp_path,
        *("run", "--workload=digits", "--submission=nadamw", "--framework=pytorch", "--ruleset=self"),
        *("--max_steps=3", "--json", "--device=cpu"),
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["trials"][0]["summary"]["global_step"] == 3
    assert told["trials"][0]["folder"].startswith(str(tmp_path / "experiments" / "nadamw"))
