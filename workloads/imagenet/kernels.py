"""Compiled loops: machine code from Python, kept between runs, that lets other threads run."""

from collections.abc import Callable
from typing import Any

import numba


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` compiled on first call; no fast-math, so results are the same on every machine.

    The machine code is kept on disk, next to the source or in the user's cache folder. Where neither can be
    written, it is compiled once per process instead.
    """
    try:
        return numba.njit(nogil=True, cache=True)(function)
    except RuntimeError:  # Numba found no folder for its cache.
        return numba.njit(nogil=True)(function)
