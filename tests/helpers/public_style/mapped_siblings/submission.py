"""Of the first era: a step for each device, the older package name, the mount path of the competition."""

import functools

import jax
import jax.numpy as jnp
import optax
from flax import jax_utils
from submissions.submissions_algorithms_v0_5.AlgoPerf_Team_1.external_tuning.mapped_siblings import scoring

from algorithmic_efficiency import spec


def get_batch_size(workload_name):
    return 64


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    zeros = jax.tree_map(lambda shape: jnp.zeros(shape.shape_tuple), workload.param_shapes)
    assert jax.tree_map(jnp.shape, jax_utils.unreplicate(model_params)) == jax.tree_map(jnp.shape, zeros)
    optimizer = optax.sgd(0.1, momentum=0.9)
    return jax_utils.replicate(optimizer.init(zeros)), optimizer.update


@functools.partial(
    jax.pmap, axis_name="batch", in_axes=(None, None, 0, 0, 0, 0, 0), static_broadcasted_argnums=(0, 1)
)
def mapped_step(workload, update, model_state, state, params, batch, rng):
    def loss_fn(params):
        logits, new_state = workload.model_fn(
            params, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        found = workload.loss_fn(
            label_batch=batch["targets"],
            logits_batch=logits,
            mask_batch=batch.get("weights"),
            label_smoothing=0.0,
        )
        return found["summed"], (found["n_valid_examples"], new_state)

    (summed, (count, new_state)), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
    summed, count, grads = jax.lax.psum((summed, count, grads), axis_name="batch")
    grads = jax.tree_map(lambda g: g / count, grads)
    grads = jax.tree_map(lambda g: g / (1 + scoring.global_norm(grads)), grads)
    updates, state = update(grads, state, params)
    return state, optax.apply_updates(params, updates), new_state


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
):
    state, update = optimizer_state
    keys = jax.random.split(rng, jax.local_device_count())
    state, params, model_state = mapped_step(
        workload, update, model_state, state, current_param_container, batch, keys
    )
    return (state, update), params, model_state
