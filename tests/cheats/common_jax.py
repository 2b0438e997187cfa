"""The honest algorithm that the JAX tricks of this folder start from: AdamW at a constant rate, no breach."""

import functools

import jax
import optax

from algoperf import spec

RULE = optax.adamw(0.003, weight_decay=0.05)


def get_batch_size(workload_name):
    return 64


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return RULE.init(model_params), None


def data_selection(workload, input_queue, *others):
    return next(input_queue)


@functools.partial(jax.jit, static_argnums=0)
def one_step(workload, moments, params, model_state, batch, rng):
    """(moments, parameters, model state) after an update."""

    def mean_loss(params):
        logits, new_state = workload.model_fn(
            params, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
        return loss["summed"] / loss["n_valid_examples"], new_state

    gradient, model_state = jax.grad(mean_loss, has_aux=True)(params)
    step, moments = RULE.update(gradient, moments, params)
    return moments, optax.apply_updates(params, step), model_state


def update_params(*, workload, current_param_container, model_state, batch, optimizer_state, rng, **others):
    moments, params, model_state = one_step(
        workload, optimizer_state[0], current_param_container, model_state, batch, rng
    )
    return (moments, None), params, model_state
