"""Averaged weights for evaluations, undone at the next step; sharding helpers, donation, a None that becomes a tree."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf import jax_sharding_utils, spec


class State(NamedTuple):
    inner: Any
    average: Any
    live: Any = None


def get_batch_size(workload_name):
    return 64


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape_tuple), workload.param_shapes)
    optimizer = optax.sgd(0.1, momentum=0.9)
    return State(optimizer.init(zeros), jax.tree.map(jnp.copy, model_params)), optimizer.update


@functools.cache
def compiled_step(workload, update):
    replicated = jax_sharding_utils.get_replicate_sharding()
    split = jax_sharding_utils.get_batch_dim_sharding()

    def step(model_state, state, params, batch, rng, dropout_rate):
        def loss_fn(params):
            logits, new_state = workload.model_fn(
                params,
                batch,
                model_state,
                spec.ForwardPassMode.TRAIN,
                rng,
                update_batch_norm=True,
                dropout_rate=dropout_rate,
            )
            found = workload.loss_fn(
                label_batch=batch["targets"],
                logits_batch=logits,
                mask_batch=batch.get("weights"),
                label_smoothing=0.1,
            )
            return found["summed"] / found["n_valid_examples"], new_state

        (loss, new_state), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
        grads = jax.tree.map(lambda g: jnp.clip(g, a_min=-1.0, a_max=1.0), grads)
        updates, inner = update(grads, state.inner, params)
        params = optax.apply_updates(params, updates)
        average = jax.tree.map(lambda a, p: 0.9 * a + 0.1 * p, state.average, params)
        return new_state, State(inner, average), params, loss

    shardings = (replicated, replicated, replicated, split, replicated, replicated)
    return jax.jit(step, in_shardings=shardings, donate_argnums=(0, 1, 2))


def data_selection(workload, input_queue, optimizer_state, params, model_state, hyperparameters, step, rng):
    return next(input_queue)


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
    train_state,
):
    state, update = optimizer_state
    params = current_param_container
    if state.live is not None:
        params, state = state.live, state._replace(live=None)
    step = compiled_step(workload, update)
    model_state, state, params, loss = step(model_state, state, params, batch, rng, 0.1)
    if workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics({"loss": loss}, global_step)
    return (state, update), params, model_state


def prepare_for_eval(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    state, update = optimizer_state
    averaged = jax.tree.map(jnp.copy, state.average)
    return (state._replace(live=current_param_container), update), averaged, model_state
