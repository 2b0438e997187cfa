"""The two models of an image workload on one set of random weights, behind the API that submissions see."""

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


def with_settings(name: str, crop_size: int | None = None, **model: Any) -> WorkloadSpec:
    """The spec called `name` with another image side and another model configuration."""
    spec = registry.get(name)
    data = {**spec.data, "crop_size": crop_size or spec.data.crop_size}
    return dataclasses.replace(spec, model={**spec.model, **model}, data=data)


def abstract_variables(spec: WorkloadSpec) -> dict[str, Any]:
    """Shapes and dtypes of the JAX parameters and statistics, without computing them."""
    module = registry.model_module(spec, "jax")
    init = functools.partial(module.make_model(spec).init, train=False, dropout_rate=0.0)
    return dict(jax.eval_shape(init, jax.random.PRNGKey(0), **module.example_batch(spec)))


def meta_module(spec: WorkloadSpec) -> torch.nn.Module:
    """The PyTorch model without memory for its parameters."""
    with torch.device("meta"):
        return registry.model_module(spec, "torch").make_model(spec)


def random_leaf(path: tuple[Any, ...], shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Of the size that training gives, so that no bias, no scale and no head is neutral."""
    name, parent = path[-1].key, path[-2].key if len(path) > 1 else ""
    values = rng.standard_normal(shape, dtype=np.float32)
    if name == "kernel":
        fan_in = np.prod(shape[:-1]) if parent == "out" or len(shape) == 4 else shape[0]
        return values * np.float32(fan_in**-0.5)
    if name in ("scale", "var"):
        return 1 + 0.1 * np.tanh(values)
    return {"bias": 0.1, "mean": 0.1, "probe": 1.0}[name] * values


def make_pair(
    spec: WorkloadSpec, residual_scale: float | None = None, dtype: type = np.float32, seed: int = 0
) -> Pair:
    """Random weights in both frameworks.

    Args:
      spec: the workload.
      residual_scale: mean scale of the last normalisation of each residual branch.
      dtype: of the weights; JAX reads float64 within `jax.enable_x64`.
      seed: of the weights.
    """
    rng = np.random.default_rng(seed)

    def leaf_of(path: tuple[Any, ...], leaf: Any) -> np.ndarray:
        value = random_leaf(path, leaf.shape, rng)
        is_last = residual_scale is not None and path[-2].key == "BatchNorm_2" and path[-1].key == "scale"
        return (value * residual_scale if is_last else value).astype(dtype)

    variables = jax.tree_util.tree_map_with_path(leaf_of, abstract_variables(spec))
    params = variables.pop("params")
    weights = registry.weights_module(spec)
    module = meta_module(spec)
    state = weights.jax_to_torch(params, spec)
    if variables:
        state |= weights.batch_stats_to_torch(variables["batch_stats"], spec)
    state = {key: torch.tensor(value) for key, value in state.items()}
    missing = module.load_state_dict(state, strict=False, assign=True)
    assert not missing.unexpected_keys
    assert all(key.endswith("num_batches_tracked") for key in missing.missing_keys)
    for parameter in module.parameters():
        parameter.requires_grad_(True)
    return Pair(spec, Workload(spec, "jax"), params, variables or None, Workload(spec, "pytorch"), module)


def random_batch(
    spec: WorkloadSpec, size: int, soft: bool = False, dtype: type = np.float32, seed: int = 1
) -> dict[str, np.ndarray]:
    """Normalised images with integer classes or, when `soft`, mixed one-hot rows."""
    rng = np.random.default_rng(seed)
    side, num_classes = spec.data.crop_size, spec.model.num_classes
    targets = rng.integers(0, num_classes, size).astype(np.int32)
    if soft:
        one_hot = np.eye(num_classes, dtype=np.float32)[targets]
        targets = np.float32(0.7) * one_hot + np.float32(0.3) * np.roll(one_hot, 1, axis=0)
    inputs = rng.standard_normal((size, side, side, 3), np.float32).astype(dtype)
    return {"inputs": inputs, "targets": targets}


class Step(NamedTuple):
    """What a training step sees, as NumPy; gradients and state under the names of the PyTorch model."""

    logits: np.ndarray
    loss: np.ndarray
    grads: dict[str, np.ndarray]
    state: dict[str, np.ndarray]


def jax_step(pair: Pair, batch: dict[str, np.ndarray]) -> Step:
    """Forward and backward pass in training mode, label smoothing 0.1."""
    workload = pair.in_jax

    def loss_fn(params: Any, model_state: Any, batch: Any) -> Any:
        logits, new_state = workload.model_fn(params, batch, model_state, TRAIN, RNG, True, 0.0)
        loss = workload.loss_fn(batch["targets"], logits, label_smoothing=0.1)
        return loss["summed"] / loss["n_valid_examples"], (logits, new_state)

    step = jax.jit(jax.value_and_grad(loss_fn, has_aux=True))
    (loss, (logits, state)), grads = step(pair.params, pair.model_state, batch)
    weights = registry.weights_module(pair.spec)
    return Step(
        np.asarray(logits),
        np.asarray(loss),
        weights.jax_to_torch(grads, pair.spec),
        weights.batch_stats_to_torch(state["batch_stats"], pair.spec) if state else {},
    )


def torch_step(pair: Pair, batch: dict[str, np.ndarray]) -> Step:
    """The same in PyTorch."""
    workload, module = pair.in_torch, pair.module
    on_device = workload.model.to_device(batch)
    module.zero_grad()
    logits, _ = workload.model_fn(module, on_device, None, TRAIN, None, True, 0.0)
    loss = workload.loss_fn(on_device["targets"], logits, label_smoothing=0.1)
    mean = loss["summed"] / loss["n_valid_examples"]
    mean.backward()
    grads = {name: parameter.grad.numpy() for name, parameter in module.named_parameters()}
    state = {key: value.numpy() for key, value in module.named_buffers() if "running" in key}
    return Step(logits.detach().numpy(), mean.detach().numpy(), grads, state)


def eval_logits(pair: Pair, batch: dict[str, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Logits in evaluation mode, in PyTorch and in JAX."""
    on_device = pair.in_torch.model.to_device(batch)
    in_torch, _ = pair.in_torch.model_fn(pair.module, on_device, None, EVAL, None, False)
    evaluate = jax.jit(lambda *arguments: pair.in_jax.model_fn(*arguments, EVAL, None, False)[0])
    return in_torch.numpy(), np.asarray(evaluate(pair.params, batch, pair.model_state))


def assert_close(found: np.ndarray, wanted: np.ndarray, tolerance: float = 1e-4, what: str = "") -> None:
    """Within `tolerance` of the largest entry of `wanted`."""
    limit = tolerance * np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=0, atol=limit, err_msg=what)


def assert_same_step(pair: Pair, batch: dict[str, np.ndarray], tolerance: float = 1e-4) -> None:
    """The same logits, loss, gradients and batch-norm statistics in both frameworks."""
    found, wanted = torch_step(pair, batch), jax_step(pair, batch)
    assert found.logits.dtype == wanted.logits.dtype == batch["inputs"].dtype
    assert_close(found.logits, wanted.logits, tolerance, "logits")
    assert_close(found.loss, wanted.loss, tolerance, "loss")
    for kind in ("grads", "state"):
        ours, theirs = getattr(found, kind), getattr(wanted, kind)
        assert ours.keys() == theirs.keys()
        for name, value in theirs.items():
            # Softmax does not see what is added to all its inputs: the gradient of a key's bias is rounding only.
            scale = np.abs(theirs[name.replace("key.bias", "query.bias")]).max()
            assert scale > 0, name
            np.testing.assert_allclose(ours[name], value, rtol=0, atol=tolerance * scale, err_msg=name)
