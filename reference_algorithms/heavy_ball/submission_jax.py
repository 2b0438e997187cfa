"""Heavy-ball momentum in JAX; see README.md for the rule, its sources and the search spaces."""

from typing import Any

import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.heavy_ball.self_tuning import SELF_TUNING_POINT
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
    """Momentum with warm-up and linear decay; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    return training_jax.init_state(
        make_optimizer(hyperparameters, workload.step_hint), model_params, hyperparameters
    )


def make_optimizer(hyperparameters: Any, step_hint: int) -> optax.GradientTransformation:
    """Coupled weight decay, then `optax.sgd`, whose learning rate multiplies after the accumulation."""
    schedule = schedules.warmup_then_linear(
        hyperparameters.learning_rate,
        warmup_factor=hyperparameters.warmup_factor,
        decay_steps_factor=hyperparameters.decay_steps_factor,
        end_factor=hyperparameters.end_factor,
        step_hint=step_hint,
        numbers=jnp,
    )
    return optax.chain(
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.sgd(schedule, momentum=1 - hyperparameters.one_minus_beta1),
    )
