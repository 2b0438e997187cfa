"""The two models of a speech workload on one set of random weights, behind the API that submissions see."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np
import torch

from algoperf import registry
from algoperf.bound_workload import Workload
from algoperf.spec import ForwardPassMode
from algoperf.workload import WorkloadSpec

TRAIN, EVAL = ForwardPassMode.TRAIN, ForwardPassMode.EVAL
RNG = np.array([0, 7], np.uint32)


class Pair(NamedTuple):
    spec: WorkloadSpec
    in_jax: Workload
    params: Any
    model_state: Any
    in_torch: Workload
    module: torch.nn.Module


def with_settings(name: str, num_samples: int, max_target_length: int = 12, **model: Any) -> WorkloadSpec:
    """The spec called `name` without SpecAugment, for clips of `num_samples`."""
    spec = registry.get(name)
    data = {**spec.data, "max_audio_samples": num_samples, "max_target_length": max_target_length}
    return dataclasses.replace(spec, model={**spec.model, "use_specaug": False, **model}, data=data)


def abstract_variables(spec: WorkloadSpec) -> dict[str, Any]:
    """Shapes and dtypes of the JAX parameters and statistics, without computing them."""
    module = registry.model_module(spec, "jax")
    init = functools.partial(module.make_model(spec).init, train=False, dropout_rate=0.0)
    arguments = module.call_args(module.example_batch(spec), train=False)
    return dict(jax.eval_shape(init, jax.random.PRNGKey(0), **arguments))


def meta_module(spec: WorkloadSpec) -> torch.nn.Module:
    """The PyTorch model without memory for its parameters."""
    with torch.device("meta"):
        return registry.model_module(spec, "torch").make_model(spec)


def random_leaf(path: tuple[Any, ...], shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Of the size that training gives, so that no bias, no scale and no head is neutral."""
    values = rng.standard_normal(shape)
    name, parent = path[-1].key, path[-2].key
    if len(shape) == 1:
        return 1 + 0.1 * np.tanh(values) if name == "var" else 0.1 * values
    fan_in = np.prod(shape[:-1]) if parent == "out" or parent.startswith("Conv") else shape[0]
    return values * fan_in**-0.5


def make_pair(spec: WorkloadSpec, dtype: type = np.float32, seed: int = 0) -> Pair:
    """Random weights of type `dtype` in both frameworks; JAX reads float64 within `jax.enable_x64`."""
    rng = np.random.default_rng(seed)
    variables = jax.tree_util.tree_map_with_path(
        lambda path, leaf: random_leaf(path, leaf.shape, rng).astype(dtype), abstract_variables(spec)
    )
    params = variables.pop("params")
    weights = registry.weights_module(spec)
    state = weights.jax_to_torch(params, spec)
    if variables:
        state |= weights.batch_stats_to_torch(variables["batch_stats"], spec)
    module = registry.model_module(spec, "torch").make_model(spec).to(getattr(torch, np.dtype(dtype).name))
    module.load_state_dict({key: torch.tensor(value) for key, value in state.items()})
    return Pair(spec, Workload(spec, "jax"), params, variables or None, Workload(spec, "pytorch"), module)


def random_batch(
    spec: WorkloadSpec, num_samples: list[int], num_tokens: list[int], dtype: type = np.float32, seed: int = 1
) -> dict[str, Any]:
    """Noise of the given lengths with random tokens; what lies under padding is not 0."""
    rng = np.random.default_rng(seed)
    longest, most = spec.data.max_audio_samples, spec.data.max_target_length
    audio = np.round(1000 * rng.standard_normal((len(num_samples), longest))).astype(dtype)
    tokens = rng.integers(1, spec.model.vocab_size, (len(num_tokens), most)).astype(dtype)
    return {
        "inputs": (audio, paddings_of(num_samples, longest, dtype)),
        "targets": (tokens, paddings_of(num_tokens, most, dtype)),
    }


def paddings_of(lengths: list[int], size: int, dtype: type = np.float32) -> np.ndarray:
    """(rows, size): 1 behind each row's length."""
    return (np.arange(size) >= np.array(lengths)[:, None]).astype(dtype)


class Step(NamedTuple):
    """What a training step sees, as NumPy; gradients and state under the names of the PyTorch model."""

    logits: np.ndarray
    paddings: np.ndarray
    loss: np.ndarray
    grads: dict[str, np.ndarray]
    state: dict[str, np.ndarray]


def jax_step(pair: Pair, batch: dict[str, Any]) -> Step:
    """Forward and backward pass in training mode without dropout."""
    workload = pair.in_jax

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        outputs, new_state = workload.model_fn(params, batch, model_state, TRAIN, RNG, True, 0.0)
        loss = workload.loss_fn(batch["targets"], outputs)
        return loss["summed"] / loss["n_valid_examples"], (outputs, new_state)

    step = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))
    # Quick to compile: the program runs once.
    compiled = step.lower(pair.params, pair.model_state, batch).compile({"xla_backend_optimization_level": 0})
    (loss, (outputs, state)), grads = compiled(pair.params, pair.model_state, batch)
    weights = registry.weights_module(pair.spec)
    return Step(
        *map(np.asarray, outputs),
        np.asarray(loss),
        weights.jax_to_torch(grads, pair.spec),
        weights.batch_stats_to_torch(state["batch_stats"], pair.spec) if state else {},
    )


def torch_step(pair: Pair, batch: dict[str, Any]) -> Step:
    """The same in PyTorch."""
    workload, module = pair.in_torch, pair.module
    on_device = workload.model.to_device(batch)
    module.zero_grad()
    outputs, _ = workload.model_fn(module, on_device, None, TRAIN, None, True, 0.0)
    loss = workload.loss_fn(on_device["targets"], outputs)
    mean = loss["summed"] / loss["n_valid_examples"]
    mean.backward()
    grads = {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}
    state = {key: value.numpy() for key, value in module.named_buffers() if "running" in key}
    logits, paddings = (value.detach().numpy() for value in outputs)
    return Step(logits, paddings, mean.detach().numpy(), grads, state)


def torch_eval(pair: Pair, batch: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Logits and paddings in evaluation mode."""
    on_device = pair.in_torch.model.to_device(batch)
    outputs, _ = pair.in_torch.model_fn(pair.module, on_device, None, EVAL, None, False)
    return tuple(value.numpy() for value in outputs)


def jax_eval(pair: Pair, batch: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Logits and paddings in evaluation mode."""
    evaluate = jax.jit(lambda *arguments: pair.in_jax.model_fn(*arguments, EVAL, None, False)[0])
    lowered = evaluate.lower(pair.params, batch, pair.model_state)
    outputs = lowered.compile({"xla_backend_optimization_level": 0})(pair.params, batch, pair.model_state)
    return tuple(map(np.asarray, outputs))


def assert_close(found: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-4, what: str = "") -> None:
    """Within `tolerance` of the largest entry of `wanted`."""
    limit = tolerance * np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=limit, err_msg=what)


def assert_same_step(pair: Pair, batch: dict[str, Any], tolerance: float = 1e-4) -> None:
    """The same logits, loss, gradients and batch-norm statistics in both frameworks."""
    found, wanted = torch_step(pair, batch), jax_step(pair, batch)
    assert found.logits.dtype == wanted.logits.dtype == batch["inputs"][0].dtype
    np.testing.assert_array_equal(found.paddings, wanted.paddings)
    assert_close(found.logits, wanted.logits, tolerance, "logits")
    assert_close(found.loss, wanted.loss, tolerance, "loss")
    for kind in ("grads", "state"):
        ours, theirs = getattr(found, kind), getattr(wanted, kind)
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            assert np.abs(value).max() > 0, name
            assert_close(ours[name], value, tolerance, name)
