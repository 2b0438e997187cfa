"""Prodigy in JAX; see README.md for the rule, its sources and the search spaces."""

from typing import Any

import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.prodigy.self_tuning import EPSILON, SELF_TUNING_POINT
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
    """Prodigy with warm-up and cosine decay; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    return training_jax.init_state(
        make_optimizer(hyperparameters, workload.step_hint), model_params, hyperparameters
    )


def make_optimizer(hyperparameters: Any, step_hint: int) -> optax.GradientTransformation:
    """`optax.contrib.prodigy` is exactly the rule of README.md, with the schedule over `step_hint` updates."""
    schedule = schedules.warmup_then_cosine(
        hyperparameters.learning_rate,
        warmup_factor=hyperparameters.warmup_factor,
        step_hint=step_hint,
        numbers=jnp,
    )
    return optax.contrib.prodigy(
        schedule,
        betas=(1 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        eps=EPSILON,
        estim_lr0=hyperparameters.first_estimate,
        weight_decay=hyperparameters.weight_decay,
        safeguard_warmup=True,
    )
