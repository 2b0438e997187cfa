"""Adafactor in JAX; see README.md for the rule, its sources and the search spaces."""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.adafactor.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_jax


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int) -> optax.GradientTransformation:
    """The rule of README.md as a chain of transformations."""
    schedule = schedules.cosine(hyperparameters, step_hint, jnp)
    beta1 = 1 - hyperparameters.one_minus_beta1
    return optax.chain(
        # The order is AlgoPerf's: momentum averages steps that already have their rate, and decay is not
        # averaged.
        scale_by_factored_rms(),
        # The paper's update clipping with d = 1 (section 6).
        optax.clip_by_block_rms(1.0),
        optax.scale_by_learning_rate(schedule),
        # No bias correction, as in AlgoPerf's Adafactor.
        optax.ema(beta1, debias=False),
        add_scheduled_decay(hyperparameters.weight_decay, schedule),
    )


class FactoredState(NamedTuple):
    count: jax.Array  # type: ignore[assignment]  # as in optax, though it hides tuple.count
    rows: optax.Params
    columns: optax.Params


def scale_by_factored_rms(beta2: float = 0.99, epsilon: float = 1e-30) -> optax.GradientTransformation:
    """Updates g / √v; for tensors of two or more axes v is the outer product of its row and column means.

    The means are over the last two axes, and the decay of their averages includes the bias correction. The rule of
    this name in `optax` has another decay and factors only axes above a size.

    Source: Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235.
    """

    def init(params: optax.Params) -> FactoredState:
        rows = jax.tree.map(lambda w: jnp.zeros(w.shape[:-1] if w.ndim > 1 else w.shape), params)
        columns = jax.tree.map(
            lambda w: jnp.zeros((*w.shape[:-2], w.shape[-1]) if w.ndim > 1 else ()), params
        )
        return FactoredState(jnp.zeros((), jnp.int32), rows, columns)

    def update(
        grads: optax.Updates, state: FactoredState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, FactoredState]:
        del params
        count = state.count + 1
        # Section 7 of the paper: with this decay the average equals Adam's bias-corrected one.
        decay = beta2 * (1 - beta2 ** (count - 1)) / (1 - beta2**count)
        squares = jax.tree.map(lambda g: jnp.square(g) + epsilon, grads)
        rows = jax.tree.map(
            lambda r, q: decay * r + (1 - decay) * (q.mean(-1) if q.ndim > 1 else q), state.rows, squares
        )
        columns = jax.tree.map(
            lambda c, q: decay * c + (1 - decay) * q.mean(-2) if q.ndim > 1 else c, state.columns, squares
        )

        def scaled(g: jax.Array, r: jax.Array, c: jax.Array) -> jax.Array:
            if g.ndim < 2:
                return g * jax.lax.rsqrt(r)
            # v = r c / mean(r), algorithm 4 of the paper.
            r = r / r.mean(-1, keepdims=True)
            return g * jax.lax.rsqrt(r)[..., None] * jax.lax.rsqrt(c)[..., None, :]

        return jax.tree.map(scaled, grads, rows, columns), FactoredState(count, rows, columns)

    return optax.GradientTransformation(init, update)


def add_scheduled_decay(weight_decay: float, schedule: schedules.Schedule) -> optax.GradientTransformation:
    """Subtracts η λ w from updates that already include the factor η."""

    def init(params: optax.Params) -> jax.Array:
        del params
        return jnp.zeros((), jnp.int32)

    def update(
        updates: optax.Updates, step: jax.Array, params: optax.Params | None = None
    ) -> tuple[optax.Updates, jax.Array]:
        scale = schedule(step) * weight_decay
        return jax.tree.map(lambda u, w: u - scale * w, updates, params), step + 1

    return optax.GradientTransformation(init, update)


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_jax.initializer(make_optimizer, SELF_TUNING_POINT, schedule=schedules.cosine)
data_selection = input_queue.next_batch
update_params = training_jax.update_params
