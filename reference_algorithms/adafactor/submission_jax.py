"""Adafactor in JAX; see README.md for the rule, its sources and the search spaces."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.adafactor.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import schedules, training_jax
from reference_algorithms.shared.batch_sizes import get_batch_size
from reference_algorithms.shared.training_jax import data_selection, update_params

__all__ = ["data_selection", "get_batch_size", "init_optimizer_state", "update_params"]


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    """Adafactor with warm-up and cosine decay; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    return training_jax.init_state(
        make_optimizer(hyperparameters, workload.step_hint), model_params, hyperparameters
    )


def make_optimizer(hyperparameters: Any, step_hint: int) -> optax.GradientTransformation:
    """Momentum comes after the learning rate, and weight decay after the momentum."""
    schedule = schedules.warmup_then_cosine(
        hyperparameters.learning_rate,
        warmup_factor=hyperparameters.warmup_factor,
        step_hint=step_hint,
        numbers=jnp,
    )
    beta1 = 1 - hyperparameters.one_minus_beta1
    return optax.chain(
        scale_by_factored_rms(),
        optax.clip_by_block_rms(1.0),
        optax.scale_by_learning_rate(schedule),
        optax.ema(beta1, debias=False),
        add_scheduled_decay(hyperparameters.weight_decay, schedule),
    )


class FactoredState(NamedTuple):
    count: jax.Array
    rows: optax.Params
    columns: optax.Params


def scale_by_factored_rms(beta2: float = 0.99, epsilon: float = 1e-30) -> optax.GradientTransformation:
    """g / √v, where v is the outer product of its row and column means, for tensors of two or more axes.

    The factors are over the last two axes; the decay of their averages includes the bias correction. `optax` has a
    rule of the same name with another decay and with thresholds for the sizes of axes.

    Source: Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235.
    """

    def init(params: optax.Params) -> FactoredState:
        rows = jax.tree.map(lambda w: jnp.zeros(w.shape[:-1] if w.ndim > 1 else w.shape), params)
        columns = jax.tree.map(
            lambda w: jnp.zeros((*w.shape[:-2], w.shape[-1]) if w.ndim > 1 else ()), params
        )
        return FactoredState(jnp.zeros((), jnp.int32), rows, columns)

    def update(grads: optax.Updates, state: FactoredState, params: optax.Params | None = None):
        del params
        count = state.count + 1
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
            r = r / r.mean(-1, keepdims=True)
            return g * jax.lax.rsqrt(r)[..., None] * jax.lax.rsqrt(c)[..., None, :]

        return jax.tree.map(scaled, grads, rows, columns), FactoredState(count, rows, columns)

    return optax.GradientTransformation(init, update)


def add_scheduled_decay(weight_decay: float, schedule: Any) -> optax.GradientTransformation:
    """Subtracts η λ w from updates that have been multiplied by η already."""

    def init(params: optax.Params) -> jax.Array:
        del params
        return jnp.zeros((), jnp.int32)

    def update(updates: optax.Updates, step: jax.Array, params: optax.Params | None = None):
        scale = schedule(step) * weight_decay
        return jax.tree.map(lambda u, w: u - scale * w, updates, params), step + 1

    return optax.GradientTransformation(init, update)
