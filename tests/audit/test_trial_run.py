"""Short watched trials show what the source alone does not."""

import pytest
from harness import ROOT

from audit import trial_run
from audit.findings import Grade
from audit.folder import Folder

pytestmark = pytest.mark.slow


def ids(folder, *, continues=True):
    found = trial_run.run(Folder(folder), "pytorch", "digits", continues=continues)
    return {one.check.id for one in found if one.grade > Grade.NOTE}


def test_an_honest_submission_ends_and_is_continued_as_at_one_go():
    pytest.importorskip("torch")
    assert ids(ROOT / "tests" / "submissions_of_all_kinds" / "generators") == set()


@pytest.mark.parametrize(
    ("name", "check"),
    [("neighbour_thread", "alive-at-pause"), ("slow_clock", "patched"), ("perfect_scores", "patched")],
)
def test_tricks_show_when_they_run(name, check):
    pytest.importorskip("torch")
    assert check in ids(ROOT / "tests" / "cheats" / name, continues=False)


def test_state_that_is_kept_elsewhere_is_not_resumed(tmp_path):
    pytest.importorskip("torch")
    folder = ROOT / "tests" / "cheats"
    mine = tmp_path / "mine"
    mine.mkdir()
    text = (folder / "common_torch.py").read_text()
    head, update = text.split("def update_params(")
    counted = (
        "    COUNT.append(1)\n    optimizer_state['optimizer'].param_groups[0]['lr'] = 0.01 * len(COUNT)\n"
    )
    update = update.replace("    train_on(", f"{counted}    train_on(")
    text = f"{head}COUNT = []\n\n\ndef update_params({update}"
    (mine / "submission_torch.py").write_text(text)
    assert ids(mine) == {"not-resumed"}
