"""Runs that broke off, runs whose budget ended before an evaluation, and reasons that are true."""

import dataclasses
import json
import math

import pytest

from algoperf import suites
from algoperf.spec import UsageError
from scoring import endings, reading, score_field
from scoring.facts import Facts
from scoring.results import Kind, Reason, RunEnd, Trial

WHOLE = [(10.0, 0.1), (50.0, 0.2), (95.0, 0.3)]


@pytest.fixture
def score(tmp_path, suite, monkeypatch):
    bare = dataclasses.replace(suite, held_out={})
    monkeypatch.setattr(suites, "load", lambda name: bare)

    def score(**options):
        options = {"bootstrap_samples": 0, "suite": "test", **options}
        return score_field.run(score_field.Config(submissions_dir=tmp_path / "submissions", **options))

    return score


def with_summary(folder, **content):
    (folder / "summary.json").write_text(json.dumps(content))


def test_a_cell_that_ends_after_its_first_evaluation_is_no_honest_miss(score, write_trial):
    for study in range(3):
        for trial in (1, 2):
            write_trial("broken", "up_jax", study=study, trial=trial, rows=[(0.1, 0.01)])
            write_trial("whole", "up_jax", study=study, trial=trial, rows=WHOLE)
    scored = score(workloads=("up",))
    miss = scored.board.misses["broken", "up"]
    assert miss.reason is Reason.ENDED_EARLY
    assert "6 of 6 trials ended early at 0.1% of the budget" in miss.detail
    assert scored.board.misses["whole", "up"].reason is Reason.TARGET_NOT_REACHED
    [finding] = [one for one in scored.findings if one.kind is Kind.ENDED_EARLY]
    assert (finding.submission, finding.workload) == ("broken", "up")
    assert finding.detail == "6 of 6 trials, at 0.1% of the budget"
    for words in ("ended_early", "early: trials ended before their budget", "6 of 6 trials"):
        assert words in " ".join(scored.text().split())
    with pytest.raises(UsageError, match="ended early, and no status says why, as in broken up"):
        score(strict=True, workloads=("up",))


@pytest.mark.parametrize(
    "status", ["budget_exhausted", "submission_ended", "max_steps", "diverged", "failed", "stopped"]
)
def test_a_status_explains_why_a_run_ended(score, write_trial, status):
    for study in range(3):
        for trial in (1, 2):
            write_trial("adam", "up_jax", study=study, trial=trial, rows=[(0.1, 0.01)], status=status)
    scored = score(workloads=("up",))
    assert Kind.ENDED_EARLY not in {one.kind for one in scored.findings}
    assert scored.board.misses["adam", "up"].reason is not Reason.ENDED_EARLY


def run(last_time_sec, **end):
    known = RunEnd(5, 500.0, 10.0, True)
    return Trial(
        submission="s",
        workload="up",
        framework="jax",
        study=0,
        trial=1,
        last_time_sec=last_time_sec,
        end=dataclasses.replace(known, **end),
    )


@pytest.mark.parametrize(
    ("last_time_sec", "end", "is_early"),
    [
        (69.9, {}, True),
        (70.0, {}, False),  # Three evaluations before the end, which may all have been slow.
        (50.0, {"longest_gap_sec": 17.0}, False),  # Its evaluations were further apart than the period.
        (50.0, {"last_step": 990.0}, False),  # The step hint is 1000: it had planned no more.
        (50.0, {"last_step": 989.0}, True),
        (50.0, {"is_finite": False}, False),  # It diverged.
        (50.0, {"last_step": math.nan}, True),
    ],
)
def test_a_run_broke_off_well_before_its_budget_and_its_step_hint(suite, last_time_sec, end, is_early):
    assert endings.broke_off(run(last_time_sec, **end), suite.targets("up"), 100.0) is is_early


def test_nine_tenths_of_the_budget_are_all_of_it_however_often_a_run_evaluates(suite):
    targets = dataclasses.replace(suite.targets("up"), eval_period_sec=0.1)
    assert not endings.broke_off(run(90.0, longest_gap_sec=0.1), targets, 100.0)
    assert endings.broke_off(run(89.9, longest_gap_sec=0.1), targets, 100.0)


def test_a_run_that_used_up_a_smaller_budget_than_is_scored_did_not_break_off(suite):
    whole = dataclasses.replace(run(60.0), facts=(Facts(budget_sec=60.0),))
    assert not endings.broke_off(whole, suite.targets("up"), 100.0)
    base = dataclasses.replace(run(60.0), facts=(Facts(base_budget_sec=60.0),))
    assert not endings.broke_off(base, suite.targets("up"), 100.0)
    assert endings.broke_off(base, dataclasses.replace(suite.targets("up"), runtime_budget_sec=50), 100.0)


def test_one_run_that_broke_off_among_whole_ones_is_counted_in_their_reason(score, write_trial):
    for study in range(3):
        write_trial("adam", "up_jax", study=study, trial=1, rows=WHOLE)
        write_trial("adam", "up_jax", study=study, trial=2, rows=[(4.0, 0.2)])
    studies = score(workloads=("up",)).board.table.cells["adam", "up"].studies
    assert studies[0].miss.reason is Reason.TARGET_NOT_REACHED
    assert "1 of 2 trials ended early at 4.0% of the budget" in studies[0].miss.detail


@pytest.mark.parametrize("has_file", [True, False])
def test_a_budget_that_ends_before_the_first_evaluation_is_a_miss_and_no_defect(score, write_trial, has_file):
    content = b"accumulated_submission_time,global_step,score,validation/accuracy\n"
    for study in range(3):
        for trial in (1, 2):
            folder = write_trial("slow", "up_jax", study=study, trial=trial, content=content)
            if not has_file:
                (folder / "eval_measurements.csv").unlink()
            with_summary(
                folder,
                status="budget_exhausted",
                num_evaluations=0,
                submission_time_sec=130.0,
                global_step=1,
                ledger={"update": 128.5, "wall": 140.0},
                compilations={"update": {"update_params": 2, "other": 1}},
            )
    scored = score(workloads=("up",), strict=True)
    assert scored.findings == ()
    miss = scored.board.misses["slow", "up"]
    assert miss.reason is Reason.NO_EVALUATION
    assert (
        "budget of 100 s spent before the first evaluation: 130.0 s for 1 update, of which 128.5 s in update_params, "
        "which compiled 3 times" in miss.detail
    )
    assert "no-eval" in scored.text()


def test_a_file_without_rows_stays_unreadable_where_the_summary_has_evaluations(suite, write_trial, tmp_path):
    folder = write_trial("adam", "up_jax", content=b"score,validation/accuracy\n")
    with_summary(folder, status="budget_exhausted", num_evaluations=4, submission_time_sec=130.0)
    found = reading.read_submissions(tmp_path / "submissions", {"up": suite.targets("up")})
    assert [one.kind for one in found.findings] == [Kind.UNREADABLE]


def test_the_best_metric_is_that_of_the_studies_that_missed_and_says_so(score, write_trial):
    for study, value in enumerate((0.9, 0.15, 0.31)):
        for trial in (1, 2):
            rows = [(10.0, 0.1), (95.0, value)]
            write_trial("adam", "up_jax", study=study, trial=trial, rows=rows)
    detail = score(workloads=("up",)).board.misses["adam", "up"].detail
    assert detail == "1 of 3 studies reached it, 2 needed; best accuracy of the others 0.31, target >= 0.8"


def test_how_much_of_the_budget_was_used_comes_from_the_runs_end_not_from_its_last_evaluation(
    score, write_trial
):
    for study in range(3):
        for trial in (1, 2):
            folder = write_trial("late", "up_jax", study=study, trial=trial, rows=[(59.0, 0.1)])
            with_summary(folder, status="budget_exhausted", submission_time_sec=111.0, num_evaluations=1)
            folder = write_trial("ended", "up_jax", study=study, trial=trial, rows=[(59.0, 0.1)])
            with_summary(folder, status="submission_ended", submission_time_sec=62.0, num_evaluations=1)
    cells = score(workloads=("up",)).board.table.cells
    assert "of the budget" not in cells["late", "up"].studies[0].miss.detail
    assert "longest trial used 62% of the budget" in cells["ended", "up"].studies[0].miss.detail


def test_cells_of_the_published_logs_that_broke_off_are_found(published_logs):
    suite = suites.load("algoperf_v05")
    targets = {name: suite.targets(name) for name in suite.scored_names()}
    results = reading.read_submissions(
        published_logs, targets, include=["caspr_adaptive", "lawa_queue", "baseline"]
    )
    found = {
        (one.submission, one.workload): one.detail
        for one in endings.findings(results.trials, suite, "external")
    }
    assert found["caspr_adaptive", "imagenet_resnet"] == "25 of 25 trials, at 0.2% of the budget"
    assert found["lawa_queue", "librispeech_conformer"] == "25 of 25 trials, at 0.6% to 11% of the budget"
    # These stopped at two thirds of the budget, having made the 48,000 updates of the step hint.
    assert not [cell for cell in found if cell[0] == "baseline"]
