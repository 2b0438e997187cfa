"""Small submissions written as public ones are, one for each technique: found by their folders, trained on digits."""

import pytest
from harness import ROOT, assert_equal_params, run_trial

from algoperf import records, submission_info
from algoperf import submission as submissions

FOLDERS = sorted(
    path.parent for path in (ROOT / "tests" / "helpers" / "public_style").glob("*/submission.py")
)
STATUS = {"ends_itself": "submission_ended"}
"""How those end that do not stop at the last step."""


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_it_is_imported_and_trains(tmp_path, folder):
    run = submissions.load(folder)
    submissions.check_imports(run.path)
    assert run.uses_pmap == (folder.name == "mapped_siblings")
    # As in the self-tuning ruleset: none of them has a search space.
    workload_options = {"point": None, "eval_every_steps": 1, "max_steps": 3}
    summary = run_trial(tmp_path, run.framework, run, **workload_options)
    assert summary["error"] is None, summary["error"]
    assert summary["status"] == STATUS.get(folder.name, "max_steps")
    assert (summary["global_step"], summary["num_evaluations"]) == (3, 3)
    assert summary["last"]["train/loss"] < 3.0
    recorded = records.newest_meta_data(tmp_path / "trial_1")
    assert recorded["per_device_layout"] is run.uses_pmap
    assert (recorded["submission_info"] is not None) == (folder / submission_info.FILE).exists()


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_ten_updates_and_ten_more_are_twenty_bit_for_bit(tmp_path, folder):
    def train(place, max_steps):
        run = submissions.load(folder)
        summary = run_trial(
            tmp_path / place, run.framework, run, point=None, eval_every_steps=5, max_steps=max_steps
        )
        assert summary["error"] is None, summary["error"]
        return summary

    straight = train("straight", 20)
    train("parts", 10)
    last = train("parts", 20)
    assert (last["status"], last["global_step"]) == (straight["status"], straight["global_step"])
    assert last["warnings"] == straight["warnings"]
    assert last["last"] == straight["last"]
    assert_equal_params(*(tmp_path / place / "trial_1" for place in ("parts", "straight")))


def test_there_are_submissions_of_both_frameworks():
    assert {submissions.find(folder)[1] for folder in FOLDERS} == {"jax", "pytorch"}
