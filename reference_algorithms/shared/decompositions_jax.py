"""Decompositions of many matrices in JAX."""

from collections.abc import Callable
from typing import Any

import jax


def of_each(decompose: Callable[[jax.Array], Any], matrices: jax.Array) -> Any:
    """`decompose` of (count, m, n) matrices, for example `jnp.linalg.eigh`.

    On a CPU one after the other: batched decompositions that run at the same time can wait for each other's threads for
    ever (jaxlib 0.10).
    """
    return jax.lax.map(decompose, matrices) if jax.default_backend() == "cpu" else decompose(matrices)
