"""Compiles Python loops to machine code that runs without Python's lock and is stored between runs."""

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function`, compiled at the first call. Without fast-math, so that results are the same on every machine.

    The machine code is stored next to the source or in the user's cache folder. If neither can be
    written, it is compiled once per process instead.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # Numba found no folder for its cache.
        return numba.njit(nogil=True)(function)
