"""An interrupted trial that goes on equals one that was never interrupted, in everything but time."""

import dataclasses
import importlib
import os
import pickle
import random
import signal
import sys

import numpy as np
import pytest
from harness import (
    POINT,
    PretendedTime,
    assert_equal_params,
    digits,
    patient,
    run_trial,
    sgd,
    stored_params,
    submission,
)

from algoperf import records, registry
from algoperf import submission as submissions
from algoperf.run import checkpoint, identity, resume
from algoperf.spec import Interrupted, UsageError

STEPS = 20


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    """framework -> folder of a trial of 20 steps that nobody stopped."""
    done = {}

    def get(framework):
        if framework not in done:
            done[framework] = tmp_path_factory.mktemp(f"uninterrupted_{framework}")
            assert run_trial(done[framework], framework, max_steps=STEPS)["status"] == "max_steps"
        return done[framework]

    return get


def stopping(framework, *steps, number=signal.SIGTERM):
    """SGD that sends a signal to its own process in the middle of some steps."""

    def update_params(**arguments):
        if arguments["global_step"] in steps:
            os.kill(os.getpid(), number)
        return sgd(framework).update_params(**arguments)

    return submission(framework, update_params=update_params)


def measured(folder):
    """Step -> metrics, from the evaluation records; times left out."""
    rows = records.read_csv(folder / "trial_1" / records.EVAL_MEASUREMENTS)
    names = [name for name in rows if "/" in name]
    return {step: {name: rows[name][i] for name in names} for i, step in enumerate(rows["global_step"])}


def assert_same_run(folder, other):
    """The same evaluations step for step and the same parameters bit for bit."""
    assert measured(folder) == measured(other)
    assert_equal_params(folder / "trial_1", other / "trial_1")


# ---- stopped and continued -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stops", [(5, 15), (10,)], ids=str)
def test_a_run_in_parts_equals_a_run_in_one(tmp_path, uninterrupted, framework, stops):
    for stop in (*stops, STEPS):
        summary = run_trial(tmp_path, framework, max_steps=stop)
        assert summary["global_step"] == stop
    assert summary["preemption_count"] == len(stops)
    assert_same_run(tmp_path, uninterrupted(framework))


@pytest.mark.parametrize("stops", [(0,), (3, 11, 12)], ids=str)
def test_a_run_that_got_sigterm_goes_on_with_the_very_next_step(tmp_path, uninterrupted, framework, stops):
    for stop in stops:
        with pytest.raises(Interrupted) as interrupted:
            run_trial(tmp_path, framework, stopping(framework, stop), max_steps=STEPS)
        assert interrupted.value.signal_number == signal.SIGTERM
        assert checkpoint.load(tmp_path / "trial_1")["progress"]["global_step"] == stop + 1
        assert not (tmp_path / "trial_1" / records.SUMMARY).exists()
    summary = run_trial(tmp_path, framework, max_steps=STEPS)
    assert summary["status"] == "max_steps"
    assert summary["preemption_count"] == len(stops)
    assert_same_run(tmp_path, uninterrupted(framework))


def test_a_second_sigterm_does_not_cost_the_checkpoint_of_the_first(tmp_path, framework, monkeypatch):
    save, unhandled = checkpoint.save, []

    def save_under_fire(folder, global_step, *rest):
        if global_step == 3:
            os.kill(os.getpid(), signal.SIGTERM)
        return save(folder, global_step, *rest)

    before = signal.signal(signal.SIGTERM, lambda *_: unhandled.append("by default it ends the process"))
    try:
        monkeypatch.setattr(checkpoint, "save", save_under_fire)
        with pytest.raises(Interrupted):
            run_trial(tmp_path, framework, stopping(framework, 2), max_steps=STEPS)
    finally:
        signal.signal(signal.SIGTERM, before)
    assert unhandled == []
    assert checkpoint.load(tmp_path / "trial_1")["progress"]["global_step"] == 3


def test_a_second_ctrl_c_ends_a_trial_at_once(tmp_path):
    steps, loggers = [], []

    def update_params(**arguments):
        loggers.append(arguments["workload"].metrics_logger)
        if arguments["global_step"] == 2:
            for _ in range(2):
                os.kill(os.getpid(), signal.SIGINT)
        steps.append(arguments["global_step"])
        return sgd("pytorch").update_params(**arguments)

    with pytest.raises(KeyboardInterrupt):
        run_trial(tmp_path, "pytorch", submission("pytorch", update_params=update_params))
    loggers[0].finish()  # What the end of the process does otherwise.
    assert steps == [0, 1]
    assert checkpoint.load(tmp_path / "trial_1")["progress"]["global_step"] == 1, "that of the evaluation"


def test_a_reason_to_stop_for_good_that_came_too_late_does_not_count_later(tmp_path):
    folder = tmp_path / "trial_1"
    run_trial(tmp_path, "pytorch", max_steps=2)
    records.write_json(folder / records.STOP, {"reason": "it cannot matter"})
    with pytest.raises(Interrupted):
        run_trial(tmp_path, "pytorch", stopping("pytorch", 3), max_steps=STEPS)
    assert not (folder / records.SUMMARY).exists()


def test_a_trial_that_goes_on_has_no_summary_until_it_ends(tmp_path):
    there = []

    def update_params(**arguments):
        there.append((tmp_path / "trial_1" / records.SUMMARY).exists())
        return sgd("pytorch").update_params(**arguments)

    for stop in (2, 4):
        run_trial(tmp_path, "pytorch", submission("pytorch", update_params=update_params), max_steps=stop)
    assert there == [False] * 4


def test_a_trial_that_starts_over_keeps_no_row_of_before_not_even_of_step_0(tmp_path):
    crashes = iter([True, False])

    def update_params(**arguments):
        step = arguments["global_step"]
        arguments["workload"].metrics_logger.append_scalar_metrics({"lr": 0.1}, step)
        if step == 1 and next(crashes):
            raise ZeroDivisionError
        return sgd("pytorch").update_params(**arguments)

    run = submission("pytorch", update_params=update_params)
    for status in ("failed", "max_steps"):
        summary = run_trial(tmp_path, "pytorch", run, max_steps=3, save_checkpoints=False)
        assert summary["status"] == status
    rows = records.read_csv(tmp_path / "trial_1" / records.MEASUREMENTS)
    assert [step for step, rate in zip(rows["global_step"], rows["lr"], strict=True) if rate == 0.1] == [
        0,
        1,
        2,
    ]


def test_a_run_without_evaluations_goes_on_after_its_last_step(tmp_path):
    for stop in (3, 5):
        summary = run_trial(tmp_path, "pytorch", skip_evals=True, max_steps=stop)
        assert (summary["global_step"], summary["num_evaluations"]) == (stop, 0)
        assert checkpoint.load(tmp_path / "trial_1")["progress"]["global_step"] == stop
    assert summary["preemption_count"] == 1


def test_a_trial_that_is_told_to_stop_for_good_ends_with_the_reason(tmp_path, framework):
    def update_params(**arguments):
        if arguments["global_step"] == 3:
            records.write_json(tmp_path / "trial_1" / records.STOP, {"reason": "it cannot matter"})
            os.kill(os.getpid(), signal.SIGTERM)
        return sgd(framework).update_params(**arguments)

    summary = run_trial(tmp_path, framework, submission(framework, update_params=update_params))
    assert (summary["status"], summary["stop_reason"]) == ("stopped", "it cannot matter")
    assert records.read_json(tmp_path / "trial_1" / records.SUMMARY)["stop_reason"] == "it cannot matter"


@pytest.mark.parametrize("stops", [(), (6,), (8,), (9,), (6, 8)], ids=str)
def test_the_next_evaluation_after_a_resume_is_due_when_it_would_have_been(
    tmp_path, monkeypatch, framework, stops
):
    """Every 5 s, with steps of 1 s; the run is stopped 1 to 4 s after the evaluation of step 6, or twice."""
    settings = {
        "workload": digits(eval_period_time_sec=5.0, max_allowed_runtime_sec=1000.0),
        **{"eval_every_steps": None, "max_steps": 17},
    }
    for stop in stops:
        time = PretendedTime(monkeypatch)
        run = time.takes(framework, 1.0, update_params=stopping(framework, stop).module.update_params)
        with pytest.raises(Interrupted):
            run_trial(tmp_path, framework, run, **settings)
    time = PretendedTime(monkeypatch)  # Another process, whose clock starts anywhere.
    run_trial(tmp_path, framework, time.takes(framework, 1.0), **settings)
    steps = records.read_csv(tmp_path / "trial_1" / records.EVAL_MEASUREMENTS)["global_step"]
    assert steps == [1, 6, 11, 16, 17]


def test_after_a_crash_the_next_evaluation_is_due_a_period_after_the_one_that_was_saved(
    tmp_path, monkeypatch
):
    def crashing(**arguments):
        if arguments["global_step"] == 8:
            raise ZeroDivisionError
        return sgd("pytorch").update_params(**arguments)

    settings = {
        "workload": digits(eval_period_time_sec=5.0, max_allowed_runtime_sec=1000.0),
        **{"eval_every_steps": None, "max_steps": 17},
    }
    for update_params, status in ((crashing, "failed"), (sgd("pytorch").update_params, "max_steps")):
        run = PretendedTime(monkeypatch).takes("pytorch", 1.0, update_params=update_params)
        assert run_trial(tmp_path, "pytorch", run, **settings)["status"] == status
    steps = records.read_csv(tmp_path / "trial_1" / records.EVAL_MEASUREMENTS)["global_step"]
    assert steps == [1, 6, 11, 16, 17]


def test_a_set_up_that_fails_on_a_restart_leaves_what_was_reached_on_record(tmp_path, framework):
    run_trial(tmp_path, framework, max_steps=5)

    def init_optimizer_state(*arguments):
        raise ZeroDivisionError("not today")

    broken = submission(framework, init_optimizer_state=init_optimizer_state)
    summary = run_trial(tmp_path, framework, broken, max_steps=10)
    assert (summary["status"], summary["global_step"], summary["num_evaluations"]) == ("failed", 5, 2)
    assert measured(tmp_path).keys() == {1, 5}
    again = run_trial(tmp_path, framework, max_steps=10)
    assert (again["status"], again["num_evaluations"]) == ("max_steps", 3)
    assert measured(tmp_path).keys() == {1, 5, 10}


def test_handlers_of_signals_are_given_back(tmp_path, framework):
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    run_trial(tmp_path, framework, max_steps=1)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before


def test_dropout_makes_a_difference_so_that_the_other_tests_test_random_states(
    tmp_path, uninterrupted, framework
):
    run_trial(tmp_path, framework, max_steps=5, point={**POINT, "dropout_rate": 0.0})
    assert measured(tmp_path)[5] != measured(uninterrupted(framework))[5]


def test_batches_after_a_resume_are_those_of_an_uninterrupted_run(tmp_path, framework):
    def recording(into, stop=None):
        def data_selection(
            workload, queue, optimizer_state, params, state, hyperparameters, global_step, rng
        ):
            if global_step == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            batch = next(queue)
            into.append(np.asarray(batch["inputs"]).copy())
            return batch

        return submission(framework, data_selection=data_selection)

    whole, parts = [], []
    run_trial(tmp_path / "whole", framework, recording(whole), max_steps=9)
    with pytest.raises(Interrupted):
        run_trial(tmp_path / "parts", framework, recording(parts, stop=3), max_steps=9)
    run_trial(tmp_path / "parts", framework, recording(parts), max_steps=9)
    assert len(whole) == len(parts) == 9
    np.testing.assert_array_equal(np.stack(whole), np.stack(parts))


def test_a_submission_that_draws_several_batches_a_step_resumes_exactly(tmp_path, framework):
    def bent(stop=None):
        def update_params(**arguments):
            if arguments["global_step"] == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            queue = arguments["batch"]
            for _ in range(3):
                arguments["batch"] = next(queue)
                optimizer_state, params, model_state = sgd(framework).update_params(**arguments)
                arguments["optimizer_state"] = optimizer_state
                arguments["current_param_container"] = params
            return optimizer_state, params, model_state

        return submission(
            framework, data_selection=lambda workload, queue, *_: queue, update_params=update_params
        )

    run_trial(tmp_path / "whole", framework, bent())
    with pytest.raises(Interrupted):
        run_trial(tmp_path / "parts", framework, bent(stop=6))
    run_trial(tmp_path / "parts", framework, bent())
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_running_statistics_of_batch_norm_are_restored(tmp_path, framework):
    settings = {"workload": patient(registry.get("digits_batch_norm")), "max_steps": 6, "eval_every_steps": 3}
    run_trial(tmp_path / "whole", framework, **settings)
    with pytest.raises(Interrupted):
        run_trial(tmp_path / "parts", framework, stopping(framework, 3), **settings)
    run_trial(tmp_path / "parts", framework, **settings)
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_weights_that_prepare_for_eval_swapped_in_are_restored_with_the_state_that_undoes_it(
    tmp_path, framework
):
    """As three public submissions do: evaluate an average, and go back at the next step."""

    class Average:
        """Average and live weights, in a form that both frameworks can save."""

        def __init__(self):
            self.live = None

        def state_dict(self):
            return {"live": self.live}

        def load_state_dict(self, state):
            self.live = state["live"]

    def init_optimizer_state(*arguments):
        state = sgd(framework).init_optimizer_state(*arguments)
        if framework == "jax":
            return {"momentum": state[0], "live": None}, None
        return {**state, "average": Average()}

    def halved(values):
        return [value * 0.5 for value in values]

    def prepare_for_eval(workload, current_param_container, model_state, optimizer_state, **rest):
        if framework == "jax":
            import jax

            state = {**optimizer_state[0], "live": current_param_container}
            half = jax.tree.map(lambda leaf: leaf * 0.5, current_param_container)
            return (state, None), half, model_state
        import torch

        with torch.no_grad():
            live = [parameter.detach().clone() for parameter in current_param_container.parameters()]
            for parameter, half in zip(current_param_container.parameters(), halved(live), strict=True):
                parameter.copy_(half)
        optimizer_state["average"].live = live
        return optimizer_state, current_param_container, model_state

    def bent(stop=None):
        def update_params(**arguments):
            if arguments["global_step"] == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            state = arguments["optimizer_state"]
            if framework == "jax":
                if state[0]["live"] is not None:
                    arguments["current_param_container"] = state[0]["live"]
                arguments["optimizer_state"] = (state[0]["momentum"], None)
                (momentum, _), params, model_state = sgd("jax").update_params(**arguments)
                return ({"momentum": momentum, "live": None}, None), params, model_state
            import torch

            if state["average"].live is not None:
                with torch.no_grad():
                    parameters = arguments["current_param_container"].parameters()
                    for parameter, live in zip(parameters, state["average"].live, strict=True):
                        parameter.copy_(live)
                state["average"].live = None
            return sgd("pytorch").update_params(**arguments)

        return submission(
            framework,
            init_optimizer_state=init_optimizer_state,
            prepare_for_eval=prepare_for_eval,
            update_params=update_params,
        )

    summary = run_trial(tmp_path / "whole", framework, bent())
    assert summary["error"] is None
    run_trial(tmp_path / "parts", framework, bent(), max_steps=5)  # the checkpoint holds swapped weights
    with pytest.raises(Interrupted):
        run_trial(tmp_path / "parts", framework, bent(stop=7))
    run_trial(tmp_path / "parts", framework, bent())
    assert_same_run(tmp_path / "parts", tmp_path / "whole")


def test_global_generators_are_seeded_and_restored(tmp_path, framework):
    """Submissions draw from NumPy's and Python's global generators; the same seed must give the same run."""

    def bent(into, stop=None):
        def update_params(**arguments):
            if arguments["global_step"] == stop:
                os.kill(os.getpid(), signal.SIGTERM)
            into.append((np.random.rand(), random.random()))
            return sgd(framework).update_params(**arguments)

        return submission(framework, update_params=update_params)

    whole, parts = [], []
    run_trial(tmp_path / "whole", framework, bent(whole))
    with pytest.raises(Interrupted):
        run_trial(tmp_path / "parts", framework, bent(parts, stop=6))
    np.random.rand(100)
    random.random()
    run_trial(tmp_path / "parts", framework, bent(parts))
    assert parts == whole


# ---- odd states ------------------------------------------------------------------------------------------------------


def test_functions_none_and_host_arrays_in_a_jax_state_survive_a_resume(tmp_path):
    import jax
    import jax.numpy as jnp

    seen = []

    def square(x):
        return x * x

    def init_optimizer_state(*arguments):
        momentum, _ = sgd("jax").init_optimizer_state(*arguments)
        extras = {
            "function": square,
            "none": None,
            "host": np.arange(3),
            "number": 7,
            "key": jax.random.key(1),
        }
        return (momentum, extras, jnp.bfloat16(1.5)), None

    def update_params(**arguments):
        (momentum, extras, half), _ = arguments["optimizer_state"]
        seen.append((extras, half))
        arguments["optimizer_state"] = (momentum, None)
        (momentum, _), params, model_state = sgd("jax").update_params(**arguments)
        return ((momentum, extras, half), None), params, model_state

    run = submission("jax", init_optimizer_state=init_optimizer_state, update_params=update_params)
    assert run_trial(tmp_path, "jax", run, max_steps=5)["warnings"] == []
    assert run_trial(tmp_path, "jax", run, max_steps=6)["error"] is None
    assert len(seen) == 6
    extras, half = seen[-1]
    assert extras["function"] is square
    assert extras["none"] is None
    assert isinstance(extras["host"], np.ndarray)
    np.testing.assert_array_equal(extras["host"], np.arange(3))
    assert extras["number"] == 7
    assert isinstance(extras["number"], int)
    assert jax.random.key_data(extras["key"]).tolist() == jax.random.key_data(jax.random.key(1)).tolist()
    assert half.dtype == jnp.bfloat16


def test_plain_values_tensors_and_namedtuples_in_a_pytorch_state_survive_a_resume(tmp_path):
    import collections

    import torch

    seen = []

    def init_optimizer_state(workload, params, model_state, hyperparameters, rng):
        state = sgd("pytorch").init_optimizer_state(workload, params, model_state, hyperparameters, rng)
        local = collections.namedtuple("Local", ["beta"])(0.9)  # a class that pickle cannot find again
        extras = {"local": local, "point": hyperparameters, "count": 0, "average": torch.zeros(2)}
        return {**state, **extras}

    def update_params(**arguments):
        state = arguments["optimizer_state"]
        seen.append((state["local"], state["count"], state["average"].clone(), state["point"]))
        state["count"] += 1
        state["average"] += 1
        return sgd("pytorch").update_params(**arguments)

    run = submission("pytorch", init_optimizer_state=init_optimizer_state, update_params=update_params)
    assert run_trial(tmp_path, "pytorch", run, max_steps=5)["error"] is None
    assert run_trial(tmp_path, "pytorch", run, max_steps=6)["error"] is None
    local, count, average, point = seen[-1]
    assert local.beta == 0.9
    assert count == 5
    assert average.tolist() == [5.0, 5.0]
    assert point.learning_rate == POINT["learning_rate"]


def test_a_state_that_cannot_be_written_costs_checkpoints_not_the_run(tmp_path, framework):
    def init_optimizer_state(*arguments):
        state = sgd(framework).init_optimizer_state(*arguments)

        class Unwritable:
            def __reduce__(self):
                raise TypeError("not to be pickled")

            def state_dict(self):
                return {"self": self}

        if framework == "jax":
            return (state[0], Unwritable()), None
        return {**state, "unwritable": Unwritable()}

    def update_params(**arguments):
        if framework == "jax":
            (momentum, extra), _ = arguments["optimizer_state"]
            arguments["optimizer_state"] = (momentum, None)
            (momentum, _), params, model_state = sgd("jax").update_params(**arguments)
            return ((momentum, extra), None), params, model_state
        return sgd("pytorch").update_params(**arguments)

    run = submission(framework, init_optimizer_state=init_optimizer_state, update_params=update_params)
    summary = run_trial(tmp_path, framework, run)
    assert summary["status"] == "max_steps"
    assert sum("No checkpoints" in text for text in summary["warnings"]) == 1
    assert not list((tmp_path / "trial_1").glob("*checkpoint_*"))


def test_what_cannot_be_saved_is_named_at_the_first_checkpoint_and_when_the_run_goes_on(tmp_path, capsys):
    def init_optimizer_state(*arguments):
        return {**sgd("pytorch").init_optimizer_state(*arguments), "batches": (n for n in range(3))}

    run = submission("pytorch", init_optimizer_state=init_optimizer_state)

    def update_params(**arguments):
        if arguments["global_step"] == 1:  # After the evaluation of step 1.
            assert "Checkpoints are without optimizer_state['batches']" in capsys.readouterr().err
        return sgd("pytorch").update_params(**arguments)

    first = submission("pytorch", init_optimizer_state=init_optimizer_state, update_params=update_params)
    summary = run_trial(tmp_path, "pytorch", first, max_steps=5, quiet=False)
    assert summary["error"] is None
    assert sum("without optimizer_state['batches']" in text for text in summary["warnings"]) == 1
    again = run_trial(tmp_path, "pytorch", run, max_steps=10)
    assert any(
        text.startswith("Continued at step 5 without optimizer_state['batches']")
        for text in again["warnings"]
    )


def test_a_signal_promises_no_checkpoint_that_cannot_be_written(tmp_path, framework, capsys):
    class Unwritable:
        def __reduce__(self):
            raise TypeError("not to be pickled")

        def state_dict(self):
            return {"self": self}

    def init_optimizer_state(*arguments):
        state = sgd(framework).init_optimizer_state(*arguments)
        if framework == "jax":
            return {"momentum": state[0], "odd": Unwritable()}, None
        return {**state, "odd": Unwritable()}

    def update_params(**arguments):
        if arguments["global_step"] == 7:
            os.kill(os.getpid(), signal.SIGTERM)
        if framework == "pytorch":
            return sgd(framework).update_params(**arguments)
        state, _ = arguments["optimizer_state"]
        arguments["optimizer_state"] = (state["momentum"], None)
        (momentum, _), params, model_state = sgd("jax").update_params(**arguments)
        return ({**state, "momentum": momentum}, None), params, model_state

    run = submission(framework, init_optimizer_state=init_optimizer_state, update_params=update_params)
    with pytest.raises(Interrupted) as interrupted:
        run_trial(tmp_path, framework, run)
    assert "no checkpoint can be written" in capsys.readouterr().err
    assert interrupted.value.goes_on == "starts over, as there is no checkpoint"


@pytest.mark.parametrize("returned", [(1, 2, 3), {"momentum": 1}], ids=["triple", "dict"])
def test_a_jax_update_whose_state_is_no_pair_gets_one_line(tmp_path, returned):
    def update_params(**arguments):
        _, params, model_state = sgd("jax").update_params(**arguments)
        return returned, params, model_state

    summary = run_trial(tmp_path, "jax", submission("jax", update_params=update_params))
    assert (summary["status"], summary["global_step"]) == ("failed", 1)
    kind = type(returned).__name__
    assert summary["error"] == (
        "update_params of a JAX submission must return a pair (state, update function or None) as its optimizer "
        f"state, got {kind}."
    )


# ---- damage ----------------------------------------------------------------------------------------------------------


def test_a_torn_line_and_rows_of_lost_work_leave_no_trace(tmp_path, uninterrupted, framework):
    run_trial(tmp_path, framework, max_steps=10)
    for name in (records.EVAL_MEASUREMENTS, records.MEASUREMENTS):
        path = tmp_path / "trial_1" / name
        header, *rows = path.read_text().splitlines()
        # A complete row of step 15, which came after the checkpoint, then half a row.
        step = header.split(",").index("global_step")
        lost = rows[-1].split(",")
        lost[step] = "15"
        path.write_text("\n".join([header, *rows, ",".join(lost), rows[-1][: len(rows[-1]) // 2]]))
    run_trial(tmp_path, framework, max_steps=STEPS)
    assert_same_run(tmp_path, uninterrupted(framework))
    rows = records.read_csv(tmp_path / "trial_1" / records.MEASUREMENTS)
    assert rows["global_step"] == [1, 5, 10, 10, 15, 20, 20]


@pytest.mark.parametrize("damage", ["torn", "empty", "garbage", "other_version"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(tmp_path, uninterrupted, framework, damage):
    run_trial(tmp_path, framework, max_steps=10, save_intermediate_checkpoints=True)
    newest = tmp_path / "trial_1" / "checkpoint_10"
    whole = newest.read_bytes()
    newest.write_bytes(
        {
            "torn": whole[: len(whole) // 2],
            "empty": b"",
            "garbage": np.random.default_rng(0).bytes(len(whole)),
            "other_version": pickle.dumps({"version": -1}),
        }[damage]
    )
    assert checkpoint.load(tmp_path / "trial_1")["progress"]["global_step"] == 5
    run_trial(tmp_path, framework, max_steps=STEPS)
    assert_same_run(tmp_path, uninterrupted(framework))


def test_a_checkpoint_of_a_later_version_is_refused_in_one_line(tmp_path):
    run_trial(tmp_path, "pytorch", max_steps=5, save_intermediate_checkpoints=True)
    (tmp_path / "trial_1" / "checkpoint_6").write_bytes(pickle.dumps({"version": checkpoint.VERSION + 1}))
    with pytest.raises(
        UsageError, match=r"checkpoint_6 has version 3, and this program reads up to version 2: [^\n]*$"
    ):
        run_trial(tmp_path, "pytorch", max_steps=10)


def test_the_first_checkpoints_are_read(tmp_path):
    """As version 1 was written at first: before there were several processes, and fields that came later."""
    content = {
        "version": 1,
        "training": "trees of the backend",
        "progress": {
            "global_step": 7,
            "eval_results": [(1, {"validation/loss": 2.0})],
            "eval_times_sec": [0.5],
        },
        "queue": {"next_batch": 7},
        "random_state": "of NumPy and Python",
        "ledger": {"update": 5, "wall": 6},
        "preemption_count": 1,
        "identity": {"rng_seed": 0},
        "hyperparameters_read": ["learning_rate"],
    }
    saved = resume.SavedRun.from_content(content)
    assert (saved.state.global_step, saved.state.eval_times_sec) == (7, [0.5])
    assert saved.state.params is None
    assert saved.random_states == ("of NumPy and Python",)
    assert saved.hyperparameters_read == ("learning_rate",)
    written = saved.to_content()
    assert {key: written[key] for key in content if key not in ("version", "progress")} == {
        key: value for key, value in content.items() if key not in ("version", "progress")
    }
    assert written["progress"].items() >= content["progress"].items()
    assert resume.SavedRun.from_content(written) == saved


@pytest.mark.parametrize(
    "content", [b"\x80\x05nonsense", b"", b"algoperf checkpoint 2", b"text\n" * 100], ids=str
)
def test_where_no_checkpoint_can_be_read_the_trial_is_refused_and_nothing_is_lost(
    tmp_path, framework, content
):
    run_trial(tmp_path, framework, max_steps=10)
    folder = tmp_path / "trial_1"
    (folder / "checkpoint_10").write_bytes(content)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    with pytest.raises(UsageError, match=r"none can be read: checkpoint_10 \([^)]+\).*--overwrite"):
        run_trial(tmp_path, framework, max_steps=STEPS)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert run_trial(tmp_path, framework, max_steps=11, overwrite=True)["preemption_count"] == 0


def test_identity_and_progress_are_read_without_what_the_submission_has_put_in(
    tmp_path, framework, monkeypatch
):
    run_trial(tmp_path, framework, max_steps=5)

    def refuse(*_):
        raise AssertionError("must not be unpickled")

    monkeypatch.setattr(pickle, "load", refuse)
    found = checkpoint.find(tmp_path / "trial_1")
    assert found.about["identity"]["rng_seed"] == 0
    assert (found.about["global_step"], found.about["num_evaluations"]) == (5, 2)


def test_one_flipped_bit_is_noticed(tmp_path):
    run_trial(tmp_path, "pytorch", max_steps=5)
    path = tmp_path / "trial_1" / "checkpoint_5"
    whole = path.read_bytes()
    for place in (checkpoint.FIRST_LINE_BYTES + 20, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        with pytest.raises(UsageError, match="its checksum is wrong"):
            checkpoint.find(tmp_path / "trial_1")


@pytest.mark.parametrize("size", ["9" * 16, "-1".rjust(16)])
def test_a_first_line_with_a_wrong_length_is_damage_and_no_traceback(tmp_path, size):
    path = checkpoint.save(tmp_path, 5, {})
    whole = path.read_bytes()
    end = checkpoint.FIRST_LINE_BYTES - 1  # Of the length; a line break follows.
    path.write_bytes(whole[: end - 16] + size.encode() + whole[end:])
    with pytest.raises(UsageError, match="its first line is broken"):
        checkpoint.find(tmp_path)
    assert checkpoint.header(tmp_path) is None


def test_an_older_checkpoint_is_gone_on_from_with_a_warning(tmp_path, capsys):
    run_trial(tmp_path, "pytorch", max_steps=10, save_intermediate_checkpoints=True)
    (tmp_path / "trial_1" / "checkpoint_10").write_bytes(b"")
    summary = run_trial(tmp_path, "pytorch", max_steps=STEPS, quiet=False)
    [warning] = [text for text in summary["warnings"] if "older checkpoint" in text]
    assert warning.startswith(
        "Continued from the older checkpoint_5, as newer ones are damaged: checkpoint_10 (empty)"
    )
    assert f"warning: {warning}" in capsys.readouterr().err


def test_a_checkpoint_that_cannot_be_opened_is_no_reason_to_start_over(tmp_path, monkeypatch):
    run_trial(tmp_path, "pytorch", max_steps=5)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(checkpoint, "_read", refuse)
    with pytest.raises(UsageError, match=r"Cannot read .*checkpoint_5 \(Permission denied\): .*--overwrite"):
        run_trial(tmp_path, "pytorch", max_steps=10)


SUBMISSION_WITH_A_CLASS = """
from dataclasses import dataclass
from typing import Any

from sgd_jax import *
from sgd_jax import init_optimizer_state as sgd_state, update_params as sgd_update


@dataclass
class Own:
    momentum: Any


def init_optimizer_state(*arguments):
    return Own(sgd_state(*arguments)[0]), None


def update_params(**arguments):
    arguments["optimizer_state"] = (arguments["optimizer_state"][0].momentum, None)
    (momentum, _), params, model_state = sgd_update(**arguments)
    return (Own(momentum), None), params, model_state
"""


def test_a_class_that_was_renamed_is_a_changed_submission_and_nothing_is_lost(tmp_path):
    file = tmp_path / "with_own_class" / "submission_jax.py"
    file.parent.mkdir()
    file.write_text(SUBMISSION_WITH_A_CLASS)
    run_trial(tmp_path, "jax", submissions.load(file, "jax"), max_steps=5)
    file.write_text(SUBMISSION_WITH_A_CLASS.replace("Own", "Mine"))
    for name in [name for name in sys.modules if name.startswith("with_own_class")]:
        del sys.modules[name]  # As in another process.
    importlib.invalidate_caches()
    with pytest.raises(UsageError, match="another submission_source"):
        run_trial(tmp_path, "jax", submissions.load(file, "jax"), max_steps=10)
    # Where the identity does not tell, the file is whole all the same.
    changed = dataclasses.replace(
        submissions.load(file, "jax"),
        source_hash=checkpoint.find(tmp_path / "trial_1").about["identity"][identity.SOURCE],
    )
    with pytest.raises(
        UsageError, match=r"checkpoint_5 is whole but cannot be restored here \(AttributeError: .*Own"
    ):
        run_trial(tmp_path, "jax", changed, max_steps=10)
    assert (tmp_path / "trial_1" / "checkpoint_5").exists()


def test_a_checkpoint_is_never_half_written(tmp_path, monkeypatch):
    checkpoint.save(tmp_path, 1, {"value": 1})

    def crash(*arguments):
        raise OSError("the power failed")

    monkeypatch.setattr(os, "replace", crash)
    with pytest.raises(OSError, match="power"):
        checkpoint.save(tmp_path, 2, {"value": 2})
    assert checkpoint.load(tmp_path)["value"] == 1


def test_a_checkpoint_is_on_the_disk_before_the_older_one_is_deleted(tmp_path, monkeypatch):
    older, synced, fsync = checkpoint.save(tmp_path, 1, {}), [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda number: (synced.append(older.exists()), fsync(number)))
    newer = checkpoint.save(tmp_path, 2, {})
    assert synced == [True]
    assert checkpoint.list_checkpoints(tmp_path) == [newer]


def test_the_newest_checkpoint_is_that_of_the_largest_step(tmp_path):
    for step in (5, 10, 9, 100, 20):
        checkpoint.save(tmp_path, step, {"step": step}, keep_older=True)
    (tmp_path / "checkpoint_best").write_text("a user's")
    names = [path.name for path in checkpoint.list_checkpoints(tmp_path)]
    assert names == [f"checkpoint_{step}" for step in (100, 20, 10, 9, 5)]
    assert checkpoint.load(tmp_path)["step"] == 100


def test_only_the_newest_checkpoint_stays_unless_all_are_wanted(tmp_path, framework):
    run_trial(tmp_path / "newest", framework)
    run_trial(tmp_path / "all", framework, save_intermediate_checkpoints=True)
    run_trial(tmp_path / "none", framework, save_checkpoints=False)

    def names(folder):
        return sorted(path.name for path in (tmp_path / folder / "trial_1").glob("checkpoint_*"))

    assert names("newest") == ["checkpoint_10"]
    assert names("all") == ["checkpoint_1", "checkpoint_10", "checkpoint_5"]
    assert names("none") == []


# ---- what is and is not a continuation -------------------------------------------------------------------------------


def test_a_finished_trial_is_not_run_again(tmp_path, framework):
    first = run_trial(
        tmp_path, framework, workload=digits(validation_target_value=0.0, test_target_value=0.0)
    )
    assert first["status"] == "target_reached"

    def update_params(**arguments):
        raise AssertionError("must not run")

    again = run_trial(
        tmp_path,
        framework,
        submission(framework, update_params=update_params),
        workload=digits(validation_target_value=0.0, test_target_value=0.0),
    )
    assert again["already_finished"] is True
    assert again["status"] == "target_reached"
    assert again["submission_time_sec"] == first["submission_time_sec"]


def test_overwrite_starts_over(tmp_path, uninterrupted, framework):
    run_trial(tmp_path, framework, max_steps=10, point={**POINT, "learning_rate": 0.2})
    summary = run_trial(tmp_path, framework, max_steps=STEPS, overwrite=True)
    assert summary["preemption_count"] == 0
    assert_same_run(tmp_path, uninterrupted(framework))


@pytest.mark.parametrize("name", ["notes.txt", "my_notes.json"])
def test_overwrite_leaves_files_of_others_alone(tmp_path, framework, name):
    run_trial(tmp_path, framework, max_steps=1)
    note = tmp_path / "trial_1" / name
    note.write_text("mine")
    run_trial(tmp_path, framework, max_steps=1, overwrite=True)
    assert note.read_text() == "mine"


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"rng_seed": 1}, "rng_seed"),
        ({"point": {**POINT, "learning_rate": 0.2}}, "hyperparameters"),
        ({"eval_every_steps": 2}, "eval_every_steps"),
        ({"study": 1}, "study"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
@pytest.mark.parametrize("is_finished", [False, True], ids=["stopped", "finished"])
def test_another_run_in_the_same_folder_is_refused_and_nothing_is_lost(
    tmp_path, framework, change, word, is_finished
):
    if is_finished:
        run_trial(tmp_path, framework)
    else:
        with pytest.raises(Interrupted):
            run_trial(tmp_path, framework, stopping(framework, 6))
    before = stored_params(tmp_path / "trial_1")
    rows = measured(tmp_path)
    with pytest.raises(UsageError, match=f"another {word}.*--overwrite"):
        run_trial(tmp_path, framework, **change)
    after = stored_params(tmp_path / "trial_1")
    assert all((before[name] == after[name]).all() for name in before)
    assert measured(tmp_path) == rows


def test_a_changed_submission_in_the_same_folder_is_refused(tmp_path, framework):
    run_trial(tmp_path, framework)
    with pytest.raises(UsageError, match="another submission_source"):
        run_trial(tmp_path, framework, submission(framework, source_hash="changed"), max_steps=STEPS)


def test_the_clock_goes_on_where_it_was(tmp_path, framework):
    first = run_trial(tmp_path, framework, max_steps=5)
    second = run_trial(tmp_path, framework, max_steps=10)
    assert second["submission_time_sec"] > first["submission_time_sec"] * 0.99
    rows = records.read_csv(tmp_path / "trial_1" / records.EVAL_MEASUREMENTS)
    assert rows["accumulated_submission_time"] == sorted(rows["accumulated_submission_time"])
    assert rows["total_duration"] == sorted(rows["total_duration"])
    assert second["ledger"]["balanced"] is True
    assert rows["preemption_count"] == [0, 0, 1]


def test_hyperparameters_read_before_the_interruption_count_as_read(tmp_path, framework):
    def update_params(**arguments):
        if arguments["global_step"] == 0:
            _ = arguments["hyperparameters"].extra
        return sgd(framework).update_params(**arguments)

    run = submission(framework, update_params=update_params)
    point = {**POINT, "extra": 1}
    for stop in (5, 7):
        run_trial(tmp_path, framework, run, point=point, max_steps=stop)
    assert run_trial(tmp_path, framework, run, point=point)["unread_hyperparameters"] == []


def test_a_run_whose_checkpoint_was_deleted_says_that_it_starts_over(tmp_path, framework):
    run_trial(tmp_path, framework, max_steps=4)
    for path in (tmp_path / "trial_1").glob("checkpoint_*"):
        path.unlink()
    summary = run_trial(tmp_path, framework, max_steps=6)
    (said,) = [text for text in summary["warnings"] if text.startswith("Started over")]
    assert "held evaluations up to step 4 and no checkpoint." in said
    assert (summary["global_step"], summary["preemption_count"]) == (6, 0)
    assert not any("Started over" in text for text in run_trial(tmp_path, framework, max_steps=8)["warnings"])
