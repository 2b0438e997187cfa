"""Every algorithm that discovery finds, on `digits`: its search space, its self-tuning point, a run in two parts."""

import dataclasses
import functools
import os
import signal
import types

import pytest
from discovered import ALGORITHMS
from harness import FRAMEWORKS, ROOT, assert_equal_params, digits, run_trial

from algoperf import records, submission, tuning
from algoperf.spec import Interrupted

STEPS, EVAL_EVERY_STEPS = 6, 3
STOPPED_IN = (
    4  # Goes on with step 5: between two evaluations, and odd, where data echoing uses a batch again.
)
STEP_HINT = 100  # Warm-up ends within the steps.

every_algorithm = pytest.mark.parametrize("algorithm", ALGORITHMS)
both_frameworks = pytest.mark.parametrize("framework", FRAMEWORKS)


@functools.cache
def loaded(algorithm, framework):
    return submission.load(ROOT / "reference_algorithms" / algorithm, framework)


def trial(folder, run, **changes):
    """A short run of the self-tuning point, unless `changes` say otherwise; returns the summary."""
    fields = {"ruleset": "self", "point": None, "max_steps": STEPS, "eval_every_steps": EVAL_EVERY_STEPS}
    return run_trial(folder, run.framework, run, digits(step_hint=STEP_HINT), **{**fields, **changes})


def stopping(run, step):
    """The submission, which sends SIGTERM to its own process in the middle of a step."""

    def update_params(**arguments):
        if arguments["global_step"] == step:
            os.kill(os.getpid(), signal.SIGTERM)
        return run.module.update_params(**arguments)

    module = types.SimpleNamespace(**{**vars(run.module), "update_params": update_params})
    return dataclasses.replace(run, module=module)


def measured(folder):
    """Step -> metrics; times left out."""
    rows = records.read_csv(folder / "trial_1" / records.EVAL_MEASUREMENTS)
    names = [name for name in rows if "/" in name]
    return {step: [rows[name][i] for name in names] for i, step in enumerate(rows["global_step"])}


@both_frameworks
@every_algorithm
def test_a_self_tuning_run_that_was_stopped_ends_like_one_that_was_not(tmp_path, algorithm, framework):
    run = loaded(algorithm, framework)
    summary = trial(tmp_path / "whole", run)
    assert (summary["status"], summary["error"], summary["warnings"]) == ("max_steps", None, [])
    # In PyTorch nothing is compiled here; in JAX the step, and what algorithms have beside it, once each.
    compiled = summary["compilations"]["update"]
    assert set(compiled.values()) <= {1}, compiled
    assert ("_step" in compiled) == (framework == "jax")
    with pytest.raises(Interrupted):
        trial(tmp_path / "parts", stopping(run, STOPPED_IN))
    assert trial(tmp_path / "parts", run)["preemption_count"] == 1
    assert list(measured(tmp_path / "whole")) == [1, EVAL_EVERY_STEPS, STEPS]
    assert measured(tmp_path / "parts") == measured(tmp_path / "whole")
    assert_equal_params(tmp_path / "parts" / "trial_1", tmp_path / "whole" / "trial_1")


@every_algorithm
def test_a_point_of_the_algorithm_s_own_search_space_runs(tmp_path, algorithm):
    run = loaded(
        algorithm, "pytorch"
    )  # In JAX each point is compiled anew; the rule at a point is tested elsewhere.
    space, _ = submission.search_space(run.path, None)
    [point] = tuning.draw_points(space, 1, seed=0)
    summary = trial(tmp_path, run, ruleset="external", point=point, max_steps=3)
    assert (summary["status"], summary["global_step"], summary["error"]) == ("max_steps", 3, None)
    assert summary["warnings"] == [], "a hyperparameter that is never read gives a warning"
