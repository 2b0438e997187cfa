"""A node of JAX's trees that the submission has registered: momentum, and what it counts beside it."""

import jax
import jax.numpy as jnp

from ..common_jax import data_selection, get_batch_size, initializer, sgd, updater  # noqa: F401


@jax.tree_util.register_pytree_node_class
class Node:
    def __init__(self, momentum, count):
        self.momentum, self.count = momentum, count

    def tree_flatten(self):
        return (self.momentum,), self.count

    @classmethod
    def tree_unflatten(cls, count, children):
        return cls(*children, count)


def change(params, gradient, state, global_step):
    momentum = jax.tree.map(lambda m, g: 0.9 * m + g, state.momentum, gradient)
    count = state.count + 1
    return sgd(params, momentum, 0.1 / count**0.5), Node(momentum, count)


init_optimizer_state = initializer(lambda params: Node(jax.tree.map(jnp.zeros_like, params), 0))
update_params = updater(change)
