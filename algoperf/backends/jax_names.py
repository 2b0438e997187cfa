"""Names that JAX has dropped and public submissions use, put back where one line does it."""

import functools
import inspect
from typing import Any

import jax
import jax.numpy as jnp

TREE_NAMES = ("map", "leaves", "flatten", "unflatten", "structure", "all", "reduce", "transpose")


def put_back() -> None:
    """Gives JAX the older names; what it has already stays as it is."""
    for name in TREE_NAMES:  # `jax.tree_map` until 0.6.0, the others until 0.4.26.
        vars(jax).setdefault(f"tree_{name}", getattr(jax.tree, name))
    vars(jax.random).setdefault("KeyArray", jax.Array)  # Until 0.4.24; only annotations use it.
    if "a_min" not in inspect.signature(jnp.clip).parameters and not hasattr(jnp.clip, "older_names"):
        vars(jnp)["clip"] = _with_older_names(jnp.clip)


def _with_older_names(clip: Any) -> Any:
    """`jnp.clip` that also takes the names that its arguments had until JAX 0.8."""

    @functools.wraps(clip)
    def wrapper(*args: Any, **older: Any) -> Any:
        renamed = {{"a_min": "min", "a_max": "max"}.get(name, name): value for name, value in older.items()}
        if "a" in renamed:
            args = (renamed.pop("a"), *args)
        return clip(*args, **renamed)

    vars(wrapper)["older_names"] = True
    return wrapper
