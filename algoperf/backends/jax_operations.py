"""How many operations a training pass has, and how fast this machine can compute at best, in JAX."""

from typing import Any

import jax
import jax.numpy as jnp

from algoperf.backends.base import BoundWorkload, peak_of
from algoperf.spec import Batch, ModelAuxiliaryState, ParameterContainer, RandomState

SIZES = {"cpu": 1024}
"""Of the square matrices whose product is timed, by platform."""
OTHER_SIZE = 8192


def of_pass(
    workload: BoundWorkload,
    params: ParameterContainer,
    model_state: ModelAuxiliaryState,
    batch: Batch,
    rng: RandomState,
) -> float:
    """Operations in the loss of a batch and its gradient, by XLA's count before it optimizes; nothing is computed.

    Bodies of loops count once, so that it is too few where there are some.
    """
    model = workload.model

    def loss_of(params: Any, model_state: Any, batch: Any) -> jax.Array:
        logits, _ = model.train_forward(params, batch, model_state, rng, True, 0.0)
        loss: jax.Array = model.loss(batch["targets"], logits, batch.get("weights"), 0.0)["summed"]
        return loss

    costs: Any = jax.jit(jax.grad(loss_of)).lower(params, model_state, batch).cost_analysis()
    costs = costs[0] if isinstance(costs, (list, tuple)) else costs or {}
    return float(costs.get("flops", 0.0))


def peak_per_sec() -> float:
    """Operations per second in a product of matrices on one device; the best of several."""
    platform = jax.default_backend()
    size = SIZES.get(platform, OTHER_SIZE)
    types = (jnp.float32,) if platform == "cpu" else (jnp.float32, jnp.bfloat16)
    multiply = jax.jit(jnp.matmul)

    def product_per_sec(dtype: Any) -> float:
        left = jnp.ones((size, size), dtype)
        return peak_of(
            lambda: multiply(left, left).block_until_ready(), 2 * size**3, on_processors=platform == "cpu"
        )

    return max(map(product_per_sec, types))
