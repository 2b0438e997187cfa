"""An optimizer state that is a pair with names."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from ..common_jax import _compiled_gradient, data_selection, get_batch_size, sgd  # noqa: F401


class Pair(NamedTuple):
    momentum: Any
    step: Any


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return Pair(jax.tree.map(jnp.zeros_like, model_params), sgd)


def update_params(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    batch,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    params, old = current_param_container, optimizer_state.momentum
    gradient, model_state = _compiled_gradient(workload, params, model_state, batch, rng)
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, old, gradient)
    return optimizer_state._replace(momentum=momentum), optimizer_state.step(params, momentum), model_state
