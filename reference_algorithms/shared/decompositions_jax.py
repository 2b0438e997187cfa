"""Decompositions of many matrices in JAX."""

from collections.abc import Callable
from typing import Any

import jax


def of_each(decompose: Callable[[jax.Array], Any], matrices: jax.Array) -> Any:
    """Applies `decompose`, for example `jnp.linalg.eigh`, to (count, m, n) matrices.

    On a CPU one matrix after the other: batched decompositions at the same time can wait for each other's threads for
    ever (jaxlib 0.10).
    """
    return jax.lax.map(decompose, matrices) if jax.default_backend() == "cpu" else decompose(matrices)
