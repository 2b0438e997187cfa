"""Metrics are facts about parameters: batch sizes, padding, devices and caches do not show in them."""

import dataclasses
import math
import re

import numpy as np
import pytest
from harness import digits, run_trial, sgd, shared_workload, submission

from algoperf import evaluation, registry
from algoperf.backends.base import SubmissionError
from algoperf.evaluation import Evaluator
from algoperf.metrics.averages import AverageMetrics
from algoperf.spec import ForwardPassMode, UsageError


@pytest.fixture(scope="module")
def trained():
    """framework -> (workload, params, model_state) with weights that are neither right nor wrong everywhere."""
    done = {}

    def get(framework):
        if framework not in done:
            workload = shared_workload(digits(), framework)
            done[framework] = (workload, *workload.init_model_fn(workload.backend.root_key(7)))
        return done[framework]

    return get


def assert_same_metrics(found, wanted):
    assert found.keys() == wanted.keys()
    for name in wanted:
        # Accuracies are exact; losses are float32 per example, whose last bits depend on the shape of the batch.
        exact = "loss" not in name
        np.testing.assert_allclose(found[name], wanted[name], rtol=0 if exact else 2e-6, err_msg=name)


@pytest.mark.parametrize("batch_size", [1, 7, 32, 99, 249, 251, 1000])
def test_metrics_do_not_depend_on_the_batch_size(trained, framework, batch_size):
    if framework == "jax" and batch_size not in (7, 99, 1000):
        pytest.skip("each size compiles once more; three are enough")
    workload, params, model_state = trained(framework)
    wanted = workload.eval_model(250, params, model_state)
    assert_same_metrics(workload.eval_model(batch_size, params, model_state), wanted)


def test_metrics_are_those_of_a_plain_loop_in_numpy(trained, framework):
    workload, params, model_state = trained(framework)
    found = workload.eval_model(250, params, model_state)
    [batch] = workload.data_module.eval_batches(workload.spec, None, "validation", 250)
    logits = np.asarray(
        workload.model.eval_forward(params, workload.backend.to_device(batch), model_state), np.float64
    )
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    targets = batch["targets"]
    assert found["validation/accuracy"] == pytest.approx((logits.argmax(1) == targets).mean(), abs=1e-12)
    assert found["validation/loss"] == pytest.approx(-log_probs[np.arange(250), targets].mean(), rel=1e-5)
    assert found["validation/num_examples"] == 250
    assert found["test/num_examples"] == 250


def test_batches_of_an_evaluation_are_laid_out_as_those_of_training(framework):
    workload = shared_workload(registry.get("imagenet_resnet_mini"), framework)
    model, side = workload.model, workload.spec.data.crop_size
    batch = {"inputs": np.zeros((4, side, side, 3), np.float32), "targets": np.zeros(4, np.int32)}
    shapes = [moved(batch)["inputs"].shape for moved in (model.to_device, model.eval_to_device)]
    assert shapes == [{"jax": (4, side, side, 3), "pytorch": (4, 3, side, side)}[framework]] * 2


def test_keys_of_an_evaluation_are_algoperfs(trained, framework):
    workload, params, model_state = trained(framework)
    found = workload.eval_model(250, params, model_state, None, None, None, 0)
    assert list(found) == [
        *("train/loss", "train/accuracy"),
        *("validation/loss", "validation/accuracy", "validation/num_examples"),
        *("test/loss", "test/accuracy", "test/num_examples"),
    ]
    assert all(type(value) in (float, int) for value in found.values())


@pytest.mark.parametrize("garbage", [0.0, 1e30, np.nan, np.inf], ids=str)
def test_padding_rows_never_count_whatever_they_hold(trained, framework, garbage, monkeypatch):
    workload, params, model_state = trained(framework)
    wanted = workload.eval_model(250, params, model_state)
    eval_batches = workload.data_module.eval_batches

    def with_garbage(*arguments):
        for batch in eval_batches(*arguments):
            inputs = batch["inputs"].copy()
            inputs[batch["weights"] == 0] = garbage
            yield {**batch, "inputs": inputs}

    monkeypatch.setattr(workload.data_module, "eval_batches", with_garbage)
    evaluator = Evaluator(workload, cache_limit_bytes=0)
    assert_same_metrics(evaluator.evaluate(params, model_state, batch_size=99), wanted)


def test_batches_are_made_once_while_they_fit_in_the_cache(trained, framework, monkeypatch):
    workload, params, model_state = trained(framework)
    made = []
    eval_batches = workload.data_module.eval_batches

    def counting(spec, folder, split, batch_size):
        made.append(split)
        return eval_batches(spec, folder, split, batch_size)

    monkeypatch.setattr(workload.data_module, "eval_batches", counting)
    bytes_per_split = 250 * (8 * 8 * 4 + 4 + 4)
    for limit, times_made in (
        (0, 6),
        (bytes_per_split, 5),
        (2 * bytes_per_split, 4),
        (3 * bytes_per_split, 3),
    ):
        made.clear()
        evaluator = Evaluator(workload, cache_limit_bytes=limit)
        first = evaluator.evaluate(params, model_state)
        assert_same_metrics(evaluator.evaluate(params, model_state), first)
        assert len(made) == times_made, limit


def test_evaluation_does_not_change_what_it_evaluates(framework):
    workload = shared_workload(registry.get("digits_batch_norm"), framework)
    params, model_state = workload.init_model_fn(workload.backend.root_key(0))

    def snapshot():
        if framework == "jax":
            import jax

            return [np.asarray(leaf).copy() for leaf in jax.tree.leaves((params, model_state))]
        return [value.numpy().copy() for value in params.state_dict().values()]

    before = snapshot()
    first = workload.eval_model(250, params, model_state)
    for old, new in zip(before, snapshot(), strict=True):
        np.testing.assert_array_equal(old, new)
    assert workload.eval_model(250, params, model_state) == first
    if framework == "pytorch":
        assert params.training, "training goes on in the mode it was in"


@pytest.fixture
def batch_norm_in_torch():
    """(workload, module) of `digits_batch_norm`."""
    workload = shared_workload(registry.get("digits_batch_norm"), "pytorch")
    return workload, workload.init_model_fn(workload.backend.root_key(0))[0]


def test_layers_that_a_submission_froze_stay_frozen_when_it_is_evaluated(batch_norm_in_torch):
    workload, module = batch_norm_in_torch
    for layer in module.bns:
        layer.eval()
    [batch] = workload.data_module.eval_batches(workload.spec, None, "validation", 250)
    batch = workload.model.to_device(batch)
    workload.eval_model(250, module, None)
    workload.model_fn(module, batch, None, ForwardPassMode.EVAL, None, update_batch_norm=False)
    workload.model_fn(module, batch, None, ForwardPassMode.TRAIN, None, update_batch_norm=True)
    assert module.training
    assert not any(layer.training for layer in module.bns)


def test_hooks_and_replaced_methods_of_a_submission_see_no_evaluation_data(batch_norm_in_torch):
    import torch

    workload, module = batch_norm_in_torch
    wanted = workload.eval_model(250, module, None)
    seen = []
    handles = [
        module.hidden.register_forward_hook(lambda *_: seen.append("hook")),
        module.register_forward_pre_hook(lambda *_: seen.append("pre-hook")),
        torch.nn.modules.module.register_module_forward_hook(lambda *_: seen.append("global hook")),
    ]
    module.output.forward = lambda x: seen.append("method")
    try:
        assert workload.eval_model(250, module, None) == wanted
        assert seen == []
        del module.output.forward
        module(torch.zeros(1, 8, 8, 1), dropout_rate=0.0)
        assert {"hook", "pre-hook", "global hook"} == set(seen), "in training they are run"
    finally:
        for handle in handles:
            handle.remove()


def _own_class(module):
    class Network(type(module)):
        pass

    module.__class__ = Network


def _own_tensors(module):
    import torch

    class Acts(torch.nn.Parameter):
        pass

    module.output.weight = Acts(module.output.weight.detach())


def _own_buffer(module):
    module.bns[0].running_mean = module.bns[0].running_mean[:1]


CHANGED_MODELS = {
    "the module is a Network": _own_class,
    "forward of layer 'output' was replaced": lambda module: setattr(module.output, "forward", print),
    "layer 'output' is a Identity": lambda module: setattr(module, "output", _identity_with(module.output)),
    "'output.weight' as a Acts": _own_tensors,
    "buffer 'running_mean' of layer 'bns.0' has another shape": _own_buffer,
}


def _identity_with(layer):
    import torch

    other = torch.nn.Identity()
    other.weight, other.bias = layer.weight, layer.bias
    return other


@pytest.mark.parametrize("what", CHANGED_MODELS)
def test_a_module_that_computes_something_else_is_refused_before_it_is_evaluated(batch_norm_in_torch, what):
    workload, module = batch_norm_in_torch
    workload.model.check_update(module, None)
    CHANGED_MODELS[what](module)
    with pytest.raises(SubmissionError, match=re.escape(what)):
        workload.model.check_update(module, None)


def test_a_class_of_the_model_whose_pass_was_replaced_is_found(batch_norm_in_torch, monkeypatch):
    workload, module = batch_norm_in_torch
    monkeypatch.setattr(type(module), "forward", lambda *_, **__: None)
    with pytest.raises(SubmissionError, match=r"a method of the class .* was replaced"):
        workload.model.check_update(module, None)


class ActsLikeAnArray:
    def __init__(self, array):
        self.array, self.shape, self.dtype = array, array.shape, array.dtype


@pytest.mark.parametrize("change", ["class", "shape of state", "entry of state", "nothing"])
def test_a_state_of_jax_that_does_not_fit_is_refused_before_it_is_evaluated(change):
    import jax

    workload = shared_workload(registry.get("digits_batch_norm"), "jax")
    params, state = workload.init_model_fn(workload.backend.root_key(0))
    first = jax.tree.leaves(params)[0]
    if change == "class":
        params = jax.tree.map(lambda leaf: ActsLikeAnArray(leaf) if leaf is first else leaf, params)
    elif change == "shape of state":
        state = jax.tree.map(lambda leaf: leaf[:1], state)
    elif change == "entry of state":
        state = {**state, "more": first}
    if change == "nothing":
        workload.model.check_update(params, state)
        return
    with pytest.raises(SubmissionError, match=r"as a ActsLikeAnArray|with shape|other entries"):
        workload.model.check_update(params, state)


def test_parameters_are_checked_before_every_evaluation(tmp_path, framework):
    def update_params(**arguments):
        state, params, model_state = sgd(framework).update_params(**arguments)
        if arguments["global_step"] == 4:  # The last update before an evaluation.
            if framework == "jax":
                params = {**params, "more": next(iter(params.values()))}
            else:
                params.forward = lambda inputs, **_: inputs
        return state, params, model_state

    found = run_trial(tmp_path, framework, submission(framework, update_params=update_params))
    assert found["status"] == "failed"
    assert "The submission returned" in found["error"]
    assert found["num_evaluations"] == 1


def test_mixed_precision_that_a_submission_left_on_does_not_change_metrics(batch_norm_in_torch):
    import torch

    workload, module = batch_norm_in_torch
    wanted = workload.eval_model(250, module, None)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert workload.eval_model(250, module, None) == wanted


def test_new_tensors_that_a_submission_put_into_the_module_are_evaluated(batch_norm_in_torch):
    import torch

    workload, module = batch_norm_in_torch
    before = workload.eval_model(250, module, None)
    module.output.weight = torch.nn.Parameter(torch.zeros_like(module.output.weight))
    module.bns[0].running_mean = torch.ones_like(module.bns[0].running_mean)
    after = workload.eval_model(250, module, None)
    assert after["validation/loss"] == pytest.approx(np.log(10), rel=1e-4)
    assert after != before


def test_draws_of_an_evaluation_are_not_missing_in_training(framework, monkeypatch):
    workload = shared_workload(digits(), framework)
    params, model_state = workload.init_model_fn(workload.backend.root_key(0))
    metrics = AverageMetrics.result
    monkeypatch.setattr(AverageMetrics, "result", lambda self: (np.random.rand(), metrics(self))[1])
    np.random.seed(5)
    workload.eval_model(250, params, model_state)
    found = np.random.rand()
    np.random.seed(5)
    assert found == np.random.rand()


def test_dropout_is_off_in_evaluation(framework):
    workload = shared_workload(dataclasses.replace(digits(), default_dropout_rate=0.9), framework)
    params, model_state = workload.init_model_fn(workload.backend.root_key(0))
    assert workload.eval_model(250, params, model_state) == workload.eval_model(250, params, model_state)


def test_both_frameworks_find_the_same_metrics_for_the_same_weights(trained):
    import jax
    import torch

    from workloads.digits.weights import jax_to_torch

    jax_workload, params, model_state = trained("jax")
    torch_workload = shared_workload(digits(), "pytorch")
    module, _ = torch_workload.init_model_fn(torch_workload.backend.root_key(0))
    weights = jax_to_torch(jax.tree.map(np.asarray, params), digits())
    module.load_state_dict({name: torch.tensor(value) for name, value in weights.items()})
    found = torch_workload.eval_model(250, module, None)
    wanted = jax_workload.eval_model(250, params, model_state)
    for name in wanted:
        np.testing.assert_allclose(found[name], wanted[name], rtol=1e-4, err_msg=name)


def test_a_nan_metric_is_recorded_and_training_goes_on_while_the_parameters_are_finite(
    tmp_path, framework, monkeypatch
):
    result = AverageMetrics.result
    monkeypatch.setattr(AverageMetrics, "result", lambda self: {**result(self), "loss": math.nan})
    summary = run_trial(tmp_path, framework)
    assert summary["status"] == "diverged"
    assert summary["global_step"] == 10
    assert summary["num_evaluations"] == 3
    assert summary["error"] is None


@pytest.mark.parametrize(
    ("result", "message"),
    [
        (
            {"loss": 1.0, "wer": 0.5},
            r"workload 'digits' lack its target metric, 'accuracy': .* give 'loss', 'wer'\.",
        ),
        ({}, r"lack its target metric, 'accuracy': .* give nothing\."),
        (
            {"accuracy": "high"},
            r"'accuracy' of workload 'digits' must be a number, got 'high' of type str",
        ),
        ({"accuracy": "0.5"}, "must be a number, got '0.5' of type str"),
        ({"accuracy": 0.5, "loss": None}, "Metric 'loss' .* must be a number, got None of type NoneType"),
        ({"accuracy": np.ones(2)}, r"must be a number, got array\(\[1., 1.\]\) of type ndarray"),
    ],
)
def test_a_missing_target_metric_and_a_metric_that_is_no_number_end_the_first_evaluation(
    trained, framework, monkeypatch, result, message
):
    workload, params, model_state = trained(framework)
    monkeypatch.setattr(AverageMetrics, "result", lambda self: result)
    with pytest.raises(UsageError, match=message):
        Evaluator(workload).evaluate_split("validation", params, model_state)


def test_numbers_of_any_type_are_metrics():
    values = {"accuracy": np.float32(0.5), "loss": np.array(0.25), "count": 3, "worst": math.nan}
    found = evaluation.numbers_of(digits(), values)
    assert [type(value) for value in found.values()] == [float] * 4
    assert (found["accuracy"], found["loss"], found["count"]) == (0.5, 0.25, 3.0)


def test_a_run_with_a_target_metric_that_nobody_computes_ends_at_its_first_evaluation(
    tmp_path, framework, monkeypatch
):
    monkeypatch.setattr(AverageMetrics, "result", lambda self: {"loss": 1.0})
    summary = run_trial(tmp_path, framework)
    assert summary["status"] == "failed"
    assert "The metrics of workload 'digits' lack its target metric, 'accuracy'" in summary["error"]
    assert summary["num_evaluations"] == 0


def test_averages_of_nothing_are_nan():
    metrics = AverageMetrics()
    metrics.update({"weights": np.zeros(2)}, {"loss": np.ones(2)})
    assert math.isnan(metrics.result()["loss"])


def test_without_weights_every_row_counts():
    metrics = AverageMetrics()
    metrics.update({}, {"loss": np.array([1.0, 2.0, 6.0])})
    assert metrics.result() == {"loss": 3.0}


@pytest.mark.parametrize(("asked", "made"), [(30, 30), (31, 33), (None, 252)])
def test_every_device_gets_as_many_rows_of_a_batch(monkeypatch, asked, made):
    workload = shared_workload(digits(eval_batch_size=250), "pytorch")
    monkeypatch.setattr(workload.backend, "num_devices", lambda: 3)
    sizes = []
    monkeypatch.setattr(Evaluator, "_batches", lambda _, split, size: sizes.append(size) or iter(()))
    with pytest.raises(UsageError, match="give nothing"):
        Evaluator(workload).evaluate_split("validation", None, None, asked)
    assert sizes == [made]


def test_processes_of_one_host_share_the_memory_for_batches(monkeypatch):
    monkeypatch.delenv("LOCAL_WORLD_SIZE", raising=False)
    workload = shared_workload(digits(), "pytorch")
    alone = evaluation.Evaluator(workload)._room
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "8")
    assert evaluation.Evaluator(workload)._room == alone // 8
