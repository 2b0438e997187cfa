import dataclasses
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from algoperf.suites import Ruleset, WorkloadTargets
from scoring.procedure import CLEAN, OFFICIAL
from scoring.results import Hit, Reason, Trial
from scoring.times import median, published_median, study_time, workload_time

TARGETS = WorkloadTargets(
    metric_name="accuracy",
    higher_is_better=True,
    validation_target=0.8,
    test_target=None,
    runtime_budget_sec=100,
    step_hint=10,
    eval_period_sec=1,
)
RULESET = Ruleset(num_studies=3, num_trials=3)
TIME = st.one_of(st.floats(0.5, 99), st.none())


def trial(study, number, at=None, evaluation=5, step=50.0, **outcome):
    hit = None if at is None else Hit(evaluation, at, step)
    return Trial(submission="s", workload="w", framework="jax", study=study, trial=number, hit=hit, **outcome)


def of_study(trials, procedure=CLEAN, **changes):
    arguments = dict(targets=TARGETS, budget_sec=100, num_trials=3, procedure=procedure) | changes
    return study_time(0, trials, **arguments)


def of_workload(trials, procedure=CLEAN, ruleset=RULESET):
    return workload_time(trials, targets=TARGETS, ruleset=ruleset, procedure=procedure)


@given(st.lists(TIME, min_size=1, max_size=3))
def test_a_study_takes_its_fastest_trial(times):
    trials = [trial(0, number, at) for number, at in enumerate(times, 1)]
    assert of_study(trials).value == min([at for at in times if at is not None], default=math.inf)


@given(st.lists(TIME, min_size=1, max_size=3), st.randoms())
def test_the_order_of_trials_changes_nothing(times, random):
    trials = [trial(0, number, at, evaluation=3) for number, at in enumerate(times, 1)]
    shuffled = random.sample(trials, len(trials))
    for procedure in (CLEAN, OFFICIAL):
        assert of_study(shuffled, procedure) == of_study(trials, procedure)


def test_officially_the_smallest_evaluation_index_wins_and_ties_go_to_the_smaller_time():
    trials = [
        trial(0, 1, 30.0, evaluation=9),
        trial(0, 2, 50.0, evaluation=8),
        trial(0, 3, 40.0, evaluation=8),
    ]
    assert of_study(trials, OFFICIAL).trial == 3
    assert of_study(trials, CLEAN).trial == 1


def test_on_the_steps_axis_the_trial_that_is_first_in_time_is_read():
    trials = [trial(0, 1, 30.0, step=900.0), trial(0, 2, 50.0, step=100.0)]
    assert of_study(trials, axis="steps").value == 900.0


def test_a_target_reached_after_the_budget_is_not_reached_except_officially():
    late = [trial(0, 1, 100.5)]
    assert of_study(late).miss.reason is Reason.OVER_BUDGET
    assert "after the budget of 100 s" in of_study(late).miss.detail
    assert of_study(late, OFFICIAL).value == 100.5
    assert of_study([trial(0, 1, 100.0)]).value == 100.0


def test_trials_beyond_the_rulesets_number_do_not_count_except_officially():
    trials = [trial(0, number, 100.0 - 10 * number) for number in (1, 2, 3, 7)]
    assert of_study(trials).value == 70.0
    assert of_study(trials, OFFICIAL).value == 30.0


@given(st.lists(TIME, min_size=3, max_size=3))
def test_a_workload_time_is_the_median_of_three_studies(times):
    result = of_workload([trial(study, 1, at) for study, at in enumerate(times)])
    assert result.value == sorted(math.inf if at is None else at for at in times)[1]
    assert (result.miss is None) == (result.value < math.inf)


def test_a_missing_study_is_infinite_except_officially():
    trials = [trial(0, 1, 10.0), trial(4, 1, 20.0)]
    clean = of_workload(trials)
    assert clean.value == 20.0
    assert [(one.study, one.value) for one in clean.studies] == [(0, 10.0), (4, 20.0), (1, math.inf)]
    assert of_workload(trials, OFFICIAL).value == 15.0


def test_one_study_of_three_is_infinite_because_studies_are_missing():
    miss = of_workload([trial(0, 1, 10.0)]).miss
    assert miss.reason is Reason.STUDY_MISSING
    assert "1 of 3 studies reached it, 2 needed" in miss.detail


def test_studies_beyond_the_rulesets_number_do_not_count_except_officially():
    trials = [trial(study, 1, 50.0 - 10 * study) for study in range(5)]
    assert of_workload(trials).value == 40.0
    assert of_workload(trials, OFFICIAL).value == 30.0


def test_no_results_are_infinite_and_officially_absent():
    assert of_workload([]).value == math.inf
    assert of_workload([]).miss.reason is Reason.WORKLOAD_MISSING
    assert math.isnan(of_workload([], OFFICIAL).value)


def test_the_reason_names_the_best_metric_and_the_target():
    trials = [trial(study, 1, best=0.5 + 0.1 * study, last_time_sec=99.0) for study in range(3)]
    miss = of_workload(trials).miss
    assert miss.reason is Reason.TARGET_NOT_REACHED
    assert "best accuracy 0.7, target >= 0.8" in miss.detail


def test_the_reason_on_a_workload_counts_the_trials_of_all_studies_and_not_of_the_first_alone():
    trials = [trial(study, number, status="failed") for study in range(3) for number in (1, 2)]
    assert of_workload(trials).miss.detail == "0 of 3 studies reached it, 2 needed; 6 x failed"
    late = [trial(study, 1, 130.0 - 10 * study) for study in range(3)]
    assert "reached at 110 s, after the budget of 100 s" in of_workload(late).miss.detail


def test_a_study_that_was_stopped_early_says_so():
    miss = of_study([trial(0, 1, best=0.5, last_time_sec=30.0, status="submission_ended")]).miss
    assert "1 x submission_ended" in miss.detail
    assert "longest trial was last evaluated at 30% of the budget" in miss.detail


@pytest.mark.parametrize(("last_time_sec", "is_said"), [(90.0, False), (89.9, True), (math.nan, False)])
def test_a_run_counts_as_stopped_early_below_nine_tenths_of_the_budget(last_time_sec, is_said):
    miss = of_study([trial(0, 1, best=0.5, last_time_sec=last_time_sec)]).miss
    assert miss.reason is Reason.TARGET_NOT_REACHED
    assert ("longest trial was last evaluated at 90% of the budget" in miss.detail) == is_said


@pytest.mark.parametrize(("value", "clean"), [(100.0, 100.0), (100.5, math.inf), (math.inf, math.inf)])
def test_a_published_median_after_the_budget_is_not_reached_except_officially(value, clean):
    found = published_median(value, TARGETS, RULESET, CLEAN)
    assert found.value == clean
    assert (found.miss is not None and found.miss.reason is Reason.OVER_BUDGET) == (clean > value)
    assert published_median(value, TARGETS, RULESET, OFFICIAL).value == value


def test_a_study_of_failed_trials_says_so():
    miss = of_study([trial(0, 1, status="failed"), trial(0, 2, status="failed")]).miss
    assert miss.reason is Reason.TRIAL_FAILED
    assert miss.detail == "2 x failed"
    miss = of_study([trial(0, 1, status="failed"), trial(0, 2, status="unreadable")]).miss
    assert (miss.reason, miss.detail) == (Reason.TRIAL_FAILED, "1 x failed, 1 x unreadable")
    miss = of_study([trial(0, 1, status="failed"), trial(0, 2, status="diverged", best=0.5)]).miss
    assert miss.reason is Reason.TARGET_NOT_REACHED


def test_the_budget_factor_of_the_ruleset_applies():
    ruleset = dataclasses.replace(RULESET, budget_factor=3.0)
    assert of_workload([trial(study, 1, 250.0) for study in range(3)], ruleset=ruleset).value == 250.0


@pytest.mark.parametrize(
    ("times", "expected"), [([], None), ([2.0], 2.0), ([1.0, 3.0], 2.0), ([1.0, math.inf], math.inf)]
)
def test_medians_of_few_numbers(times, expected):
    assert math.isnan(median(times)) if expected is None else median(times) == expected
