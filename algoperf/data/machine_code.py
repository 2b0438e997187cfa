"""Loops of data pipelines compiled to machine code, which lets other threads run."""

from collections.abc import Callable
from typing import Any

import numba

from algoperf.backends import compile_caches


def compiled(signature: str | None = None) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """A decorator: the function as machine code, without fast-math, so that results are the same on every machine.

    The code is kept on disk, next to the source or in the user's cache folder. Where neither can be written, as in a
    container with a read-only installation and no home, it is compiled once per process instead.

    Args:
      signature: to compile for at once; None compiles at the first call.
    """

    def decorate(function: Callable[..., Any]) -> Callable[..., Any]:
        try:
            with compile_caches.numba_of_harness():
                return numba.njit(signature_or_function=signature, nogil=True, cache=True)(function)
        except RuntimeError:  # Numba found no folder for its cache.
            return numba.njit(signature_or_function=signature, nogil=True)(function)

    return decorate
