"""DLRM-small in Flax: dense features and hashed categories, their dot products, a click logit.

Parameter names are AlgoPerf's: `embedding_table`; `Dense_i` and `LayerNorm_i` in the order of the computation.
"""

# Shapes: B batch, C dense features, F feature vectors (27), G categorical features (26), D embedding width,
#   H hidden width, P pairs of feature vectors (378)

import math
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax.nn import initializers

from algoperf.jax_utils import Dropout
from algoperf.workload import WorkloadSpec
from workloads.criteo1tb.interaction import NUM_CATEGORICAL, check_model, upper_triangle

LAYER_NORM_EPSILON = 1e-6


def uniform(factor: float) -> Callable[..., jax.Array]:
    """Initialiser: U[0, factor), as in AlgoPerf; the values are never negative."""
    return lambda key, shape, dtype=jnp.float32: jax.random.uniform(key, shape, dtype) * factor


def normal(stddev: float) -> Callable[..., jax.Array]:
    """Initialiser: N(0, stddev^2).

    Sizes are rounded up to powers of 4 and the draw is cut, because each size takes half a second to compile.
    """

    def init(key: jax.Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> jax.Array:
        size = math.prod(shape)
        drawn = jax.random.normal(key, (max(1 << 10, 1 << 2 * -(-(size - 1).bit_length() // 2)),), dtype)
        return drawn[:size].reshape(shape) * stddev

    return init


def bottom_dense(features: int) -> nn.Dense:
    bias_init = normal(features**-0.5)
    return nn.Dense(features, kernel_init=initializers.glorot_uniform(), bias_init=bias_init)


def top_dense(features: int, fan_in: int, bias_stddev: float | None = None) -> nn.Dense:
    kernel_init = normal((2 / (fan_in + features)) ** 0.5)
    bias_init = normal(features**-0.5 if bias_stddev is None else bias_stddev)
    return nn.Dense(features, kernel_init=kernel_init, bias_init=bias_init)


def dot_interaction(vectors_BFD: jax.Array) -> jax.Array:
    """(B, P) dot products of each vector with itself and those behind it, row by row."""
    products_BFF = jnp.einsum("bfd,bgd->bfg", vectors_BFD, vectors_BFD)
    num_vectors = vectors_BFD.shape[1]
    flat = products_BFF.reshape(-1, num_vectors**2)
    # Indices along the second axis only: indexing rows too would need an index array as large as the batch.
    return flat.at[:, upper_triangle(num_vectors)].get(
        indices_are_sorted=True, unique_indices=True, mode="promise_in_bounds"
    )


class Dlrm(nn.Module):
    """See README.md; `use_resnet` gives the variant without dot products."""

    vocab_size: int
    num_dense_features: int
    mlp_bottom_dims: tuple[int, ...]
    mlp_top_dims: tuple[int, ...]
    embed_dim: int
    use_layer_norm: bool
    use_resnet: bool
    output_bias_stddev: float
    embedding_init_multiplier: float | None

    @nn.compact
    def __call__(self, inputs: jax.Array, *, train: bool, dropout_rate: float | jax.Array) -> jax.Array:
        """
        Args:
          inputs: (B, 39) float32: dense features, then hash buckets as numbers.
          train: whether dropout is on.
          dropout_rate: rate after the last hidden layer; may be traced.

        Returns:
          (B, 1) logits.
        """
        dense_BC, buckets_BG = jnp.split(inputs, [self.num_dense_features], axis=1)
        bottom_BD = self._bottom(dense_BC)
        embedded_BGD = self._embed(buckets_BG)
        if self.use_resnet:
            flat = embedded_BGD.reshape(-1, NUM_CATEGORICAL * self.embed_dim)
            # AlgoPerf's variant without dot products, so every embedding is an input of the top MLP.
            top = jnp.concatenate([bottom_BD, flat], axis=1)
        else:
            vectors_BFD = jnp.concatenate([bottom_BD[:, None], embedded_BGD], axis=1)
            top = jnp.concatenate([bottom_BD, dot_interaction(vectors_BFD)], axis=1)
        return self._top(top, train, dropout_rate)

    def _norm(self, x: jax.Array) -> jax.Array:
        return nn.LayerNorm(epsilon=LAYER_NORM_EPSILON)(x) if self.use_layer_norm else x

    def _bottom(self, x: jax.Array) -> jax.Array:
        for index, features in enumerate(self.mlp_bottom_dims):
            hidden_BH = nn.relu(bottom_dense(features)(x))
            # The first layer changes the width (13 inputs), so it has no residual connection.
            x = x + hidden_BH if self.use_resnet and index else self._norm(hidden_BH)
        return x

    def _embed(self, buckets_BG: jax.Array) -> jax.Array:
        multiplier = self.embedding_init_multiplier
        # AlgoPerf's scale of the table: 1 / sqrt(4,194,304) = 1 / 2048.
        factor = self.vocab_size**-0.5 if multiplier is None else multiplier
        table = self.param("embedding_table", uniform(factor), (self.vocab_size, self.embed_dim))
        # One table for all features: buckets of different features share rows. Buckets arrive as float32, so
        # those above 2**24 are rounded, as in AlgoPerf, whose targets were set with it.
        rows_BG = buckets_BG.astype(jnp.int32) % self.vocab_size
        # The modulo guarantees valid rows, so the gather needs no check of bounds.
        return self._norm(jnp.asarray(table).at[rows_BG].get(mode="promise_in_bounds"))

    def _top(self, x: jax.Array, train: bool, dropout_rate: float | jax.Array) -> jax.Array:
        *hidden_dims, num_logits = self.mlp_top_dims
        for index, features in enumerate(hidden_dims):
            hidden_BH = self._norm(nn.relu(top_dense(features, x.shape[1])(x)))
            # AlgoPerf has dropout only here.
            if index == len(hidden_dims) - 1:
                hidden_BH = Dropout()(hidden_BH, rate=dropout_rate, train=train)
            x = x + hidden_BH if self.use_resnet and index else hidden_BH
        # The bias of the output has its own standard deviation: the mini version starts it at 0 (README.md).
        return top_dense(num_logits, x.shape[1], self.output_bias_stddev)(x)


def make_model(spec: WorkloadSpec) -> Dlrm:
    check_model(spec)
    return Dlrm(**spec.model)


def example_batch(spec: WorkloadSpec) -> dict[str, np.ndarray]:
    return {"inputs": np.zeros((1, spec.model.num_dense_features + NUM_CATEGORICAL), np.float32)}
