"""A tree that is None at first, and None again after a while."""

import jax

from ..common_jax import data_selection, get_batch_size, initializer, sgd, updater  # noqa: F401


def change(params, gradient, state, global_step):
    average = state["average"]
    if global_step == 3:
        average = params
    if average is not None:
        average = jax.tree.map(lambda a, p: 0.9 * a + 0.1 * p, average, params)
        params = jax.tree.map(lambda p, a: 0.95 * p + 0.05 * a, params, average)
    return sgd(params, gradient), {"average": None if global_step == 15 else average}


init_optimizer_state = initializer(lambda params: {"average": None})
update_params = updater(change)
