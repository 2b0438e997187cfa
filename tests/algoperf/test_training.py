"""The clock in real runs: whose time is what, and when runs pause and end."""

import functools
import time

import pytest
from harness import digits, run_trial, sgd, submission

HEAVY_STEPS = 2


def jax_chain(length):
    """A compiled chain of products whose result takes a while and whose call returns at once."""
    import jax
    import jax.numpy as jnp

    @jax.jit
    def chain(x):
        return jax.lax.fori_loop(0, length, lambda _, y: (y @ x) / 400.0, x)

    return chain, jnp.ones((400, 400))


@pytest.fixture(scope="module")
def heavy(compiled):
    """(function, argument, seconds): device work of at least 0.3 s, by a clock that waits for it."""
    compiled("jax")
    length = 50
    while True:
        chain, x = jax_chain(length)
        chain(x).block_until_ready()
        seconds = min(_blocked_seconds(chain, x) for _ in range(2))
        if seconds > 0.3:
            start = time.perf_counter()
            pending = chain(x)
            assert time.perf_counter() - start < 0.5 * seconds, "the call must return before the work is done"
            pending.block_until_ready()
            return chain, x, seconds
        length = int(length * max(1.5, 0.4 / max(seconds, 1e-3)))


def _blocked_seconds(chain, x):
    start = time.perf_counter()
    chain(x).block_until_ready()
    return time.perf_counter() - start


def eval_seconds(summary):
    ledger = summary["ledger"]
    return ledger["eval_train"] + ledger["eval_validation"] + ledger["eval_test"]


@pytest.mark.parametrize("where", ["optimizer_state", "global", "nowhere"])
def test_queued_device_work_is_charged_to_the_submission(tmp_path, heavy, where):
    chain, x, seconds = heavy
    kept = []

    def init_optimizer_state(*arguments):
        momentum, _ = sgd("jax").init_optimizer_state(*arguments)
        return (momentum, x + 0), None

    def update_params(**arguments):
        (momentum, _), static = arguments["optimizer_state"]
        arguments["optimizer_state"] = (momentum, static)
        (momentum, static), params, model_state = sgd("jax").update_params(**arguments)
        work = chain(x)
        if where == "global":
            kept.append(work)
        return ((momentum, work if where == "optimizer_state" else x), static), params, model_state

    run = submission("jax", init_optimizer_state=init_optimizer_state, update_params=update_params)
    summary = run_trial(
        tmp_path, "jax", run, eval_every_steps=1, max_steps=HEAVY_STEPS, save_checkpoints=False
    )
    assert summary["error"] is None
    assert summary["num_evaluations"] == HEAVY_STEPS
    # Other processes share the machine, so the two measurements differ; without waiting the share is near zero.
    assert summary["ledger"]["update"] > 0.6 * HEAVY_STEPS * seconds
    assert eval_seconds(summary) < 0.4 * HEAVY_STEPS * seconds


def test_device_work_queued_by_prepare_for_eval_is_charged_to_it(tmp_path, heavy):
    chain, x, seconds = heavy

    def prepare_for_eval(workload, current_param_container, model_state, optimizer_state, **rest):
        chain(x)
        return optimizer_state, current_param_container, model_state

    run = submission("jax", prepare_for_eval=prepare_for_eval)
    summary = run_trial(
        tmp_path, "jax", run, eval_every_steps=1, max_steps=HEAVY_STEPS, save_checkpoints=False
    )
    assert summary["ledger"]["prepare_for_eval"] > 0.6 * HEAVY_STEPS * seconds
    assert eval_seconds(summary) < 0.4 * HEAVY_STEPS * seconds
    assert summary["submission_time_sec"] > 0.6 * HEAVY_STEPS * seconds


def test_the_loop_does_not_wait_for_the_device_in_every_step(tmp_path, heavy):
    chain, x, seconds = heavy
    returned_after = []

    def update_params(**arguments):
        start = time.perf_counter()
        result = sgd("jax").update_params(**arguments)
        chain(x)
        returned_after.append(time.perf_counter() - start)
        return result

    run = submission("jax", update_params=update_params)
    run_trial(tmp_path, "jax", run, skip_evals=True, max_steps=2, save_checkpoints=False)
    assert max(returned_after) < 0.7 * seconds


def test_a_slow_data_selection_is_charged_to_data_selection(tmp_path, warm_framework):
    def data_selection(workload, queue, *rest):
        time.sleep(0.05)
        return next(queue)

    run = submission(warm_framework, data_selection=data_selection)
    summary = run_trial(tmp_path, warm_framework, run)
    assert 0.5 <= summary["ledger"]["data_selection"] < 1.5
    assert summary["submission_time_sec"] >= 0.5
    assert summary["ledger"]["balanced"] is True


def test_time_spent_in_evaluation_is_not_charged(tmp_path, warm_framework, monkeypatch):
    from algoperf.evaluation import Evaluator

    evaluate_split = Evaluator.evaluate_split

    @functools.wraps(evaluate_split)
    def slow(self, split, *args):
        time.sleep({"eval_train": 0.3, "validation": 0.4, "test": 0.5}[split])
        return evaluate_split(self, split, *args)

    monkeypatch.setattr(Evaluator, "evaluate_split", slow)
    summary = run_trial(tmp_path, warm_framework, max_steps=1)
    assert summary["ledger"]["eval_train"] >= 0.3
    assert summary["ledger"]["eval_validation"] >= 0.4
    assert summary["ledger"]["eval_test"] >= 0.5
    assert summary["submission_time_sec"] < 0.9


def test_init_optimizer_state_is_not_charged(tmp_path, warm_framework):
    def init_optimizer_state(*arguments):
        time.sleep(1.0)
        return sgd(warm_framework).init_optimizer_state(*arguments)

    run = submission(warm_framework, init_optimizer_state=init_optimizer_state)
    summary = run_trial(tmp_path, warm_framework, run, max_steps=1)
    assert summary["ledger"]["set_up"] >= 1.0
    assert summary["submission_time_sec"] < 0.9


def test_a_submission_that_replaces_the_functions_of_time_does_not_change_the_clock(
    tmp_path, warm_framework, monkeypatch
):
    frozen = time.perf_counter_ns()
    for name in ("perf_counter_ns", "monotonic_ns", "time_ns"):
        monkeypatch.setattr(time, name, lambda: frozen)
    for name in ("perf_counter", "monotonic", "time"):
        monkeypatch.setattr(time, name, lambda: frozen / 1e9)
    sleep = time.sleep

    def data_selection(workload, queue, *rest):
        sleep(0.05)
        return next(queue)

    summary = run_trial(tmp_path, warm_framework, submission(warm_framework, data_selection=data_selection))
    assert summary["submission_time_sec"] >= 0.5
    assert summary["ledger"]["balanced"] is True


def test_an_unbalanced_ledger_is_a_recorded_warning(tmp_path, warm_framework, monkeypatch):
    from algoperf.run import clock

    enter = clock.Ledger.enter

    def forgetful(self, bucket):
        now = enter(self, bucket)
        self._spent_ns["eval_test"] = 0
        return now

    monkeypatch.setattr(clock.Ledger, "enter", forgetful)
    from algoperf.evaluation import Evaluator

    evaluate_split = Evaluator.evaluate_split

    def slow(self, split, *args):
        time.sleep(0.1)
        return evaluate_split(self, split, *args)

    monkeypatch.setattr(Evaluator, "evaluate_split", slow)
    summary = run_trial(tmp_path, warm_framework, max_steps=2, eval_every_steps=1)
    assert summary["ledger"]["balanced"] is False
    assert any("ledger adds up to" in text for text in summary["warnings"])


def test_a_budget_that_is_smaller_than_the_first_step_gives_no_evaluation(tmp_path, warm_framework):
    summary = run_trial(tmp_path, warm_framework, workload=digits(max_allowed_runtime_sec=1e-6))
    assert summary["status"] == "budget_exhausted"
    assert summary["global_step"] == 1
    assert summary["num_evaluations"] == 0
    assert summary["validation_target_reached"] is None


def test_the_budget_is_checked_between_evaluations_too(tmp_path, warm_framework):
    def data_selection(workload, queue, *rest):
        time.sleep(0.1)
        return next(queue)

    summary = run_trial(
        tmp_path,
        warm_framework,
        submission(warm_framework, data_selection=data_selection),
        workload=digits(max_allowed_runtime_sec=1.0, eval_period_time_sec=60),
        eval_every_steps=None,
        max_steps=None,
    )
    assert summary["status"] == "budget_exhausted"
    assert 2 <= summary["global_step"] <= 10
    assert 1.0 <= summary["submission_time_sec"] < 1.6


def test_several_trials_of_one_process_do_not_share_state(tmp_path, framework):
    first = run_trial(tmp_path / "a", framework)
    second = run_trial(tmp_path / "b", framework)
    assert first["last"] == second["last"]
