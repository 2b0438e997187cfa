"""A class of the submission that JAX takes for a leaf, with arrays and a number."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp

from ..common_jax import data_selection, get_batch_size, initializer, sgd, updater  # noqa: F401


@dataclasses.dataclass
class State:
    momentum: Any
    count: int


def change(params, gradient, state, global_step):
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, state.momentum, gradient)
    count = state.count + 1
    return sgd(params, momentum, 0.1 / count**0.5), State(momentum, count)


init_optimizer_state = initializer(lambda params: State(jax.tree.map(jnp.zeros_like, params), 0))
update_params = updater(change)
