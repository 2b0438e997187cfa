"""Which trials of a study a command means, and the facts that a suite gives a workload. No framework runs here."""

import dataclasses
import json

import pytest
from harness import SGD_FILES

from algoperf import registry, suites
from algoperf.run.study import StudyPlan, with_suite
from algoperf.settings import RunSettings
from algoperf.spec import UsageError


@pytest.fixture
def trials(tmp_path):
    """trials(**settings): numbers of the trials that a command with a list of three points means."""
    space = tmp_path / "space.json"
    space.write_text(json.dumps([{"learning_rate": rate} for rate in (0.1, 0.2, 0.3)]))

    def of(**settings):
        own = {"workload": "digits", "submission": str(SGD_FILES["jax"]), "framework": "jax"}
        return StudyPlan.of(RunSettings(**own, tuning_search_space=str(space), **settings)).trials

    return of


@pytest.mark.parametrize(
    ("settings", "wanted"),
    [
        ({}, (1,)),
        ({"num_tuning_trials": 3}, (1, 2, 3)),
        ({"num_tuning_trials": 5}, (1, 2, 3)),
        ({"trial": 3}, (3,)),
        ({"hparam_end_index": 2}, (1, 2)),
        ({"hparam_end_index": 5}, (1, 2, 3)),
        ({"hparam_start_index": 2, "hparam_end_index": 3}, (3,)),
        ({"hparam_start_index": 1, "num_tuning_trials": 3}, (2, 3)),
    ],
    ids=str,
)
def test_a_command_means_the_trials_that_there_are_points_for(trials, settings, wanted):
    assert trials(**settings) == wanted


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"trial": 4}, "--trial=4 is beyond the 3 points"),
        ({"hparam_start_index": 3, "hparam_end_index": 4}, "--hparam_start_index=3 is beyond the 3 points"),
        ({"hparam_start_index": 2, "hparam_end_index": 2}, "must be below --hparam_end_index=2"),
        (
            {"hparam_start_index": -1, "hparam_end_index": 2},
            "--hparam_start_index must not be negative, got -1",
        ),
    ],
    ids=str,
)
def test_a_trial_without_a_point_is_refused(trials, settings, words):
    with pytest.raises(UsageError, match=words):
        trials(**settings)


def test_a_workload_has_the_targets_and_the_times_of_its_suite():
    suite, own = suites.load("algoperf_v06"), registry.get("wmt")
    theirs = dataclasses.replace(
        suite.targets("wmt"),
        validation_target=20.0,
        test_target=21.0,
        runtime_budget_sec=1000.0,
        step_hint=123,
        eval_period_sec=45.0,
    )
    suite = dataclasses.replace(suite, known_targets={"wmt": theirs})
    found = with_suite(own, suite)
    assert (found.validation_target_value, found.test_target_value) == (20.0, 21.0)
    assert (found.max_allowed_runtime_sec, found.eval_period_time_sec, found.step_hint) == (1000.0, 45.0, 123)
    without = dataclasses.replace(theirs, test_target=None, step_hint=None)
    found = with_suite(own, dataclasses.replace(suite, known_targets={"wmt": without}))
    assert (found.test_target_value, found.step_hint) == (own.test_target_value, own.step_hint)
    assert with_suite(own, dataclasses.replace(suite, known_targets={})) == own


def test_a_run_under_the_suite_of_2026_has_its_budget_and_of_the_language_model_no_test_target():
    suite = suites.load("algoperf_a100")
    found = with_suite(registry.get("wmt"), suite)
    assert (found.max_allowed_runtime_sec, found.eval_period_time_sec, found.step_hint) == (
        16114,
        644,
        120_000,
    )
    found = with_suite(registry.get("finewebedu_lm"), suite)
    assert (found.max_allowed_runtime_sec, found.validation_target_value) == (31967, 22.2995)
    assert found.test_target_value is None
