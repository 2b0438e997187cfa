"""Optimizers in JAX: transformations of optax."""

from algoperf.adapter.dialect import Dialect

DIALECT = Dialect(
    package="optax",
    example="optax.adam",
    rate="learning_rate=1e-3",
    is_functional=True,
    numbers=", numbers=jnp",
)
