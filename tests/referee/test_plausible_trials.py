"""What the numbers of a refereed trial say about it, and whether both children fit into a memory."""

import types

import numpy as np
import pytest
from harness import FRAMEWORKS, backend, digits

from algoperf.data.queue import TrainingQueue
from algoperf.referee import plausible, plausible_steps, room
from algoperf.referee.findings import Findings
from algoperf.run.state import NO_TREES, TrialState
from algoperf.spec import UsageError


def book(values=(), steps=(), seconds=(), step_hint=1000, batch_size=100, **of_processes):
    """What the rules read of a trial: validation accuracies from 0.1, whose target is 0.9."""
    spec = types.SimpleNamespace(
        target_metric_name="accuracy", validation_target_value=0.9, step_hint=step_hint
    )
    state = TrialState(**NO_TREES, global_step=steps[-1])
    state.eval_results = [
        (step, {"validation/accuracy": value}) for step, value in zip(steps, values, strict=True)
    ]
    state.eval_times_sec = list(seconds)
    return types.SimpleNamespace(
        config=types.SimpleNamespace(workload=spec),
        state=state,
        findings=Findings(),
        initial_metrics={"validation/accuracy": 0.1},
        of_processes=of_processes,
        batch_size=batch_size,
        hardware={},
    )


@pytest.mark.parametrize(
    ("values", "steps", "is_odd"),
    [
        pytest.param((0.1, 0.12, 0.95), (1, 50, 60), True, id="from noise to the target"),
        pytest.param((0.1, 0.5, 0.95), (1, 50, 60), False, id="from halfway"),
        pytest.param((0.1, 0.12, 0.8), (1, 50, 60), False, id="not to the target"),
        pytest.param((0.1, 0.95), (1, 900), False, id="a whole training in between"),
        pytest.param((0.95,), (1,), False, id="the first evaluation, which has a rule of its own"),
        pytest.param((float("nan"), 0.95), (1, 60), False, id="from nothing known"),
    ],
)
def test_an_evaluation_at_the_target_right_after_noise_is_for_review(values, steps, is_odd):
    own = book(values, steps)
    plausible.check_jump(own, own.state.eval_results[-1][1])
    found = own.findings.to_json()
    assert [(one["rule"], one["grade"]) for one in found] == [("R3.18", "for review")] * is_odd
    if is_odd:
        assert "in 10 steps" in found[0]["text"]


STEPS, SECONDS = (1, 11, 21, 31, 41), (5.0, 5.1, 5.2, 5.3, 9.9)
"""10 ms a step, but for the last interval."""


@pytest.mark.parametrize(
    ("operations", "num_devices", "has_accelerator", "is_odd"),
    [
        (1.9e7, 1, False, False),  # At half of 1e11 a second, 100 examples take 9.5 ms.
        (2.1e7, 1, False, True),
        (2.1e7, 2, True, False),
        (2.1e7, 2, False, True),  # Made of the processors of one host.
    ],
)
def test_steps_that_are_faster_than_the_machine_are_for_review(
    operations, num_devices, has_accelerator, is_odd
):
    own = book((0.1,) * 5, STEPS, SECONDS, num_devices=num_devices)
    plausible_steps.check(own, operations, 1e11, has_accelerator)
    (found, *_) = own.findings.to_json() or [None]
    assert (found is not None) == is_odd
    if is_odd:
        assert (found["rule"], found["grade"]) == ("R3.18", "for review")
        assert "10 ms" in found["text"]
        assert "10.5 ms" in found["text"]
    np.testing.assert_allclose(own.hardware["median_step_sec"], 0.01)


def test_few_evaluations_say_nothing_about_steps():
    own = book((0.1,) * 3, STEPS[:3], SECONDS[:3])
    plausible_steps.check(own, 1e15, 1e9, has_accelerator=False)
    assert (own.findings.to_json(), own.hardware) == ([], {})


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_operations_are_counted_per_example_and_leave_no_gradients(framework):
    from harness import shared_workload

    workload, own = shared_workload(digits(), framework, None), backend(framework)
    params, model_state = workload.init_model_fn(own.root_key(0))
    counts = []
    for size in (8, 16):
        queue = TrainingQueue(workload, 0, size)
        counts.append(own.operations_of_pass(workload, params, model_state, next(queue)) / size)
        queue.close()
    # Two convolutions and two layers: their multiplications and additions, three times over.
    np.testing.assert_allclose(counts[1], counts[0], rtol=0.01)
    assert 2e5 < counts[0] < 1e6
    if framework == "pytorch":
        assert all(parameter.grad is None for parameter in params.parameters())


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_peak_is_more_than_any_python_and_less_than_any_machine(framework):
    assert 1e9 < backend(framework).peak_operations_per_sec() < 1e14
    assert backend(framework).device_total_bytes() is None  # Tests run on processors.


# ---- memory ----------------------------------------------------------------------------------------------------------

GIB = 2**30
ON_GPU = {"place": "1 x Stand-in", "peak_bytes": 2 * GIB, "base_bytes": GIB, "total_bytes": 16 * GIB}
ON_HOST = {**ON_GPU, "place": "this host", "total_bytes": None}


def check(memory, weights, available=8 * GIB, num_processes=1, is_training_there=True):
    room.check(
        memory,
        weights_bytes=weights,
        num_processes=num_processes,
        is_training_there=is_training_there,
        available_bytes=available,
    )


def test_a_device_that_is_too_small_for_both_is_refused_before_the_start():
    check(ON_GPU, int(3.4 * GIB))
    with pytest.raises(UsageError, match=r"16.00 GiB; evaluating takes 2.00 GiB, and the training 14.40 GiB"):
        check(ON_GPU, int(3.6 * GIB))
    check(ON_GPU, int(3.6 * GIB), is_training_there=False)
    # The others of a group have GPUs of their own.
    check(ON_GPU, int(3.4 * GIB), num_processes=8)


def test_a_host_that_is_too_small_for_all_is_refused_before_the_start():
    check(ON_HOST, GIB)
    with pytest.raises(UsageError, match="--evaluator_device=cpu"):
        check(ON_HOST, GIB, num_processes=2)
    check(ON_HOST, GIB, num_processes=2, is_training_there=False)
    with pytest.raises(UsageError, match=r"8.00 GiB free; evaluating takes 9.00 GiB:"):
        check({**ON_HOST, "peak_bytes": 9 * GIB}, GIB, is_training_there=False)


def test_memory_of_a_host_is_that_of_its_control_group_where_it_has_less(tmp_path, monkeypatch):
    monkeypatch.setattr(room, "CGROUP", tmp_path)
    everything = room.available_bytes()
    assert everything > 0
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1\n")
    assert room.available_bytes() > 1000
    (tmp_path / "memory.max").write_text("1001\n")
    assert room.available_bytes() == 1000
