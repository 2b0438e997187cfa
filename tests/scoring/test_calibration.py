"""Results kept in one file, and times carried over from machine to machine."""

import dataclasses
from pathlib import Path

import pytest

from algoperf import suites
from algoperf.spec import UsageError
from scoring import archive, calibration, command, published, reading
from scoring.command import Config
from scoring.records import Hit, Results, Trial


def trial(submission, workload, time_sec=None, step=None, study=0, last=100.0):
    hit = None if time_sec is None else Hit(0, time_sec, step)
    return Trial(
        submission=submission,
        workload=workload,
        framework="jax",
        study=study,
        trial=1,
        hit=hit,
        last_time_sec=last,
    )


def field(*trials):
    return Results(tuple(dict.fromkeys(one.submission for one in trials)), trials)


THERE = field(
    trial("mini/nadamw", "a", 10.0, 100),
    trial("mini/nadamw", "a", 30.0, 100, study=1),
    trial("mini/nadamw", "a", 20.0, 100, study=2),  # 0.2 s per update, the median
    trial("mini/nadamw", "b", 5.0, 10),  # 0.5 s
    trial("mini/nadamw", "c", 1.0, 10),
    trial("mini/other", "a", 1.0, 1),
)


def test_factors_are_ratios_of_seconds_per_update():
    here = field(
        trial("nadamw", "a", 80.0, 200),  # 0.4 s: half as fast
        trial("nadamw", "b", 1.0, 16),  # 0.0625 s: eight times as fast
        trial("nadamw", "c"),  # Missed: the geometric mean of 1/2 and 8.
        trial("mine", "a", 40.0, 300),
    )
    factors = calibration.machine_factors(here, THERE, "nadamw", "mini")
    assert factors == pytest.approx({"a": 0.5, "b": 8.0, "c": 2.0})
    carried = calibration.carried_over(here, factors)
    assert carried.submissions == here.submissions
    assert carried.trials[3].hit == Hit(0, 20.0, 300)
    assert [one.last_time_sec for one in carried.trials] == pytest.approx([50.0, 800.0, 200.0, 50.0])


def test_a_reference_that_did_not_run_or_reached_nothing_is_named():
    with pytest.raises(
        UsageError, match="needs results of 'nadamw' from this machine beside yours \\(mine\\)"
    ):
        calibration.machine_factors(field(trial("mine", "a")), THERE, "nadamw", "mini")
    with pytest.raises(UsageError, match="nadamw reached no target here that it reached in mini"):
        calibration.machine_factors(field(trial("nadamw", "a")), THERE, "nadamw", "mini")


def test_an_archive_holds_what_scoring_reads(write_trial, tmp_path, suite):
    for study in range(2):
        folder = write_trial(
            "adam", "up_jax", study=study, rows=[(1.5, 0.1), (3.0, 0.9)], status="target_reached"
        )
        (folder / "checkpoint_20").write_bytes(b"x" * 1000)
    write_trial("lion", "up_jax", rows=[(2.5, 0.1)], status="budget_exhausted")
    write_trial("left_out", "up_jax", rows=[(2.5, 0.1)])
    root, path = tmp_path / "submissions", tmp_path / "packed.tar.xz"
    assert archive.pack(root, path, ["adam", "lion"]) == 3
    targets = {"up": suite.targets("up")}
    with archive.unpacked(path) as folder:
        assert reading.read_submissions(folder, targets) == reading.read_submissions(
            root, targets, exclude=["left_out"]
        )
        assert not list(folder.rglob("checkpoint_*"))
        again = tmp_path / "again.tar.xz"
        archive.pack(folder, again)
    assert again.read_bytes() == path.read_bytes()
    with pytest.raises(UsageError, match="No trials of sgd below"):
        archive.pack(root, path, ["sgd"])


@pytest.fixture
def mini_leaderboard(write_trial, tmp_path, monkeypatch):
    """A leaderboard with one entry beside the reference, both on one workload; mine is twice as fast as the machine."""
    target = suites.load("mini").targets("wmt_mini").validation_target
    for study in range(3):
        for name, steps in (("nadamw", 4), ("other", 2)):
            rows = [(10.0 * (i + 1), 0.0) for i in range(steps - 1)] + [(10.0 * steps, target + 1)]
            write_trial(name, "wmt_mini_jax", study=study, rows=rows, metric="bleu")
    archive.pack(tmp_path / "submissions", tmp_path / "mini_self.tar.xz")
    monkeypatch.setattr(published, "DATA_DIR", tmp_path)
    (tmp_path / "submissions").rename(tmp_path / "theirs")
    for study in range(3):
        for name, steps in (("nadamw", 4), ("mine", 3)):
            rows = [(5.0 * (i + 1), 0.0) for i in range(steps - 1)] + [(5.0 * steps, target + 1)]
            write_trial(name, "wmt_mini_jax", study=study, rows=rows, metric="bleu")
    return Config(
        submissions_dir=tmp_path / "submissions",
        suite="mini",
        ruleset="self",
        workloads=("wmt_mini",),
        compare_to="mini",
        bootstrap_samples=0,
    )


def test_a_submission_is_placed_on_the_machine_of_the_leaderboard(mini_leaderboard):
    def times(config):
        board = command.run(config).board
        return dict(zip(board.submissions, board.table.values()[:, 0]))

    measured = {"mini/nadamw": 40.0, "mini/other": 20.0, "nadamw": 20.0, "mine": 15.0}
    assert times(mini_leaderboard) == measured
    calibrated = dataclasses.replace(mini_leaderboard, calibrate=True)
    assert times(calibrated) == {**measured, "nadamw": 40.0, "mine": 30.0}
    assert "multiplied by wmt_mini 2." in " ".join(command.run(calibrated).notes)
    steps = times(dataclasses.replace(calibrated, axis="steps"))
    assert steps == {"mini/nadamw": 40, "mini/other": 20, "nadamw": 40, "mine": 30}


def test_calibration_needs_a_leaderboard_with_a_reference():
    for other in (None, "algoperf_v05"):
        with pytest.raises(UsageError, match="--calibrate goes with --compare_to=mini"):
            Config(submissions_dir=Path("any"), compare_to=other, calibrate=True)
    with pytest.raises(UsageError, match="give their folder"):
        Config(submissions_dir=None, compare_to="mini", calibrate=True)


def test_a_ruleset_without_results_is_named(mini_leaderboard):
    with pytest.raises(
        UsageError, match="under the external ruleset ship with this version; use --ruleset=self"
    ):
        command.run(dataclasses.replace(mini_leaderboard, ruleset="external"))


def test_a_workload_without_results_is_named(mini_leaderboard):
    both = dataclasses.replace(mini_leaderboard, workloads=("wmt_mini", "ogbg_mini"))
    with pytest.raises(UsageError, match="the self ruleset have no ogbg_mini"):
        command.run(both)
