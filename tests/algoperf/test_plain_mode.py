"""What a run without a referee does not let pass: training in set-up, work while the state for checkpoints is taken."""

import time

import pytest
from harness import patient, run_trial, sgd, submission

from algoperf import registry
from algoperf.backends.base import SubmissionError
from algoperf.run.state_speed import StateSpeed


def _change(tree):
    """Changes one array of nested dictionaries in place."""
    key, value = next(iter(tree.items()))
    if isinstance(value, dict):
        _change(value)
    else:
        tree[key] = value + 1


@pytest.mark.parametrize("what", ["parameters", "model state"])
def test_set_up_that_changes_what_is_trained_is_refused(tmp_path, framework, what):
    def init_optimizer_state(workload, params, model_state, *rest):
        if framework == "pytorch":
            tensors = params.parameters() if what == "parameters" else params.buffers()
            next(tensor for tensor in tensors if tensor.is_floating_point()).data.add_(1)
        else:
            _change(params if what == "parameters" else model_state)
        return sgd(framework).init_optimizer_state(workload, params, model_state, *rest)

    changed = submission(framework, init_optimizer_state=init_optimizer_state)
    with pytest.raises(SubmissionError, match=r"R3\.18"):
        run_trial(tmp_path, framework, changed, digits_with_batch_norm())


def digits_with_batch_norm():
    return patient(registry.get("digits_batch_norm"))


class Slow:
    """Takes its time to say what is to be saved of it, and might train meanwhile."""

    calls = 0

    def __getstate__(self):
        Slow.calls += 1
        end = time.process_time() + 0.3
        while time.process_time() < end:
            pass
        return {}


def test_work_while_the_state_for_a_checkpoint_is_taken_is_charged(tmp_path, framework):
    def init_optimizer_state(*arguments):
        state = sgd(framework).init_optimizer_state(*arguments)
        if framework == "pytorch":
            return {**state, "slow": Slow()}
        return (state[0], Slow()), state[1]

    def update_params(**arguments):
        state = arguments["optimizer_state"]
        if framework == "pytorch":
            return sgd(framework).update_params(**arguments)
        (own, slow), function = state
        (new, _), params, model_state = sgd(framework).update_params(
            **{**arguments, "optimizer_state": (own, function)}
        )
        return ((new, slow), function), params, model_state

    Slow.calls = 0
    run = submission(framework, init_optimizer_state=init_optimizer_state, update_params=update_params)
    found = run_trial(tmp_path, framework, run)
    assert found["error"] is None, found["error"]
    assert Slow.calls >= 3, "at each evaluation"
    assert found["ledger"]["balanced"]
    assert found["ledger"]["update"] > 0.2 * Slow.calls


def test_an_allowance_follows_from_the_size_and_the_period():
    speed = StateSpeed(seconds=0.2, num_bytes=100)
    assert speed.allowed_sec(100, 0) == pytest.approx(0.3)
    assert speed.allowed_sec(1000, 0) == pytest.approx(3)
    assert speed.allowed_sec(1, 0) == pytest.approx(0.3), "what does not depend on sizes takes its time, too"
    assert speed.allowed_sec(100, 1e6) == pytest.approx(0.4)
