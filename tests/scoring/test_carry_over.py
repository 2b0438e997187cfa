"""Results kept in one file, and times carried over from machine to machine."""

import dataclasses
import json
import math
import shutil
from pathlib import Path

import pytest

from algoperf import suites
from algoperf.spec import UsageError
from scoring import archive, carry_over, published, reading, score_field
from scoring.endings import USED_UP
from scoring.results import Hit, Reason, Results, Trial
from scoring.score_field import Config
from target_setting import sweep


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
    factors = carry_over.machine_factors(here, here, THERE, "nadamw", "mini")
    assert factors == pytest.approx({"a": 0.5, "b": 8.0, "c": 2.0})
    carried = carry_over.carried_over(here, factors)
    assert carried.submissions == here.submissions
    assert carried.trials[3].hit == Hit(0, 20.0, 300)
    assert [one.clock_factor for one in carried.trials] == pytest.approx([0.5, 8.0, 2.0, 0.5])
    assert [one.last_time_sec for one in carried.trials] == [100.0] * 4  # Of a budget on the own clock.
    only = field(trial("mine", "a", 40.0, 300))
    assert carry_over.machine_factors(only, here, THERE, "nadamw", "mini") == pytest.approx({"a": 0.5})


@pytest.mark.parametrize("step", [0, math.nan])
def test_a_hit_without_updates_says_nothing_about_the_machine(step):
    here = field(trial("nadamw", "a", 80.0, 200), trial("nadamw", "a", 1.0, step, study=1))
    assert carry_over.machine_factors(here, here, THERE, "nadamw", "mini") == pytest.approx({"a": 0.5})


def test_a_reference_that_did_not_run_or_reached_nothing_is_named():
    mine, missed = field(trial("mine", "a")), field(trial("nadamw", "a"))
    with pytest.raises(
        UsageError, match="needs results of 'nadamw' from this machine beside yours \\(mine\\)"
    ):
        carry_over.machine_factors(mine, mine, THERE, "nadamw", "mini")
    with pytest.raises(UsageError, match="nadamw reached no target here that it reached in mini"):
        carry_over.machine_factors(missed, missed, THERE, "nadamw", "mini")


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


def test_an_archive_keeps_how_to_repeat_a_run(write_trial, tmp_path, suite):
    folder = write_trial("adam", "up_jax", rows=[(1.5, 0.1)], status="target_reached")
    facts = {
        "rng_seed": 7,
        "seeds": {"data": 1},
        "package_versions": {"jax": "0.10"},
        "git_commit_hash": "abc",
        "git_dirty": False,
        "device": "cpu",
        "submission_hash": "def",
    }
    for start in (2, 9, 10):  # The newest is that of the largest number.
        content = {**facts, "rng_seed": start, "workload_spec": {"name": "up"}, "os_platform": "any"}
        (folder / f"meta_data_{start}.json").write_text(json.dumps(content))
    archive.pack(tmp_path / "submissions", tmp_path / "packed.tar.xz")
    identity = {"algorithm": "adam", "workload": "up", "framework": "jax", "study": 0, "trial": 1}
    with archive.unpacked(tmp_path / "packed.tar.xz") as root:
        [kept] = root.rglob("meta_data_*.json")
        assert kept.name == "meta_data_10.json"
        spec = {"name": "up"}  # Targets, budget and step hint of then.
        assert json.loads(kept.read_text()) == {**facts, "rng_seed": 10, "workload_spec": spec}
        # All that provenance of targets reads is there.
        packed, written = (sweep.read_trial(one, identity, "accuracy", []) for one in (kept.parent, folder))
        assert packed.facts == written.facts
        assert packed.facts["seeds"] == {"data": 1}


def test_what_cannot_be_packed_is_named(write_trial, tmp_path):
    write_trial("nadamw", "up_jax", rows=[(1.5, 0.1)])
    root, path = tmp_path / "submissions", tmp_path / "packed.tar.xz"
    with pytest.raises(UsageError, match=r"is called 'typo'\. Choose from nadamw"):
        archive.pack(root, path, ["nadamw", "typo"])
    with pytest.raises(UsageError, match="No trials of any submission below"):
        archive.pack(tmp_path / "absent", path)
    assert not path.exists()
    with pytest.raises(UsageError, match="No such file or directory; give a file in a folder that is there"):
        archive.pack(root, tmp_path / "absent" / "packed.tar.xz")


TARGET = suites.load("mini").targets("wmt_mini").validation_target
BUDGET_SEC = suites.load("mini").budget_sec("wmt_mini", "self")


@pytest.fixture
def mini_leaderboard(write_trial, tmp_path, monkeypatch):
    """A leaderboard with one entry beside the reference, both on one workload; mine is twice as fast as the machine."""
    for study in range(3):
        for name, steps in (("nadamw", 4), ("other", 2)):
            rows = [(10.0 * (i + 1), 0.0) for i in range(steps - 1)] + [(10.0 * steps, TARGET + 1)]
            write_trial(name, "wmt_mini_jax", study=study, rows=rows, metric="bleu")
    archive.pack(tmp_path / "submissions", tmp_path / "mini_self.tar.xz")
    monkeypatch.setattr(published, "DATA_DIR", tmp_path)
    (tmp_path / "submissions").rename(tmp_path / "theirs")
    for study in range(3):
        for name, steps in (("nadamw", 4), ("mine", 3)):
            rows = [(5.0 * (i + 1), 0.0) for i in range(steps - 1)] + [(5.0 * steps, TARGET + 1)]
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
        board = score_field.run(config).board
        return dict(zip(board.submissions, board.table.values()[:, 0]))

    measured = {"mini/nadamw": 40.0, "mini/other": 20.0, "nadamw": 20.0, "mine": 15.0}
    assert times(mini_leaderboard) == measured
    calibrated = dataclasses.replace(mini_leaderboard, calibrate=True)
    assert times(calibrated) == {**measured, "nadamw": 40.0, "mine": 30.0}
    assert "multiplied by wmt_mini 2." in " ".join(score_field.run(calibrated).notes)
    steps = times(dataclasses.replace(calibrated, axis="steps"))
    assert steps == {"mini/nadamw": 40, "mini/other": 20, "nadamw": 40, "mine": 30}


def test_calibration_finds_the_reference_where_it_is_not_scored(mini_leaderboard):
    calibrated = dataclasses.replace(mini_leaderboard, calibrate=True)
    for filters in ({"include": ("mine",)}, {"exclude": ("nadamw",)}):
        board = score_field.run(dataclasses.replace(calibrated, **filters)).board
        assert board.submissions == ("mine", "mini/nadamw", "mini/other")
        assert board.table.values()[0, 0] == 30.0


@pytest.fixture
def placed(mini_leaderboard, write_trial):
    """Scores, on the leaderboard's clock, the submission 'new' whose studies all have the same evaluations."""

    def place(rows, factor=2.0, status="budget_exhausted"):
        for study in range(3):
            write_trial("new", "wmt_mini_jax", study=study, rows=rows, metric="bleu", status=status)
            if factor != 2.0:  # The reference here: 40 updates in so many seconds, 40 there.
                seconds = [40 / factor * (i + 1) / 4 for i in range(4)]
                trial = mini_leaderboard.submissions_dir / f"nadamw/study_{study}/wmt_mini_jax/trial_1"
                shutil.rmtree(trial)
                rows_of_nadamw = [(at, 0.0) for at in seconds[:-1]] + [(seconds[-1], TARGET + 1)]
                write_trial("nadamw", "wmt_mini_jax", study=study, rows=rows_of_nadamw, metric="bleu")
        scored = score_field.run(dataclasses.replace(mini_leaderboard, calibrate=True, exclude=("mine",)))
        return scored.board.table.cells["new", "wmt_mini"], " ".join(scored.notes)

    return place


def test_a_run_that_used_its_budget_on_a_slow_machine_is_not_said_to_have_used_half(placed):
    cell, notes = placed([(0.98 * BUDGET_SEC, 0.0)], factor=0.5)
    assert "of the budget" not in cell.studies[0].miss.detail
    seconds = f"{0.49 * BUDGET_SEC:,.0f} s of {BUDGET_SEC:,.0f} s"
    assert f"a miss says less: last evaluated there new on wmt_mini at {seconds}." in notes
    assert "raise budget_factor of the self ruleset to 3, run under the copy" in notes
    assert "score that with --suite=mini as now" in notes


@pytest.mark.parametrize(("used", "is_noted"), [(USED_UP, True), (0.999 * USED_UP, False)])
def test_a_run_has_used_its_budget_from_the_share_on_that_scoring_takes_for_all_of_it(placed, used, is_noted):
    cell, notes = placed([(used * BUDGET_SEC, 0.0)], factor=0.5)
    assert ("a miss says less" in notes) == is_noted
    assert ("of the budget" in cell.studies[0].miss.detail) != is_noted


@pytest.mark.parametrize(("beyond_sec", "is_noted"), [(0.0, True), (0.001, False)])
def test_a_miss_is_noted_if_one_more_evaluation_would_have_been_within_the_budget_there(
    placed, beyond_sec, is_noted
):
    last_sec = BUDGET_SEC / 0.5 - suites.load("mini").targets("wmt_mini").eval_period_sec
    assert ("a miss says less" in placed([(last_sec + beyond_sec, 0.0)], factor=0.5)[1]) == is_noted


@pytest.mark.parametrize(
    ("used", "factor", "status"),
    [
        (0.98, 2.0, "budget_exhausted"),
        (0.98, 0.999, "budget_exhausted"),  # No room for another evaluation.
        (1.98, 0.5, "budget_exhausted"),  # Run again, as the note says.
        (0.98, 0.5, "diverged"),
        (0.30, 0.5, "submission_ended"),
    ],
)
def test_a_miss_that_a_larger_budget_would_not_change_has_no_note(placed, used, factor, status):
    cell, notes = placed([(used * BUDGET_SEC, 0.0)], factor, status)
    assert cell.miss.reason is Reason.TARGET_NOT_REACHED
    assert "a miss says less" not in notes
    assert ("at 30% of the budget" in cell.studies[0].miss.detail) == (used < 0.9)


def test_a_hit_after_the_budget_of_the_leaderboards_clock_says_so(placed):
    cell, notes = placed([(0.6 * BUDGET_SEC, TARGET + 1)], status="target_reached")
    assert cell.miss.reason is Reason.OVER_BUDGET
    there, here = f"{1.2 * BUDGET_SEC:,.0f}", f"{0.6 * BUDGET_SEC:,.0f}"
    assert (
        f"reached at {there} s on the leaderboard's clock ({here} s here), after the budget"
        in cell.miss.detail
    )
    assert "a miss says less" not in notes


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
        score_field.run(dataclasses.replace(mini_leaderboard, ruleset="external"))


def test_a_workload_without_results_is_named(mini_leaderboard):
    both = dataclasses.replace(mini_leaderboard, workloads=("wmt_mini", "ogbg_mini"))
    with pytest.raises(UsageError, match="the self ruleset have no ogbg_mini"):
        score_field.run(both)


@pytest.mark.parametrize("time", ["score", "accumulated_submission_time"])
def test_published_logs_are_packed_with_the_columns_that_scoring_reads_digit_for_digit(
    write_trial, tmp_path, time
):
    rows = f"accumulated_eval_time,{time},global_step,train/bleu,validation/bleu\n1.0,2.50,1,3.0,4.123456789012345678\n"
    write_trial("adam", "wmt_mini_jax", content=rows.encode())
    write_trial("adam", "unlisted_jax", rows=[(1.0, 0.5)])
    path = tmp_path / "mini_self.tar.xz"
    published.main(["", str(tmp_path / "submissions"), str(path)])
    with archive.unpacked(path) as folder:
        (file,) = folder.rglob("eval_measurements.csv")
        assert file.read_text() == (
            f"accumulated_eval_time,{time},global_step,validation/bleu\n1.0,2.50,1,4.123456789012345678\n"
        )
