"""The decoder-only Transformer of the FineWeb-Edu workload in Flax.

Shapes: B batch, T position, D width, H heads, K width of one head, F half of it, M width of the MLP, V vocabulary
"""

from typing import Any, Literal, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from algoperf.workload import WorkloadSpec
from workloads.finewebedu_lm import positions
from workloads.finewebedu_lm.cross_entropy_jax import loss as loss
from workloads.finewebedu_lm.cross_entropy_jax import token_losses
from workloads.finewebedu_lm.settings import (
    EPSILON,
    EVAL_CHUNK,
    INITIAL_STD,
    initial_query_scale,
    residual_std,
)

Config: TypeAlias = ml_collections.FrozenConfigDict

MIN_CUDNN_CAPABILITY = 8.0
"""cuDNN has its fused attention for Ampere and later."""


def compute_dtype(config: Config) -> jnp.dtype:
    """The type of activations; 'auto' is bfloat16 wherever there is an accelerator."""
    name = config.compute_dtype
    if name == "auto":
        name = "float32" if jax.default_backend() == "cpu" else "bfloat16"
    return jnp.dtype(name)


def attention_implementation(dtype: jnp.dtype) -> Literal["xla", "cudnn"]:
    """Of `jax.nn.dot_product_attention`: 'cudnn', which never holds all (T, T) weights, or 'xla'."""
    if jax.default_backend() != "gpu" or dtype != jnp.bfloat16:
        return "xla"
    return "cudnn" if float(jax.devices()[0].compute_capability) >= MIN_CUDNN_CAPABILITY else "xla"


class Norm(nn.Module):
    """Root mean square normalisation, computed in float32 (https://arxiv.org/abs/1910.07467)."""

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        scale_D = self.param("scale", nn.initializers.ones_init(), (x_BTD.shape[-1],))
        y_BTD = x_BTD.astype(jnp.float32)
        y_BTD *= jax.lax.rsqrt(jnp.mean(jnp.square(y_BTD), axis=-1, keepdims=True) + EPSILON)
        return (y_BTD * scale_D).astype(x_BTD.dtype)


def dense(config: Config, features: int, std: float, name: str | None = None) -> nn.Dense:
    """A matrix without bias."""
    return nn.Dense(
        features,
        use_bias=False,
        dtype=compute_dtype(config),
        kernel_init=nn.initializers.normal(std),
        name=name,
    )


def rotated(x_BTHK: jax.Array, cos_TF: np.ndarray, sin_TF: np.ndarray) -> jax.Array:
    """Pairs (2i, 2i + 1) of a head turned by their angles, float32; first all first halves of pairs, then all second.

    Queries and keys are both put into that order, which changes neither their products nor their lengths.
    """
    first, second = (x_BTHK[..., part::2].astype(jnp.float32) for part in (0, 1))
    cos, sin = cos_TF[:, None], sin_TF[:, None]
    return jnp.concatenate([first * cos - second * sin, first * sin + second * cos], axis=-1)


def of_length_1(x_BTHK: jax.Array) -> jax.Array:
    """Divided by the Euclidean norm over the head's width."""
    # Where all are 0, the gradient of a plain norm is NaN.
    square = jnp.sum(jnp.square(x_BTHK), axis=-1, keepdims=True)
    norm = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1.0)), 0.0)
    return x_BTHK / (norm + EPSILON)


class Attention(nn.Module):
    """Causal attention with rotary positions (https://arxiv.org/abs/2104.09864) and normalised queries and keys."""

    config: Config

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        config, dtype = self.config, compute_dtype(self.config)
        width, num_heads = config.emb_dim, config.num_heads
        q_BTHK, k_BTHK, v_BTHK = (
            dense(config, width, INITIAL_STD, name)(x_BTD).reshape(*x_BTD.shape[:2], num_heads, -1)
            for name in ("query", "key", "value")
        )
        cos_TF, sin_TF = positions.table(x_BTD.shape[1], width // num_heads, config.rope_theta)
        q_BTHK, k_BTHK = (rotated(x, cos_TF, sin_TF) for x in (q_BTHK, k_BTHK))
        scale = (width // num_heads) ** -0.5
        if config.qk_norm:
            initial = nn.initializers.constant(initial_query_scale(config.seq_len))
            q_BTHK = of_length_1(q_BTHK) * self.param("scale", initial, (1,))
            k_BTHK, scale = of_length_1(k_BTHK), 1.0
        y_BTHK = jax.nn.dot_product_attention(
            q_BTHK.astype(dtype),
            k_BTHK.astype(dtype),
            v_BTHK,
            scale=scale,
            is_causal=True,
            implementation=attention_implementation(dtype),
        )
        return dense(config, width, residual_std(config.num_layers), "out")(y_BTHK.reshape(x_BTD.shape))


class Mlp(nn.Module):
    """A gated linear unit (https://arxiv.org/abs/2002.05202), or squared ReLU (https://arxiv.org/abs/2109.08668)."""

    config: Config

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        config = self.config
        if config.mlp == "glu":
            y = dense(config, 2 * config.mlp_dim, INITIAL_STD, "hidden")(x_BTD)
            hidden_BTM, gate_BTM = jnp.split(y, 2, axis=-1)
            y_BTM = hidden_BTM * jax.nn.sigmoid(gate_BTM)
        else:
            y_BTM = jnp.square(jax.nn.relu(dense(config, config.mlp_dim, INITIAL_STD, "hidden")(x_BTD)))
        return dense(config, config.emb_dim, residual_std(config.num_layers), "out")(y_BTM)


class Layer(nn.Module):
    config: Config

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        attention, mlp = Attention(self.config, name="attention"), Mlp(self.config, name="mlp")
        # "layernorm" in a name makes its parameter's type LAYER_NORM_SCALE.
        norm_attention, norm_mlp = Norm(name="layernorm_attention"), Norm(name="layernorm_mlp")
        if self.config.norm == "pre":
            x_BTD = x_BTD + attention(norm_attention(x_BTD))
            return x_BTD + mlp(norm_mlp(x_BTD))
        x_BTD = norm_attention(x_BTD + attention(x_BTD))
        return norm_mlp(x_BTD + mlp(x_BTD))


class LanguageModel(nn.Module):
    """Token numbers (B, T) -> logits of the next token (B, T, V)."""

    config: Config

    def setup(self) -> None:
        config = self.config
        self.shared_embedding = nn.Embed(
            config.vocab_size,
            config.emb_dim,
            dtype=compute_dtype(config),
            embedding_init=nn.initializers.normal(INITIAL_STD),
        )
        self.layer = [Layer(config) for _ in range(config.num_layers)]
        if config.norm == "pre":
            self.layernorm_out = Norm()
        if not config.tied_embeddings:
            self.output = dense(config, config.vocab_size, INITIAL_STD)

    def hidden(self, inputs_BT: jax.Array) -> jax.Array:
        """What the logits are made of, (B, T, D)."""
        x_BTD = self.shared_embedding(inputs_BT)
        for layer in self.layer:
            x_BTD = layer(x_BTD)
        return self.layernorm_out(x_BTD) if self.config.norm == "pre" else x_BTD

    def logits(self, x_BTD: jax.Array) -> jax.Array:
        return self.shared_embedding.attend(x_BTD) if self.config.tied_embeddings else self.output(x_BTD)

    def __call__(self, inputs: jax.Array, *, train: bool, dropout_rate: float | jax.Array) -> jax.Array:
        del train, dropout_rate  # There is no dropout.
        return self.logits(self.hidden(inputs))

    def summed_losses(self, inputs_BT: jax.Array, targets_BT: jax.Array, weights_BT: jax.Array) -> jax.Array:
        """(B,) cross entropies summed over tokens; logits are made for `EVAL_CHUNK` positions at a time."""
        x_BTD = self.hidden(inputs_BT)
        total_B = jnp.zeros(len(inputs_BT), jnp.float32)
        for start in range(0, inputs_BT.shape[1], EVAL_CHUNK):
            part = slice(start, start + EVAL_CHUNK)
            losses = token_losses(self.logits(x_BTD[:, part]), targets_BT[:, part])
            total_B += jnp.sum(jnp.where(weights_BT[:, part] > 0, losses, 0.0), axis=1)
        return total_B


def make_model(spec: WorkloadSpec) -> LanguageModel:
    return LanguageModel(spec.model)


def example_batch(spec: WorkloadSpec) -> dict[str, np.ndarray]:
    return {"inputs": np.zeros((1, spec.model.seq_len), np.int32)}


def eval_outputs(
    model: LanguageModel, variables: Any, batch: dict[str, jax.Array], spec: WorkloadSpec
) -> dict[str, jax.Array]:
    """`loss` (B,): cross entropy in nats, summed over the tokens of a row."""
    del spec
    args = (batch["inputs"], batch["targets"], batch["weights"])
    losses: Any = model.apply(variables, *args, method=model.summed_losses)
    return {"loss": losses}
