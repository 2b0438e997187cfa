"""State that is split over the devices along its last axis, and a count on the last device alone."""

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from ..common_jax import data_selection, get_batch_size, initializer, sgd, updater  # noqa: F401


def spread(array):
    mesh = Mesh(np.array(jax.devices()), ("own",))
    axes = [axis for axis in range(array.ndim) if array.shape[axis] % jax.device_count() == 0]
    names = [None] * array.ndim
    if axes:
        names[axes[-1]] = "own"
    return jax.device_put(array, NamedSharding(mesh, PartitionSpec(*names)))


def make_state(params):
    momentum = jax.tree.map(lambda p: spread(jnp.zeros(p.shape)), params)
    return {"momentum": momentum, "count": jax.device_put(jnp.zeros(()), jax.devices()[-1])}


def change(params, gradient, state, global_step):
    # Where each array lies decides in which order sums are made, and what fits to what.
    gradient = jax.tree.map(lambda g, m: jax.device_put(g, m.sharding), gradient, state["momentum"])
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, state["momentum"], gradient)
    params = jax.tree.map(lambda p, m: p - 0.1 * jax.device_put(m, p.sharding), params, momentum)
    assert state["count"].devices() == {jax.devices()[-1]}
    return params, {"momentum": momentum, "count": state["count"] + 1}


init_optimizer_state = initializer(make_state)
update_params = updater(change)
