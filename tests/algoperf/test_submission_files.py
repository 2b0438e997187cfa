"""Which files a submission is made of: its folder, and what its imports lead to."""

import pytest
from harness import ROOT

from algoperf import submission_files
from algoperf.submission_files import files_of

IMPORTS = {
    "from submissions.adan import update": "submissions/adan/update.py",
    "from submissions.adan.update import step": "submissions/adan/update.py",
    "import submissions.adan.update as u": "submissions/adan/update.py",
    "def f():\n    from submissions.adan import update": "submissions/adan/update.py",
    "from ..adan import update": "submissions/adan/update.py",
    "from ..adan.update import step": "submissions/adan/update.py",
    "from reference_algorithms.shared.schedules import cosine": "reference_algorithms/shared/schedules.py",
    "from reference_algorithms.shared import schedules": "reference_algorithms/shared/schedules.py",
}


@pytest.fixture
def project(tmp_path, monkeypatch):
    """write(path, text) writes into a project of its own."""
    monkeypatch.setattr(submission_files, "PROJECT", tmp_path)

    def write(path, text=""):
        file = tmp_path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    write("submissions/adan/update.py", "from reference_algorithms.shared import schedules")
    write("submissions/adan/submission_torch.py", "import torch")
    write("reference_algorithms/__init__.py")
    write("reference_algorithms/shared/schedules.py", "import math, optax")
    write("reference_algorithms/shared/unused.py")
    return write


@pytest.mark.parametrize("text", IMPORTS)
def test_what_a_submission_imports_is_a_part_of_it(project, text):
    found = files_of(project("submissions/mine/submission.py", text), True)
    assert IMPORTS[text] in found.paths
    assert "reference_algorithms/shared/schedules.py" in found.paths, "and so is what that imports"
    assert "optax" in found.packages
    assert not {"math", "submissions", "reference_algorithms"} & found.packages
    assert "reference_algorithms/shared/unused.py" not in found.paths


def test_a_file_alone_brings_what_it_imports_from_beside_it_and_above(project):
    project("users/tools.py", "x = 1")
    project("users/mine/helper.py", "import tools")
    file = project("users/mine/sgd.py", "import helper, torch")
    assert set(files_of(file, False).paths) == {"sgd.py", "helper.py", "users/tools.py"}


def test_files_outside_the_project_are_named_from_the_folder(project, tmp_path, monkeypatch):
    monkeypatch.setattr(submission_files, "PROJECT", tmp_path / "elsewhere")
    project("users/tools.py", "x = 1")
    file = project("users/mine/deep/submission.py", "import tools")
    assert set(files_of(file, True).paths) == {"submission.py", "../../tools.py"}


def test_what_decides_nothing_is_no_part_of_it(project):
    file = project("submissions/mine/submission_jax.py", "import jax")
    left = ("trial_1/checkpoint_5", "trial_1/summary.json", "run.log", "__pycache__/x.pyc", ".cache/state")
    for name in ("README.md", "picture.png", "tuning_search_space.json", *left):
        project(f"submissions/mine/{name}", "x")
    project("submissions/mine/submission_torch.py", "import torch")
    space = '{"learning_rate": {"min": 0.1, "max": 1, "scaling": "log"}}'
    project("submissions/mine/narrow.json", space)
    assert set(files_of(file, True).paths) == {"submission_jax.py"}


def test_what_may_decide_something_is_a_part_of_it(project):
    space = '{"learning_rate": {"feasible_points": [1]}}'
    project("submissions/mine/table.json", '{"decay": 2}')
    project("submissions/mine/weights.state", "1")
    project("submissions/mine/inner/never_imported.py", "x = 1")
    project("submissions/mine/submission_torch.py", "import torch")
    text = "from .submission_torch import x\nFILE = 'weights.state'"
    file = project("submissions/mine/submission_jax.py", text)
    wanted = {
        "submission_jax.py",
        "submission_torch.py",
        "inner/never_imported.py",
        "table.json",
        "weights.state",
    }
    assert set(files_of(file, True).paths) == wanted
    project("submissions/mine/points.json", space)
    project("submissions/mine/submission_jax.py", text + "\nread(f'{name}.json')")
    assert set(files_of(file, True).paths) == {*wanted, "points.json"}, "its name may be put together"


def test_data_of_the_folder_are_a_part_of_it_though_nothing_names_them(project):
    file = project("submissions/mine/submission.py", "import jax\nkind = '.md'")
    for name in ("weights.bin", "checkpoints/model.pt", "table.csv", "table.npy", "notes.md", "picture.png"):
        project(f"submissions/mine/{name}", "x")
    assert set(files_of(file, True).paths) == {
        *("submission.py", "weights.bin", "checkpoints/model.pt", "table.npy", "notes.md")
    }


def test_what_an_import_finds_by_the_path_of_another_repository_is_a_part_of_it(project):
    project("users/mine/helper.py", "x = 1")
    file = project("users/mine/sgd.py", "from submissions_algorithms_v0_5.track.mine.helper import x")
    assert set(files_of(file, False).paths) == {"sgd.py", "helper.py"}


def test_a_broken_file_or_an_import_that_leads_nowhere_is_no_error(project):
    project("submissions/mine/broken.py", "def (")
    file = project(
        "submissions/mine/submission.py",
        "from ....... import x\nfrom . import nothing\nimport nowhere.at.all",
    )
    found = files_of(file, True)
    assert set(found.paths) == {"submission.py", "broken.py"}
    assert found.packages == {"nowhere"}


def test_the_reference_algorithms_depend_on_what_they_share():
    file = ROOT / "reference_algorithms" / "adamw" / "submission_torch.py"
    found = files_of(file, True).paths
    assert {"reference_algorithms/shared/schedules.py", "reference_algorithms/nadamw/self_tuning.py"} <= set(
        found
    )
    assert not any(name.startswith(("algoperf", "workloads")) for name in found), (
        "those are parts of their own"
    )
