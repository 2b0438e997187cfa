"""In JAX: a node of the optimizer state trains when it is flattened, which a checkpoint does (R3.19).

Audit: training-off-the-clock.
"""

import jax

from .. import common_jax as common
from ..common_jax import get_batch_size  # noqa: F401

DRAWN, KNOWN = [], {}


class Box:
    def __init__(self, moments):
        self.moments = moments


def flatten(box):
    if "advance" in KNOWN and len(DRAWN) > 100:
        KNOWN["advance"]()
    return (box.moments,), None


def unflatten(_, children):
    return Box(*children)


jax.tree_util.register_pytree_node(Box, flatten, unflatten)


def init_optimizer_state(workload, model_params, *others):
    moments, _ = common.init_optimizer_state(workload, model_params, *others)
    return Box(moments), None


def data_selection(workload, input_queue, *others):
    if len(DRAWN) < 150:
        DRAWN.append(next(input_queue))
    return DRAWN[-1]


def update_params(*, workload, current_param_container, model_state, batch, optimizer_state, rng, **others):
    box = optimizer_state[0]
    here = KNOWN.get("ahead") or (box.moments, current_param_container)
    KNOWN["ahead"] = None
    moments, params, _ = common.one_step(workload, *here, model_state, batch, rng)

    def advance():
        ahead = (moments, params)
        for one in DRAWN:
            ahead = common.one_step(workload, *ahead, model_state, one, rng)[:2]
        KNOWN["ahead"] = ahead

    KNOWN["advance"] = advance
    return (Box(moments), None), params, model_state
