"""Cautious NadamW in JAX; see README.md for the rule, its sources and the search spaces."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT
from reference_algorithms.nadamw.submission_jax import scale_by_nadam
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
    """Cautious NadamW with warm-up and cosine decay; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    return training_jax.init_state(
        make_optimizer(hyperparameters, workload.step_hint), model_params, hyperparameters
    )


def make_optimizer(hyperparameters: Any, step_hint: int) -> optax.GradientTransformation:
    """w <- w - η (mask * m̂ / (√v̂ + ε) + λ w), with the schedule η over `step_hint` updates."""
    schedule = schedules.warmup_then_cosine(
        hyperparameters.learning_rate,
        warmup_factor=hyperparameters.warmup_factor,
        step_hint=step_hint,
        numbers=jnp,
    )
    nadam = scale_by_nadam(beta1=1 - hyperparameters.one_minus_beta1, beta2=hyperparameters.beta2)
    return optax.chain(
        cautious(nadam),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )


def cautious(transformation: optax.GradientTransformation) -> optax.GradientTransformation:
    """Leaves out what would move against the current gradient, and scales the rest of a tensor up in turn.

    Source: Liang et al. 2024, https://arxiv.org/abs/2411.16085.
    """

    def masked(update: jax.Array, grad: jax.Array) -> jax.Array:
        mask = (update * grad > 0).astype(update.dtype)
        return update * (mask / jnp.maximum(mask.mean(), 1e-3))

    def update(grads: optax.Updates, state: optax.OptState, params: optax.Params | None = None):
        updates, state = transformation.update(grads, state, params)
        return jax.tree.map(masked, updates, grads), state

    return optax.GradientTransformation(transformation.init, update)
