"""Momentum SGD in the layout of 2024: `jax.pmap`, replicated state, the older package name, `jax.tree_map`."""

import functools

import jax
import jax.numpy as jnp
from flax import jax_utils

from algorithmic_efficiency import spec


def get_batch_size(workload_name: str) -> int:
    raise ValueError(f"Unsupported workload name: {workload_name}.")


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng) -> spec.OptimizerState:
    zeros = jax.tree_map(lambda shape: jnp.zeros(shape.shape_tuple), workload.param_shapes)
    return jax_utils.replicate(zeros), None


@functools.partial(
    jax.pmap,
    axis_name="batch",
    in_axes=(None, 0, 0, 0, 0, 0, None),
    static_broadcasted_argnums=(0,),
    donate_argnums=(1, 2, 3),
)
def step(workload, momentum, params, model_state, batch, rng, learning_rate):
    def loss_fn(params):
        logits, new_state = workload.model_fn(
            params, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        loss = workload.loss_fn(
            label_batch=batch["targets"],
            logits_batch=logits,
            mask_batch=batch.get("weights"),
            label_smoothing=0.0,
        )
        return loss["summed"], (loss["n_valid_examples"], new_state)

    (_, (count, new_state)), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
    count, grads = jax.lax.psum((count, grads), axis_name="batch")
    momentum = jax.tree_map(lambda m, g: 0.9 * m + g / count, momentum, grads)
    params = jax.tree_map(lambda p, m: p - learning_rate * m, params, momentum)
    return momentum, params, new_state


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
) -> spec.UpdateReturn:
    momentum, _ = optimizer_state
    rngs = jax.random.split(rng, jax.local_device_count())
    momentum, params, model_state = step(
        workload, momentum, current_param_container, model_state, batch, rngs, hyperparameters.learning_rate
    )
    return (momentum, None), params, model_state


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
