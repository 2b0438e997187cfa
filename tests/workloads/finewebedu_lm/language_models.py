"""The two models on one set of weights, and batches to feed them."""

import dataclasses
import functools
from typing import Any, NamedTuple

import jax
import numpy as np
import torch

from algoperf import registry
from algoperf.workload import WorkloadSpec
from workloads.finewebedu_lm import model_jax, model_torch, weights

VARIANTS = [name for name in registry.names(mini=False) if registry.get(name).family == "finewebedu_lm"]
Arrays = dict[str, np.ndarray]


def with_model(name: str, **model: Any) -> WorkloadSpec:
    """The spec called `name` with another model configuration."""
    spec = registry.get(name)
    return dataclasses.replace(spec, model={**spec.model, **model})


def abstract_params(spec: WorkloadSpec) -> Any:
    """Shapes and dtypes of the JAX parameters, without computing them."""
    model = model_jax.make_model(spec)
    inputs = np.zeros((1, spec.model.seq_len), np.int32)
    init = functools.partial(model.init, train=False, dropout_rate=0.0)
    return jax.eval_shape(lambda rng: init(rng, inputs), jax.random.PRNGKey(0))["params"]


def _random_param(path: tuple[Any, ...], shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Of the size that training gives, so that no scale is neutral."""
    names = [key.key for key in path]
    values = rng.standard_normal(shape, dtype=np.float32)
    if names[-1] == "kernel":
        return values * np.float32(shape[0] ** -0.5)
    if names[-1] == "embedding":
        return values * np.float32(0.1)
    # A query's factor is large for a reason: with 1, all positions would count nearly alike.
    return 1 + 0.1 * values if names[-2] != "attention" else np.full(shape, 6.0, np.float32)


class Pair(NamedTuple):
    spec: WorkloadSpec
    params: dict[str, Any]
    torch_model: model_torch.LanguageModel

    @property
    def jax_model(self) -> model_jax.LanguageModel:
        return model_jax.make_model(self.spec)

    def computing_in(self, dtype: str) -> "Pair":
        """The same weights with another type of activations."""
        spec = dataclasses.replace(self.spec, model={**self.spec.model, "compute_dtype": dtype})
        return self._replace(spec=spec, torch_model=torch_model(spec, self.params))

    def jax_logits(self, inputs: np.ndarray) -> np.ndarray:
        model = self.jax_model
        apply = jax.jit(lambda params, x: model.apply({"params": params}, x, train=False, dropout_rate=0.0))
        return np.asarray(apply(self.params, inputs).astype(np.float32))

    def torch_logits(self, inputs: np.ndarray) -> np.ndarray:
        with torch.inference_mode():
            return self.torch_model(torch.from_numpy(inputs), dropout_rate=0.0).float().numpy()

    def jax_gradients(self, batch: Arrays, label_smoothing: float = 0.0) -> tuple[float, Arrays]:
        """Mean loss, and gradients under the names of PyTorch."""
        model = self.jax_model

        def mean_loss(params: Any) -> jax.Array:
            logits = model.apply({"params": params}, batch["inputs"], train=True, dropout_rate=0.0)
            found = model_jax.loss(batch["targets"], logits, batch["weights"], label_smoothing)
            return found["summed"] / found["n_valid_examples"]

        value, gradients = jax.jit(jax.value_and_grad(mean_loss))(self.params)
        return float(value), weights.jax_to_torch(jax.tree.map(np.asarray, gradients), self.spec)

    def torch_gradients(self, batch: Arrays, label_smoothing: float = 0.0) -> tuple[float, Arrays]:
        """Mean loss, and gradients by name."""
        on_torch = {key: torch.from_numpy(value) for key, value in batch.items()}
        self.torch_model.zero_grad()
        logits = self.torch_model.train()(on_torch["inputs"], dropout_rate=0.0)
        found = model_torch.loss(on_torch["targets"], logits, on_torch["weights"], label_smoothing)
        value = found["summed"] / found["n_valid_examples"]
        value.backward()
        named = self.torch_model.named_parameters()
        return value.item(), {name: parameter.grad.numpy() for name, parameter in named}


def torch_model(spec: WorkloadSpec, params: Any) -> model_torch.LanguageModel:
    """The PyTorch model with the weights of JAX."""
    model = model_torch.make_model(spec)
    state = {name: torch.from_numpy(value) for name, value in weights.jax_to_torch(params, spec).items()}
    model.load_state_dict(state)
    return model


def make_pair(spec: WorkloadSpec, seed: int = 0) -> Pair:
    rng = np.random.default_rng(seed)
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: _random_param(path, leaf.shape, rng), abstract_params(spec)
    )
    return Pair(spec, params, torch_model(spec, params))


@functools.cache
def wide_pair(variant: str) -> Pair:
    """At full width, with one layer, 16 positions and few pieces."""
    return make_pair(with_model(variant, num_layers=1, seq_len=16, vocab_size=503))


SMALL = {
    "emb_dim": 64,
    "num_heads": 2,
    "mlp_dim": 128,
    "num_layers": 2,
    "seq_len": 16,
    "vocab_size": 503,
}


@functools.cache
def small_pair(variant: str) -> Pair:
    return make_pair(with_model(variant, **SMALL))


def token_batch(spec: WorkloadSpec, num_rows: int = 2, seed: int = 1) -> Arrays:
    """Random tokens; the last row is padding but for its first half."""
    rng = np.random.default_rng(seed)
    length = spec.model.seq_len
    tokens = rng.integers(0, spec.model.vocab_size, (num_rows, length + 1), dtype=np.int32)
    weights_BT = np.ones((num_rows, length), np.float32)
    weights_BT[-1, length // 2 :] = 0
    return {"inputs": tokens[:, :-1].copy(), "targets": tokens[:, 1:].copy(), "weights": weights_BT}
