"""A trial from its folder to its summary: how trials end, and what they leave behind."""

import json
import math
import os
import shutil
import subprocess
import sys
import time
import types

import numpy as np
import pytest
from harness import (
    HOURS_SEC,
    POINT,
    ROOT,
    PretendedTime,
    backend,
    digits,
    run_trial,
    sgd,
    submission,
    trial_config,
)

from algoperf import evaluation, random_utils, records, spec
from algoperf.data.queue import TrainingQueue
from algoperf.run import clock, exits, session, trial
from algoperf.spec import UsageError

FILES = ["eval_measurements.csv", "flags_0.json", "hparams.json", "measurements.csv", "meta_data_0.json"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """framework -> (folder, summary) of one plain trial of ten steps."""
    done = {}

    def get(framework):
        if framework not in done:
            folder = tmp_path_factory.mktemp(f"finished_{framework}")
            done[framework] = (folder / "trial_1", run_trial(folder, framework))
        return done[framework]

    return get


# ---- statuses --------------------------------------------------------------------------------------------------------


def test_a_trial_that_does_all_its_steps_ends_with_max_steps(finished, framework):
    _, summary = finished(framework)
    assert summary["status"] == "max_steps"
    assert summary["global_step"] == 10
    assert summary["num_evaluations"] == 3
    assert summary["error"] is None
    assert summary["warnings"] == []


def test_reaching_both_targets_ends_a_trial_and_is_recorded_with_time_and_step(tmp_path, framework):
    easy = digits(validation_target_value=0.0, test_target_value=0.0)
    summary = run_trial(tmp_path, framework, workload=easy)
    assert summary["status"] == "target_reached"
    assert summary["global_step"] == 1
    assert summary["validation_target_reached"]["global_step"] == 1
    reached_at = summary["validation_target_reached"]["submission_time_sec"]
    assert 0 < reached_at <= summary["submission_time_sec"]


def test_one_target_alone_does_not_end_a_trial(tmp_path, framework):
    summary = run_trial(
        tmp_path, framework, workload=digits(validation_target_value=0.0, test_target_value=1.0)
    )
    assert summary["status"] == "max_steps"
    assert summary["validation_target_reached"]["global_step"] == 1
    assert summary["test_target_reached"] is None


def test_a_spent_budget_ends_a_trial_without_another_evaluation(tmp_path, warm_framework):
    def slow_selection(workload, queue, *args):
        import time

        time.sleep(0.05)
        return next(queue)

    summary = run_trial(
        tmp_path,
        warm_framework,
        submission(warm_framework, data_selection=slow_selection),
        workload=digits(max_allowed_runtime_sec=0.1),
        budget_factor=10.0,
        max_steps=None,
        eval_every_steps=1000,
    )
    assert summary["status"] == "budget_exhausted"
    assert summary["budget_sec"] == 1.0
    assert summary["num_evaluations"] == 1, "the one after the first step"
    assert 1.0 <= summary["submission_time_sec"] < 2.0


def test_prepare_for_eval_that_spends_the_rest_of_the_budget_gets_no_evaluation(tmp_path, warm_framework):
    def prepare_for_eval(
        workload, current_param_container, model_state, optimizer_state, global_step, **rest
    ):
        import time

        if global_step > 1:
            time.sleep(2.0)
        return optimizer_state, current_param_container, model_state

    summary = run_trial(
        tmp_path,
        warm_framework,
        submission(warm_framework, prepare_for_eval=prepare_for_eval),
        workload=digits(max_allowed_runtime_sec=2.0),
    )
    assert summary["status"] == "budget_exhausted"
    assert summary["num_evaluations"] == 1
    assert summary["global_step"] == 5


def test_a_submission_ends_its_training_with_an_error_and_gets_one_last_evaluation(tmp_path, framework):
    prepared = []

    def update_params(**arguments):
        if arguments["global_step"] == 6:
            raise spec.TrainingCompleteError
        return sgd(framework).update_params(**arguments)

    def prepare_for_eval(
        workload, current_param_container, model_state, optimizer_state, global_step, **rest
    ):
        prepared.append(global_step)
        return optimizer_state, current_param_container, model_state

    run = submission(framework, update_params=update_params, prepare_for_eval=prepare_for_eval)
    summary = run_trial(tmp_path, framework, run)
    assert summary["status"] == "submission_ended"
    assert summary["global_step"] == 7, "the step that raised counts"
    assert prepared == [1, 5, 7]
    assert summary["last"]["global_step"] == 7
    losses = records.read_csv(tmp_path / "trial_1" / records.EVAL_MEASUREMENTS)["validation/loss"]
    assert summary["last"]["validation/loss"] == losses[-1]
    assert len(set(losses)) == 3, "of the weights after the last update, not those of an evaluation before"


def test_a_run_that_diverges_is_recorded_and_does_not_crash(tmp_path, framework):
    summary = run_trial(tmp_path, framework, point={**POINT, "learning_rate": 1e30})
    assert summary["status"] == "diverged"
    assert summary["error"] is None
    step = summary["last"]["global_step"]
    assert any(
        text.startswith("Diverged: ") and text.endswith(f"at step {step}.") for text in summary["warnings"]
    )
    rows = records.read_csv(tmp_path / "trial_1" / records.EVAL_MEASUREMENTS)
    assert math.isnan(rows["validation/loss"][-1])
    json.loads((tmp_path / "trial_1" / records.SUMMARY).read_text(), parse_constant=pytest.fail)


def test_a_crash_of_the_submission_is_a_status_with_the_place_of_the_error(tmp_path, framework):
    def update_params(**arguments):
        if arguments["global_step"] == 3:
            raise ZeroDivisionError("the third step is unlucky")
        return sgd(framework).update_params(**arguments)

    summary = run_trial(tmp_path, framework, submission(framework, update_params=update_params))
    assert summary["status"] == "failed"
    assert "the third step is unlucky" in summary["error"]
    assert "test_trial.py" in summary["error"]
    assert summary["global_step"] == 3
    assert records.read_json(tmp_path / "trial_1" / records.SUMMARY)["status"] == "failed"


@pytest.mark.parametrize("is_out_of_memory", [True, False])
def test_a_device_that_is_out_of_memory_is_said_beside_the_error(tmp_path, monkeypatch, is_out_of_memory):
    monkeypatch.setattr(backend("pytorch"), "is_out_of_memory", lambda error: is_out_of_memory)

    def crash(**arguments):
        raise RuntimeError("allocation failed")

    summary = run_trial(tmp_path, "pytorch", submission("pytorch", update_params=crash))
    assert summary["status"] == "failed"
    assert "allocation failed" in summary["error"]
    assert any("ran out of memory" in text for text in summary["warnings"]) == is_out_of_memory


def test_a_failed_trial_runs_again_with_the_same_command(tmp_path, framework):
    def crash(**arguments):
        if arguments["global_step"] == 7:
            raise ZeroDivisionError
        return sgd(framework).update_params(**arguments)

    assert run_trial(tmp_path, framework, submission(framework, update_params=crash))["status"] == "failed"
    assert run_trial(tmp_path, framework)["status"] == "max_steps"


@pytest.mark.parametrize(("eval_every_steps", "num_evaluations"), [(100, 1), (5, 1), (4, 2)])
def test_a_budget_is_used_up_when_exactly_all_of_it_is_spent(
    tmp_path, monkeypatch, framework, eval_every_steps, num_evaluations
):
    """Between evaluations, at one that is due at that very moment (it is not made), and after one before."""
    run = PretendedTime(monkeypatch).takes(framework, seconds=1.0)
    settings = {"max_steps": 10, "eval_every_steps": eval_every_steps}
    summary = run_trial(tmp_path, framework, run, workload=digits(max_allowed_runtime_sec=5.0), **settings)
    assert (summary["status"], summary["global_step"]) == ("budget_exhausted", 5)
    assert summary["submission_time_sec"] == 5.0
    assert summary["num_evaluations"] == num_evaluations


def test_a_budget_of_which_a_moment_is_left_is_not_used_up(tmp_path, monkeypatch, framework):
    run = PretendedTime(monkeypatch).takes(framework, seconds=1.0)
    summary = run_trial(
        tmp_path, framework, run, workload=digits(max_allowed_runtime_sec=5.000001), max_steps=5
    )
    assert (summary["status"], summary["num_evaluations"]) == ("max_steps", 2)


def test_targets_may_be_reached_at_different_evaluations(tmp_path, monkeypatch):
    rates = {"eval_train": [0.1] * 3, "validation": [0.9, 0.1, 0.1], "test": [0.1, 0.1, 0.9]}
    found = {split: iter(values) for split, values in rates.items()}
    monkeypatch.setattr(
        evaluation.Evaluator, "evaluate_split", lambda _, split, *rest: {"accuracy": next(found[split])}
    )
    workload = digits(validation_target_value=0.5, test_target_value=0.5)
    summary = run_trial(tmp_path, "pytorch", workload=workload, eval_every_steps=1)
    assert (summary["status"], summary["global_step"]) == ("target_reached", 3)
    assert summary["validation_target_reached"]["global_step"] == 1
    assert summary["test_target_reached"]["global_step"] == 3


@pytest.mark.parametrize("ending", ["crash", "goal"])
def test_a_loss_that_is_not_finite_is_no_divergence_of_what_crashed_or_had_its_target(
    tmp_path, monkeypatch, ending
):
    rates = iter([0.1 if ending == "crash" else 0.9] * 3 + [0.1] * 3)
    monkeypatch.setattr(
        evaluation.Evaluator, "evaluate_split", lambda *rest: {"accuracy": next(rates), "loss": math.nan}
    )

    def update_params(**arguments):
        if arguments["global_step"] == 2:
            raise ZeroDivisionError
        return sgd("pytorch").update_params(**arguments)

    run = submission("pytorch", update_params=update_params) if ending == "crash" else None
    workload = digits(validation_target_value=0.5, test_target_value=1.0)
    summary = run_trial(
        tmp_path, "pytorch", run, workload, eval_every_steps=1, max_steps=2 + (ending == "crash")
    )
    assert summary["status"] == {"crash": "failed", "goal": "max_steps"}[ending]
    assert summary["num_evaluations"] == 2


@pytest.mark.parametrize("max_steps", [3, 100], ids=["finished", "failed"])
def test_the_queue_is_closed_however_a_trial_ends(tmp_path, monkeypatch, max_steps):
    closed, close = [], TrainingQueue.close
    monkeypatch.setattr(TrainingQueue, "close", lambda self: (closed.append(self), close(self)))

    def update_params(**arguments):
        if arguments["global_step"] == 3:
            raise ZeroDivisionError
        return sgd("pytorch").update_params(**arguments)

    run_trial(tmp_path, "pytorch", submission("pytorch", update_params=update_params), max_steps=max_steps)
    assert len(closed) == 1


@pytest.mark.parametrize(("higher_is_better", "best_step"), [(False, 3), (True, 4)])
def test_the_best_evaluation_is_the_best_in_the_direction_of_the_metric(
    tmp_path, monkeypatch, higher_is_better, best_step
):
    errors = [0.5, math.nan, 0.2, 0.6, 0.4]
    found = iter(value for value in errors for _ in range(3))  # A split at a time.
    monkeypatch.setattr(
        evaluation.Evaluator, "evaluate_split", lambda *rest: {"loss": 1.0, "accuracy": next(found)}
    )
    worst = {"validation_target_value": float(higher_is_better), "test_target_value": float(higher_is_better)}
    workload = digits(higher_is_better=higher_is_better, **worst)
    summary = run_trial(tmp_path, "pytorch", workload=workload, eval_every_steps=1, max_steps=5)
    assert summary["best"]["global_step"] == best_step
    assert summary["best"]["validation/accuracy"] == errors[best_step - 1]
    assert summary["last"]["validation/accuracy"] == 0.4


# ---- what the contract refuses ---------------------------------------------------------------------------------------


def returning(framework, change):
    """SGD whose update_params returns `change(optimizer_state, params, model_state)`."""

    def update_params(**arguments):
        return change(*sgd(framework).update_params(**arguments))

    return submission(framework, update_params=update_params)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda o, p, m: (o, p), "(optimizer_state, params, model_state), got tuple of 2 items"),
        (lambda o, p, m: None, "(optimizer_state, params, model_state), got NoneType"),
        (lambda o, p, m: (p, o, m), "(optimizer_state, params, model_state)"),
    ],
    ids=["two_items", "nothing", "wrong_order"],
)
def test_a_wrong_result_of_update_params_is_one_clear_line(tmp_path, framework, change, message):
    summary = run_trial(tmp_path, framework, returning(framework, change))
    assert summary["status"] == "failed"
    assert message in summary["error"]
    assert "\n" not in summary["error"].strip()


def test_a_submission_that_changes_a_shape_is_stopped(tmp_path, framework):
    def widen(optimizer_state, params, model_state):
        if framework == "jax":
            import jax.numpy as jnp

            params = {**params, "Dense_1": {**params["Dense_1"], "bias": jnp.zeros(11)}}
        else:
            import torch

            params.output.bias = torch.nn.Parameter(torch.zeros(11))
        return optimizer_state, params, model_state

    summary = run_trial(tmp_path, framework, returning(framework, widen))
    assert summary["status"] == "failed"
    assert "[11]" in summary["error"]
    assert "[10]" in summary["error"]
    assert "must not change the model" in summary["error"]


def test_a_submission_that_returns_another_structure_is_stopped(tmp_path, framework):
    def add(optimizer_state, params, model_state):
        if framework == "jax":
            import jax.numpy as jnp

            params = {**params, "extra": jnp.zeros(3)}
        else:
            import torch

            params.extra = torch.nn.Parameter(torch.zeros(3))
        return optimizer_state, params, model_state

    summary = run_trial(tmp_path, framework, returning(framework, add))
    assert summary["status"] == "failed"
    assert "extra" in summary["error"]
    assert "\n" not in summary["error"].strip()


def test_a_wrong_optimizer_state_is_refused_before_training(tmp_path, framework):
    def init_optimizer_state(*arguments):
        return [1, 2, 3]

    wanted = {"jax": "must return a pair", "pytorch": "must return a dict"}[framework]
    with pytest.raises(UsageError, match=wanted):
        run_trial(tmp_path, framework, submission(framework, init_optimizer_state=init_optimizer_state))


# ---- what a submission is given --------------------------------------------------------------------------------------


def test_train_state_is_passed_only_when_asked_for_and_is_read_only(tmp_path, framework):
    seen = []

    def update_params(*, train_state, **arguments):
        seen.append(dict(train_state))
        with pytest.raises(TypeError):
            train_state["is_time_remaining"] = True
        return sgd(framework).update_params(**arguments)

    summary = run_trial(tmp_path, framework, submission(framework, update_params=update_params))
    assert summary["error"] is None
    assert seen[0].keys() == {
        "validation_goal_reached",
        "test_goal_reached",
        "is_time_remaining",
        "training_complete",
        "last_eval_time",
        "last_step_end_time",
        "accumulated_submission_time",
        "accumulated_eval_time",
        "accumulated_logging_time",
    }
    times = [state["accumulated_submission_time"] for state in seen]
    assert times[0] == 0.0
    assert times == sorted(times)
    assert times[-1] <= summary["submission_time_sec"]
    assert seen[0]["last_eval_time"] == 0.0
    assert seen[0]["accumulated_eval_time"] == 0.0
    assert seen[1]["last_eval_time"] > 1e9, "wall-clock seconds once there was an evaluation"
    assert seen[1]["accumulated_eval_time"] > 0.0


def test_train_state_says_what_was_reached_and_how_long_all_else_took(tmp_path, framework):
    seen, began = [], time.time()

    def update_params(*, train_state, **arguments):
        seen.append(dict(train_state))
        return sgd(framework).update_params(**arguments)

    summary = run_trial(
        tmp_path,
        framework,
        submission(framework, update_params=update_params),
        workload=digits(validation_target_value=0.0, test_target_value=1.0),
    )
    assert [state["validation_goal_reached"] for state in seen[:2]] == [False, True]
    assert not any(state["test_goal_reached"] for state in seen)
    assert all(state["is_time_remaining"] for state in seen)
    ends = [state["last_step_end_time"] for state in seen]
    assert began < ends[1] < ends[2] < ends[-1] < time.time(), "on the wall clock, of every step"
    rows = records.read_csv(tmp_path / "trial_1" / records.EVAL_MEASUREMENTS)
    # After steps 1 and 5, of 10.
    assert [seen[step]["accumulated_eval_time"] for step in (1, 5)] == rows[records.EVAL_TIME][:2]
    in_evaluation = sum(summary["ledger"][bucket] for bucket in clock.EVALUATION_BUCKETS)
    assert rows[records.EVAL_TIME][-1] == pytest.approx(in_evaluation)
    in_logging = summary["ledger"]["logging"] + summary["ledger"]["checkpoint"]
    assert 0 < seen[1]["accumulated_logging_time"] < seen[5]["accumulated_logging_time"] < in_logging


def test_writing_into_eval_results_changes_no_record(tmp_path, framework):
    def update_params(**arguments):
        if arguments["eval_results"]:
            arguments["eval_results"][-1][1]["validation/accuracy"] = 1.0
            arguments["eval_results"].pop(0)
        return sgd(framework).update_params(**arguments)

    summary = run_trial(tmp_path, framework, submission(framework, update_params=update_params))
    assert summary["error"] is None
    assert summary["num_evaluations"] == 3
    assert summary["best"]["validation/accuracy"] < 1


def test_a_submission_sees_the_arguments_of_the_contract(tmp_path, framework):
    calls = []

    def update_params(**arguments):
        calls.append((arguments["global_step"], arguments["rng"], len(arguments["eval_results"])))
        workload = arguments["workload"]
        assert arguments["loss_type"] is workload.loss_type is spec.LossType.SOFTMAX_CROSS_ENTROPY
        assert arguments["current_params_types"] == workload.model_params_types
        assert arguments["hyperparameters"].learning_rate == POINT["learning_rate"]
        assert "train_state" not in arguments
        for step, metrics in arguments["eval_results"]:
            assert isinstance(step, int)
            assert "validation/accuracy" in metrics
        return sgd(framework).update_params(**arguments)

    summary = run_trial(tmp_path, framework, submission(framework, update_params=update_params))
    assert summary["error"] is None
    assert [step for step, _, _ in calls] == list(range(10))
    assert [evaluations for _, _, evaluations in calls] == [0, 1, 1, 1, 1, 2, 2, 2, 2, 2]
    keys = np.stack([np.asarray(rng) for _, rng, _ in calls])
    assert keys.shape == (10, 2)
    assert keys.dtype == {"jax": np.uint32, "pytorch": np.int32}[framework]
    assert len(np.unique(keys, axis=0)) == 10, "another key in every step"


def test_what_prepare_for_eval_returns_is_evaluated_and_trained_on(tmp_path, framework):
    def zeroed(params):
        if framework == "jax":
            import jax

            return jax.tree.map(lambda leaf: leaf * 0, params)
        import torch

        with torch.no_grad():
            for parameter in params.parameters():
                parameter.zero_()
        return params

    norms = []

    def norm(params):
        leaves = params.parameters() if framework == "pytorch" else __import__("jax").tree.leaves(params)
        return sum(float((leaf**2).sum().item()) for leaf in leaves)

    def prepare_for_eval(workload, current_param_container, model_state, optimizer_state, **rest):
        return optimizer_state, zeroed(current_param_container), model_state

    def update_params(**arguments):
        norms.append(norm(arguments["current_param_container"]))
        return sgd(framework).update_params(**arguments)

    run = submission(framework, prepare_for_eval=prepare_for_eval, update_params=update_params)
    summary = run_trial(tmp_path, framework, run)
    assert summary["error"] is None
    assert summary["last"]["validation/loss"] == pytest.approx(math.log(10), rel=1e-6)
    assert norms[0] > 0
    assert norms[1] == norms[5] == 0.0
    assert norms[2] > 0


def test_prepare_for_eval_draws_with_the_third_key_of_the_last_step(tmp_path):
    """As in AlgoPerf, which splits the key of a step into one each for selection, update and preparation."""
    seen = {}

    def prepare_for_eval(
        workload, current_param_container, model_state, optimizer_state, global_step, rng, **rest
    ):
        seen[global_step] = rng
        return optimizer_state, current_param_container, model_state

    run_trial(tmp_path, "pytorch", submission("pytorch", prepare_for_eval=prepare_for_eval))
    keys = backend("pytorch").step_keys(random_utils.seeds(0, 0, 1)["submission"])
    assert seen.keys() == {1, 5, 10}
    for step, rng in seen.items():
        np.testing.assert_array_equal(rng, keys(step - 1)[2])


def test_a_wrong_result_of_prepare_for_eval_fails_the_trial_not_the_study(tmp_path, framework):
    def prepare_for_eval(workload, current_param_container, model_state, optimizer_state, **rest):
        return optimizer_state, current_param_container

    summary = run_trial(tmp_path, framework, submission(framework, prepare_for_eval=prepare_for_eval))
    assert summary["status"] == "failed"
    assert "prepare_for_eval must return (optimizer_state, params, model_state)" in summary["error"]


def test_a_prepare_for_eval_that_changes_a_shape_is_stopped(tmp_path):
    def prepare_for_eval(workload, current_param_container, model_state, optimizer_state, **rest):
        import torch

        current_param_container.output.bias = torch.nn.Parameter(torch.zeros(11))
        return optimizer_state, current_param_container, model_state

    run = submission("pytorch", prepare_for_eval=prepare_for_eval)
    summary = run_trial(tmp_path, "pytorch", run)
    assert (summary["status"], summary["num_evaluations"]) == ("failed", 0)
    assert "must not change the model" in summary["error"]


def test_one_step_may_hold_several_gradient_steps_on_batches_from_the_iterator(tmp_path, framework):
    def data_selection(workload, input_queue, *rest):
        return input_queue

    drawn = []

    def update_params(**arguments):
        queue = arguments["batch"]
        for _ in range(2):
            arguments["batch"] = next(queue)
            drawn.append(np.asarray(arguments["batch"]["targets"]))
            optimizer_state, params, model_state = sgd(framework).update_params(**arguments)
            arguments["optimizer_state"] = optimizer_state
            arguments["current_param_container"] = params
        return optimizer_state, params, model_state

    run = submission(framework, data_selection=data_selection, update_params=update_params)
    summary = run_trial(tmp_path, framework, run)
    assert summary["error"] is None
    assert len(drawn) == 20


def test_self_tuning_submissions_get_no_hyperparameters(tmp_path, framework):
    seen = []

    def with_fixed_point(function):
        from algoperf.tuning import make_hyperparameters

        def call(**arguments):
            seen.append(arguments["hyperparameters"])
            return function(**{**arguments, "hyperparameters": make_hyperparameters(POINT)})

        return call

    def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
        from algoperf.tuning import make_hyperparameters

        seen.append(hyperparameters)
        point = make_hyperparameters(POINT)
        return sgd(framework).init_optimizer_state(workload, params, model_state, point, rng)

    run = submission(
        framework,
        init_optimizer_state=init_optimizer_state,
        update_params=with_fixed_point(sgd(framework).update_params),
    )
    summary = run_trial(tmp_path, framework, run, point=None, ruleset="self", budget_factor=1.5)
    assert summary["status"] == "max_steps"
    assert set(seen) == {None}
    assert summary["budget_sec"] == 1.5 * HOURS_SEC
    assert not (tmp_path / "trial_1" / records.HPARAMS).exists()


def test_a_hyperparameter_that_nobody_reads_is_reported(tmp_path, framework):
    summary = run_trial(tmp_path, framework, point={**POINT, "wieght_decay": 0.1})
    assert summary["unread_hyperparameters"] == ["wieght_decay"]
    assert any("'wieght_decay' was never read" in text for text in summary["warnings"])


# ---- records ---------------------------------------------------------------------------------------------------------


def test_a_trial_leaves_the_files_of_algoperf_and_a_summary(finished, framework):
    folder, summary = finished(framework)
    assert sorted(path.name for path in folder.iterdir()) == sorted(
        [*FILES, "checkpoint_10", "heartbeat.json", "summary.json"]
    )
    assert records.read_json(folder / records.SUMMARY)["status"] == summary["status"]
    assert records.read_json(folder / records.HPARAMS) == POINT


def test_evaluation_rows_have_algoperfs_columns_in_alphabetical_order(finished, framework):
    folder, summary = finished(framework)
    header = (folder / records.EVAL_MEASUREMENTS).read_text().splitlines()[0].split(",")
    assert header == sorted(header)
    assert set(header) == {
        *("accumulated_eval_time", "accumulated_logging_time", "accumulated_submission_time"),
        *("global_step", "preemption_count", "score", "total_duration"),
        *("train/loss", "train/accuracy", "validation/loss", "validation/accuracy"),
        *("test/loss", "test/accuracy", "validation/num_examples", "test/num_examples"),
    }
    rows = records.read_csv(folder / records.EVAL_MEASUREMENTS)
    assert rows["global_step"] == [1, 5, 10]
    assert rows["score"] == rows["accumulated_submission_time"] == sorted(rows["score"])
    assert rows["score"][-1] == pytest.approx(summary["submission_time_sec"])
    assert rows["validation/accuracy"][-1] == summary["last"]["validation/accuracy"]
    assert set(rows["preemption_count"]) == {0}
    assert all(total > score for total, score in zip(rows["total_duration"], rows["score"], strict=True))


def test_measurements_hold_evaluations_then_the_closing_row(finished, framework):
    folder, summary = finished(framework)
    rows = records.read_csv(folder / records.MEASUREMENTS)
    assert rows["global_step"] == [1, 5, 10, 10]
    assert rows["score"][-1] == summary["submission_time_sec"]
    assert math.isnan(rows["validation/loss"][-1])


def test_what_a_submission_logs_is_in_the_measurements(tmp_path, framework):
    def update_params(**arguments):
        logger, step = arguments["workload"].metrics_logger, arguments["global_step"]
        value = sgd(framework).update_params(**arguments)
        device_scalar = __import__("jax.numpy" if framework == "jax" else "torch", fromlist=["x"]).ones(())
        logger.append_scalar_metrics({"lr": 0.1 * step, "one": device_scalar}, step)
        return value

    summary = run_trial(tmp_path, framework, submission(framework, update_params=update_params))
    assert summary["error"] is None
    rows = records.read_csv(tmp_path / "trial_1" / records.MEASUREMENTS)
    logged = [
        (step, lr, one)
        for step, lr, one in zip(rows["global_step"], rows["lr"], rows["one"], strict=True)
        if not math.isnan(lr)
    ]
    assert logged == [(step, 0.1 * step, 1.0) for step in range(10)]


def test_what_a_submission_logged_is_on_disk_after_each_evaluation(tmp_path, framework):
    path, on_disk = tmp_path / "trial_1" / records.MEASUREMENTS, {}

    def update_params(**arguments):
        step = arguments["global_step"]
        on_disk[step] = records.read_csv(path).get("lr", []) if path.exists() else []
        arguments["workload"].metrics_logger.append_scalar_metrics({"lr": float(step)}, step)
        return sgd(framework).update_params(**arguments)

    run_trial(tmp_path, framework, submission(framework, update_params=update_params), max_steps=6)
    logged = {step: [value for value in on_disk[step] if not math.isnan(value)] for step in (0, 1, 4, 5)}
    assert logged == {0: [], 1: [0.0], 4: [0.0], 5: [0.0, 1.0, 2.0, 3.0, 4.0]}


def test_logging_something_that_is_no_number_fails_the_trial_with_a_summary(tmp_path, framework):
    def update_params(**arguments):
        arguments["workload"].metrics_logger.append_scalar_metrics({"loss": [1, 2]}, arguments["global_step"])
        return sgd(framework).update_params(**arguments)

    summary = run_trial(tmp_path, framework, submission(framework, update_params=update_params))
    assert summary["status"] == "failed"
    assert "'loss'" in summary["error"]


def test_meta_data_says_what_is_needed_to_run_the_trial_again(finished, framework):
    folder, _ = finished(framework)
    meta = records.read_json(folder / "meta_data_0.json")
    assert meta["workload.target_metric_name"] == "accuracy"
    assert meta["rng_seed"] == 0
    assert meta["seeds"].keys() == {"data", "init", "submission", "evaluation"}
    assert meta["package_versions"].keys() >= {"numpy", {"jax": "jax", "pytorch": "torch"}[framework]}
    assert meta["global_batch_size"] == 32
    assert meta["submission_hash"] == "sgd"
    assert meta["identity"]["workload"] == "digits"
    assert meta["cpu_count"] >= 1
    assert "git_commit_hash" in meta


def test_the_ledger_of_a_real_run_adds_up_to_the_wall_time(finished, framework):
    _, summary = finished(framework)
    ledger = summary["ledger"]
    assert ledger["balanced"] is True
    assert sum(ledger[bucket] for bucket in clock.BUCKETS) == pytest.approx(ledger["total"], abs=1e-6)
    assert ledger["total"] == pytest.approx(ledger["wall"], abs=0.05)
    spent = sum(ledger[bucket] for bucket in clock.SUBMISSION_BUCKETS)
    assert summary["submission_time_sec"] == pytest.approx(spent, abs=1e-6)


def test_peak_memory_is_recorded(finished, framework):
    _, summary = finished(framework)
    assert summary["peak_memory"]["host_bytes"] > 10 * 2**20
    assert isinstance(summary["peak_memory"]["device_bytes"], dict)


def test_skipping_evaluations_trains_and_records_none(tmp_path, framework):
    summary = run_trial(tmp_path, framework, skip_evals=True)
    assert summary["status"] == "max_steps"
    assert summary["num_evaluations"] == 0
    assert summary["best"] is None


def test_evaluations_come_after_the_first_step_then_at_multiples_and_at_the_end(tmp_path, framework):
    summary = run_trial(tmp_path, framework, eval_every_steps=4, max_steps=10)
    rows = records.read_csv(tmp_path / "trial_1" / records.EVAL_MEASUREMENTS)
    assert rows["global_step"] == [1, 4, 8, 10]
    assert summary["num_evaluations"] == 4


def test_evaluations_by_time_come_after_the_first_step_and_then_by_the_period(tmp_path, warm_framework):
    def slow(workload, queue, *rest):
        import time

        time.sleep(0.1)
        return next(queue)

    summary = run_trial(
        tmp_path,
        warm_framework,
        submission(warm_framework, data_selection=slow),
        workload=digits(eval_period_time_sec=0.5),
        eval_every_steps=None,
        max_steps=12,
    )
    steps = records.read_csv(tmp_path / "trial_1" / records.EVAL_MEASUREMENTS)["global_step"]
    assert steps[0] == 1
    assert steps[-1] == 12
    gaps = np.diff(steps)[:-1]
    assert (gaps >= 3).all(), steps
    assert (gaps <= 5).all(), steps
    assert summary["eval_every_steps"] is None


def test_a_run_past_its_targets_records_that_it_reached_them_and_ends_by_steps(tmp_path, warm_framework):
    easy = digits(validation_target_value=0.0, test_target_value=0.0)
    summary = run_trial(tmp_path, warm_framework, workload=easy, run_past_targets=True)
    assert (summary["status"], summary["global_step"]) == ("max_steps", 10)
    assert summary["validation_target_reached"]["global_step"] == 1
    with pytest.raises(UsageError, match="another run_past_targets"):
        run_trial(tmp_path, warm_framework, workload=easy)


# ---- several processes -----------------------------------------------------------------------------------------------


class NoModelError(Exception):
    """Stands for whatever fails in set-up."""


@pytest.fixture
def failed_set_up(monkeypatch):
    """failed_set_up(config) is how process 0 records a failure of another before training."""

    def no_model(*arguments, **options):
        raise NoModelError

    def get(config):
        failures = types.SimpleNamespace(record=None)
        monkeypatch.setattr(session, "Workload", no_model)
        with pytest.raises(NoModelError):
            trial.set_up(config, clock.Ledger(), failures)
        return failures.record

    return get


def test_a_failure_elsewhere_before_training_is_recorded(tmp_path, failed_set_up):
    config = trial_config(tmp_path, "pytorch")
    failed_set_up(config)("process 1: out of luck")
    summary = records.read_json(config.folder / records.SUMMARY)
    assert (summary["status"], summary["error"]) == ("failed", "process 1: out of luck")
    assert run_trial(tmp_path, "pytorch")["status"] == "max_steps"


def test_a_failure_before_training_leaves_the_folder_of_another_run_alone(tmp_path, failed_set_up):
    run_trial(tmp_path, "pytorch", max_steps=1)
    before = (tmp_path / "trial_1" / records.SUMMARY).read_text()
    with pytest.raises(UsageError, match="another rng_seed"):
        failed_set_up(trial_config(tmp_path, "pytorch", rng_seed=1))("process 1: out of luck")
    assert (tmp_path / "trial_1" / records.SUMMARY).read_text() == before


# ---- submissions that end the process --------------------------------------------------------------------------------


def ends_silently():
    os._exit(0)


def says_goodbye():
    sys.exit("please install foo")


@pytest.mark.parametrize("where", ["init_optimizer_state", "update_params"])
@pytest.mark.parametrize(
    "end", [ends_silently, says_goodbye, lambda: sys.exit(0)], ids=["_exit", "text", "exit"]
)
def test_a_submission_that_ends_the_process_is_a_failed_trial_with_a_summary(
    tmp_path, warm_framework, where, end
):
    def function(*arguments, **named):
        end()

    with exits.refused():
        summary = run_trial(tmp_path, warm_framework, submission(warm_framework, **{where: function}))
    assert summary["status"] == "failed"
    assert "SystemExit" in summary["error"] or "os._exit(0) was called" in summary["error"]
    assert (tmp_path / "trial_1" / records.SUMMARY).exists()


def test_processes_that_a_submission_starts_end_as_they_like():
    code = (
        "import os\n"
        "from algoperf.run import exits\n"
        "with exits.refused():\n"
        "    child = os.fork()\n"
        "    if child == 0: os._exit(3)\n"
        "    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))\n"
        "os._exit(4)"
    )
    done = subprocess.run([sys.executable, "-u", "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.returncode) == ("3\n", 4), done.stderr


# ---- errors that name no argument ------------------------------------------------------------------------------------


def test_an_array_that_was_donated_and_used_again_is_named(tmp_path):
    kept = []

    def update_params(**arguments):
        kept.append(arguments["current_param_container"])
        arguments["current_param_container"] = kept[0]
        return sgd("jax").update_params(**arguments)

    summary = run_trial(tmp_path, "jax", submission("jax", update_params=update_params))
    assert "deleted" in summary["error"]
    assert any("had taken over (donate_argnums)" in text for text in summary["warnings"])


def test_state_of_another_shape_is_named_beside_the_arguments(tmp_path):
    import jax.numpy as jnp

    def init_optimizer_state(*arguments):
        momentum, static = sgd("jax").init_optimizer_state(*arguments)
        return jax_tree_map(lambda leaf: jnp.zeros((3, *leaf.shape[1:])), momentum), static

    from jax.tree_util import tree_map as jax_tree_map

    summary = run_trial(tmp_path, "jax", submission("jax", init_optimizer_state=init_optimizer_state))
    assert summary["status"] == "failed"
    assert any("optimizer_state with (3" in text for text in summary["warnings"])


@pytest.mark.parametrize("metrics", [None, [1.0]], ids=str)
def test_logging_of_what_is_no_dictionary_is_one_line(tmp_path, warm_framework, metrics):
    def update_params(**arguments):
        arguments["workload"].metrics_logger.append_scalar_metrics(metrics, arguments["global_step"])
        return sgd(warm_framework).update_params(**arguments)

    summary = run_trial(tmp_path, warm_framework, submission(warm_framework, update_params=update_params))
    assert summary["error"].startswith(
        f"append_scalar_metrics wants a dictionary of scalars, got {type(metrics).__name__}"
    )


@pytest.mark.parametrize(
    "name", ["score", "validation/loss", "test/accuracy", "two\nlines", "\ud800"], ids=ascii
)
def test_a_submission_cannot_log_under_the_names_of_evaluations(tmp_path, warm_framework, name):
    def update_params(**arguments):
        logger, step = arguments["workload"].metrics_logger, arguments["global_step"]
        logger.append_scalar_metrics({"own/score": "\ud800"}, step, is_eval=True)
        logger.append_scalar_metrics({name: 1.0}, step)
        return sgd(warm_framework).update_params(**arguments)

    summary = run_trial(tmp_path, warm_framework, submission(warm_framework, update_params=update_params))
    assert "append_scalar_metrics got the name" in summary["error"]
    assert "own/score" in records.read_csv(tmp_path / "trial_1" / records.MEASUREMENTS)
    assert "own/score" not in records.read_csv(tmp_path / "trial_1" / records.EVAL_MEASUREMENTS)


def test_evaluations_of_a_trial_that_failed_before_the_first_are_a_header(tmp_path, warm_framework):
    def update_params(**arguments):
        raise ZeroDivisionError("too early")

    run = submission(warm_framework, update_params=update_params)
    assert run_trial(tmp_path, warm_framework, run)["status"] == "failed"
    path = tmp_path / "trial_1" / records.EVAL_MEASUREMENTS
    columns = records.read_csv(path)
    assert {"score", "global_step", "validation/accuracy"} <= columns.keys()
    assert not any(columns.values())
    # Another try that comes further writes its columns as if there had been nothing.
    run_trial(tmp_path, warm_framework, submission(warm_framework), max_steps=1)
    header = path.read_text().splitlines()[0].split(",")
    assert header == sorted(header)
    assert len(records.read_csv(path)["score"]) == 1


def test_an_error_inside_a_property_of_the_workload_is_the_one_that_is_seen(monkeypatch):
    from algoperf.bound_workload import Workload

    def broken(self):
        return None.files

    monkeypatch.setattr(Workload, "evaluator", property(broken))
    workload = object.__new__(Workload)
    workload.spec = digits()
    with pytest.raises(AttributeError, match="'NoneType' object has no attribute 'files'"):
        _ = workload.evaluator
    with pytest.raises(AttributeError, match="Workload 'digits' has no attribute 'nothing'"):
        _ = workload.nothing


def test_a_submission_that_deletes_its_folder_is_a_failed_trial_and_one_line(tmp_path, warm_framework):
    original = submission(warm_framework).module.update_params

    def update_params(**arguments):
        shutil.rmtree(tmp_path / "trial_1", ignore_errors=True)
        return original(**arguments)

    run = submission(warm_framework, update_params=update_params)
    summary = run_trial(tmp_path, warm_framework, run, max_steps=3)
    assert summary["status"] == "failed"
    assert "its folder was deleted meanwhile" in summary["error"]
    assert "Traceback" not in summary["error"]
