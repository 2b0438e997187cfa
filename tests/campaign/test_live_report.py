"""`run_benchmark.py --report`: a page that follows a campaign and takes little of its time."""

import shutil
from types import SimpleNamespace

import pytest

from campaign import live_report
from campaign.state import State
from scoring import archive, published, score_field


@pytest.fixture
def campaign(tmp_path):
    """Results of two entries on one workload, the jobs that would have made them, and the scoring of it all."""
    root = tmp_path / "results"
    with archive.unpacked(published.DATA_DIR / "mini_self.tar.xz") as folder:
        for name in ("adamw", "lion"):
            for study in range(3):
                place = f"{name}/study_{study}/wmt_mini_pytorch"
                shutil.copytree(folder / place, root / place)
    jobs = [
        SimpleNamespace(submission=name, workload="wmt_mini", study=study, trial=1, key=f"{name}-{study}")
        for name in ("adamw", "lion")
        for study in range(3)
    ]
    config = score_field.Config(submissions_dir=root, suite="mini", ruleset="self", workloads=("wmt_mini",))
    return root, jobs, config


def test_the_report_follows_what_ends_and_no_more_often_than_it_may(campaign):
    root, jobs, config = campaign
    now = [0.0]
    path = live_report.path_in(root)
    watch = live_report.LiveReport(config, jobs, path, clock=lambda: now[0])
    states = {job.key: State.WAITING for job in jobs}
    watch(states)
    assert not path.exists()
    states["adamw-0"] = State.DONE
    now[0] += live_report.EVERY_SEC
    watch(states)
    first = path.read_text()
    states["lion-0"] = State.DONE
    now[0] += live_report.EVERY_SEC - 1
    watch(states)
    assert path.read_text() == first
    now[0] += 1
    watch(states)
    assert path.read_text() != first
    modified = path.stat().st_mtime_ns
    now[0] += 10 * live_report.EVERY_SEC
    watch(states)  # Nothing has ended since.
    assert path.stat().st_mtime_ns == modified


def test_only_trials_that_have_ended_are_in_it(campaign):
    _, jobs, config = campaign
    states = {job.key: State.RUNNING for job in jobs}
    assert live_report.so_far(config, jobs, states) is None
    states["lion-1"] = State.DONE
    scored = score_field.run(*live_report.so_far(config, jobs, states))
    assert [(trial.submission, trial.study) for trial in scored.trials] == [("lion", 1)]
    assert scored.board.submissions == ("adamw", "lion")
