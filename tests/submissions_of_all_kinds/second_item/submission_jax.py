"""Momentum and a counter in the item of the pair that is for functions."""

import jax
import jax.numpy as jnp

from ..common_jax import _compiled_gradient, data_selection, get_batch_size, sgd  # noqa: F401


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    momentum = jax.tree.map(jnp.zeros_like, model_params)
    return None, {"momentum": momentum, "count": 0, "step": sgd}


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
    params, extra = current_param_container, optimizer_state[1]
    gradient, model_state = _compiled_gradient(workload, params, model_state, batch, rng)
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, extra["momentum"], gradient)
    params = extra["step"](params, momentum, 0.1 / (1 + extra["count"]))
    return (None, {**extra, "momentum": momentum, "count": extra["count"] + 1}), params, model_state
