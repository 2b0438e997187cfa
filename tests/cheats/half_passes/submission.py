"""In JAX: parameters and images are cast to bfloat16 for the passes of the model (R11.4).

Audit: cast-model.
"""

import functools

import jax
import jax.numpy as jnp
import optax

from algoperf import spec

from ..common_jax import RULE, data_selection, get_batch_size, init_optimizer_state  # noqa: F401


@functools.partial(jax.jit, static_argnums=0)
def half_step(workload, moments, params, model_state, batch, rng):
    """An update by gradients of half precision."""
    low = {**batch, "inputs": batch["inputs"].astype(jnp.bfloat16)}

    def mean_loss(params):
        small = jax.tree.map(lambda p: p.astype(jnp.bfloat16), params)
        logits, _ = workload.model_fn(
            small, low, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True
        )
        loss = workload.loss_fn(batch["targets"], logits.astype(jnp.float32), None)
        return loss["summed"] / loss["n_valid_examples"]

    gradient = jax.grad(mean_loss)(params)
    step, moments = RULE.update(gradient, moments, params)
    return moments, optax.apply_updates(params, step)


def update_params(*, workload, current_param_container, model_state, batch, optimizer_state, rng, **others):
    moments, params = half_step(
        workload, optimizer_state[0], current_param_container, model_state, batch, rng
    )
    return (moments, None), params, model_state
