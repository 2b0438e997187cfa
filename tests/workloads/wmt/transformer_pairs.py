"""The two models on one set of weights, and batches to feed them."""

import dataclasses
import functools
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import numpy as np
import torch

from algoperf import registry
from algoperf.workload import WorkloadSpec
from workloads.wmt import model_jax, model_torch, weights

VARIANTS = ["wmt", "wmt_post_ln", "wmt_attention_temp", "wmt_glu_tanh"]


class Pair(NamedTuple):
    spec: WorkloadSpec
    jax_model: nn.Module
    params: dict[str, Any]
    torch_model: torch.nn.Module

    def jax_logits(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        return np.asarray(_jitted_logits(self.jax_model)(self.params, batch))

    def torch_logits(self, batch: dict[str, np.ndarray]) -> np.ndarray:
        args = model_torch.call_args(to_torch(batch), train=False)
        with torch.inference_mode():
            return self.torch_model.eval()(**args, dropout_rate=0.0).numpy()


@functools.cache
def _jitted_logits(model: nn.Module) -> Any:
    def logits(params: Any, batch: Any) -> jax.Array:
        args = model_jax.call_args(batch, train=False)
        return model.apply({"params": params}, **args, train=False, dropout_rate=0.0)

    return jax.jit(logits)


def with_model(name: str, **model: Any) -> WorkloadSpec:
    """The spec called `name` with another model configuration."""
    spec = registry.get(name)
    return dataclasses.replace(spec, model={**spec.model, **model})


def abstract_params(spec: WorkloadSpec) -> Any:
    """Shapes and dtypes of the JAX parameters, without computing them."""
    model = model_jax.make_model(spec)
    args = model_jax.call_args(model_jax.example_batch(spec), train=False)
    init = functools.partial(model.init, train=False, dropout_rate=0.0)
    return jax.eval_shape(lambda rng: init(rng, **args), jax.random.PRNGKey(0))["params"]


def _random_param(path: tuple[Any, ...], shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Of the size that training gives, so that no bias and no scale is neutral."""
    names = [key.key for key in path]
    values = rng.standard_normal(shape, dtype=np.float32)
    if names[-1] == "kernel":
        fan_in = np.prod(shape[:-1]) if "out" in names[-2] else shape[0]
        return values * np.float32(fan_in**-0.5)
    return {"embedding": values, "scale": 1 + 0.1 * values, "bias": 0.1 * values}[names[-1]]


def make_pair(spec: WorkloadSpec, seed: int = 0) -> Pair:
    rng = np.random.default_rng(seed)
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: _random_param(path, leaf.shape, rng), abstract_params(spec)
    )
    with torch.device("meta"):
        torch_model = model_torch.make_model(spec)
    state = {name: torch.from_numpy(value) for name, value in weights.jax_to_torch(params, spec).items()}
    torch_model.load_state_dict(state, assign=True)
    for parameter in torch_model.parameters():
        parameter.requires_grad_(True)
    return Pair(spec, model_jax.make_model(spec), params, torch_model)


@functools.cache
def mini_pair(variant: str) -> Pair:
    return make_pair(registry.get(f"{variant}_mini"))


def to_torch(batch: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {key: torch.from_numpy(value).long() for key, value in batch.items()}


def plain_batch(
    spec: WorkloadSpec, num_rows: int = 3, length: int = 12, seed: int = 1
) -> dict[str, np.ndarray]:
    """Sentences of different lengths, and a row of nothing but padding at the end."""
    rng = np.random.default_rng(seed)
    batch = {}
    for key in ("inputs", "targets"):
        tokens = rng.integers(3, spec.model.vocab_size, (num_rows, length), dtype=np.int32)
        for row, tokens_L in enumerate(tokens):
            end = length - 2 * row
            tokens_L[end - 1 :] = 0
            tokens_L[end - 1] = 2
        tokens[-1] = 0
        batch[key] = tokens
    batch["weights"] = (batch["targets"] > 0).astype(np.int32)
    return batch


# Where sentences start and end in packed rows of length 12: (row, source slice, target slice).
PACKED = [(0, (0, 4), (0, 6)), (0, (4, 9), (6, 11)), (1, (0, 12), (0, 7))]


def packed_batch(spec: WorkloadSpec, seed: int = 2) -> dict[str, np.ndarray]:
    """Two rows: two sentence pairs in the first, one in the second."""
    rng = np.random.default_rng(seed)
    keys = [f"{side}{what}" for side in ("inputs", "targets") for what in ("", "_position", "_segmentation")]
    batch = {key: np.zeros((2, 12), np.int32) for key in keys}
    num_in_row = [0, 0]
    for row, *spans in PACKED:
        num_in_row[row] += 1
        for side, (start, end) in zip(("inputs", "targets"), spans):
            tokens = rng.integers(3, spec.model.vocab_size, end - start)
            tokens[-1] = 2
            batch[side][row, start:end] = tokens
            batch[f"{side}_position"][row, start:end] = np.arange(end - start)
            batch[f"{side}_segmentation"][row, start:end] = num_in_row[row]
    batch["weights"] = (batch["targets"] > 0).astype(np.int32)
    return batch
