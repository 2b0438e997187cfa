"""NAdamW as public JAX submissions write it: state made eagerly, shardings named, a new wrapper each step."""

import jax
import jax.numpy as jnp
import optax

from algoperf import jax_sharding_utils, spec


def get_batch_size(workload_name):
    return 32


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape_tuple), workload.param_shapes)
    optimizer = optax.nadamw(0.01)
    return optimizer.init(zeros), optimizer.update


def data_selection(
    workload,
    input_queue,
    optimizer_state,
    current_param_container,
    model_state,
    hyperparameters,
    global_step,
    rng,
):
    return next(input_queue)


def train_step(workload, update, model_state, optimizer_state, params, batch, rng):
    def mean_loss(params):
        logits, new_state = workload.model_fn(
            params, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        loss = workload.loss_fn(
            label_batch=batch["targets"], logits_batch=logits, mask_batch=batch.get("weights")
        )
        return loss["summed"] / loss["n_valid_examples"], new_state

    (_, new_state), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
    updates, optimizer_state = update(grads, optimizer_state, params)
    return optimizer_state, optax.apply_updates(params, updates), new_state


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
    state, update = optimizer_state
    replicated = jax_sharding_utils.get_replicate_sharding()
    split = jax_sharding_utils.get_batch_dim_sharding()
    step = jax.jit(
        train_step,
        static_argnums=(0, 1),
        donate_argnums=(2, 3, 4),
        in_shardings=(replicated, replicated, replicated, split, replicated),
        out_shardings=(replicated, replicated, replicated),
    )
    state, params, model_state = step(
        workload, update, model_state, state, current_param_container, batch, rng
    )
    return (state, update), params, model_state
