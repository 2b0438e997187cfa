"""Leaves of all kinds: keys, weakly typed and half-precision arrays, host arrays and their generator, functions."""

import jax
import jax.numpy as jnp
import numpy as np

from ..common_jax import data_selection, get_batch_size, initializer, sgd, updater  # noqa: F401


def make_state(params):
    return {
        "key": jax.random.key(3),
        "weak": jnp.asarray(1.0),
        "half": jax.tree.map(lambda p: jnp.zeros(p.shape, jnp.bfloat16), params),
        "host": np.zeros(2),
        "numpy": np.random.default_rng(4),
        "function": lambda count: 0.1 / count**0.5,
        "count": 1,
    }


def change(params, gradient, state, global_step):
    key, draw = jax.random.split(state["key"])
    # Times a weak 1 it stays bfloat16; times a float32 it would not.
    half = jax.tree.map(
        lambda h, g: 0.9 * h * state["weak"] + g.astype(jnp.bfloat16), state["half"], gradient
    )
    scale = state["function"](state["count"]) * (1 + 0.01 * state["numpy"].random() + 0.01 * state["host"][0])
    noise = 1 + 0.01 * jax.random.normal(draw)
    params = sgd(params, jax.tree.map(lambda h: h.astype(jnp.float32) * noise, half), float(scale))
    state = {**state, "key": key, "half": half, "host": state["host"] + 0.5, "count": state["count"] + 1}
    return params, state


init_optimizer_state = initializer(make_state)
update_params = updater(change)
