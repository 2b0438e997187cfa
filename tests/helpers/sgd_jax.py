"""SGD with momentum and dropout in JAX: the submission that tests run and bend."""

import functools

import jax
import jax.numpy as jnp

from algoperf import spec
from reference_algorithms.shared import input_queue


def get_batch_size(workload_name):
    return 32


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    del workload, model_state, hyperparameters, rng
    return jax.tree.map(jnp.zeros_like, model_params), None


data_selection = input_queue.next_batch


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
    momentum, params, model_state = train_step(
        workload,
        hyperparameters.learning_rate,
        hyperparameters.momentum,
        hyperparameters.dropout_rate,
        optimizer_state[0],
        current_param_container,
        model_state,
        batch,
        rng,
    )
    return (momentum, None), params, model_state


# Donated, as public submissions do: the harness must never read what it passed in again.
@functools.partial(jax.jit, static_argnums=0, donate_argnums=(4, 5, 6))
def train_step(workload, learning_rate, decay, dropout_rate, momentum, params, model_state, batch, rng):
    def mean_loss(params):
        logits, new_state = workload.model_fn(
            params, batch, model_state, spec.ForwardPassMode.TRAIN, rng, True, dropout_rate=dropout_rate
        )
        loss = workload.loss_fn(
            label_batch=batch["targets"], logits_batch=logits, mask_batch=batch.get("weights")
        )
        return loss["summed"] / loss["n_valid_examples"], new_state

    grads, model_state = jax.grad(mean_loss, has_aux=True)(params)
    momentum = jax.tree.map(lambda m, g: decay * m + g, momentum, grads)
    params = jax.tree.map(lambda p, m: p - learning_rate * m, params, momentum)
    return momentum, params, model_state
