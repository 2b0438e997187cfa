"""The size of the arrays in an object of a submission, whatever framework they are of."""

from collections.abc import Iterable, Iterator
from typing import Any

MAX_OBJECTS = 2_000_000
"""That are looked at: more than any optimizer's state has, so that odd objects end."""


def num_bytes(tree: object, without: Iterable[object] = ()) -> int:
    """Bytes of all arrays that an object leads to: through containers, and attributes of objects.

    Args:
      tree: the object.
      without: objects whose arrays do not count, such as the parameters.

    >>> import numpy as np
    >>> params = [np.zeros(4, np.float32)]
    >>> num_bytes({"m": np.zeros(4, np.float32), "of": params}, without=params)
    16
    """
    excluded = {_identity(one) for one in _arrays(list(without))}
    return sum(
        {_identity(one): int(one.nbytes) for one in _arrays(tree) if _identity(one) not in excluded}.values()
    )


def _arrays(tree: object) -> Iterator[Any]:
    seen: dict[int, object] = {}  # Holds the objects, so that no number is given twice.
    todo = [tree]
    while todo and len(seen) < MAX_OBJECTS:
        one = todo.pop()
        if id(one) in seen or isinstance(one, (type, str, bytes, int, float, complex, type(None))):
            continue
        seen[id(one)] = one
        if isinstance(getattr(one, "nbytes", None), int) and hasattr(one, "dtype"):
            yield one
        elif isinstance(one, dict):
            todo += [*one.keys(), *one.values()]
        elif isinstance(one, (list, tuple, set, frozenset)):
            todo += one
        elif callable(getattr(one, "parameters", None)) and hasattr(one, "__dict__"):
            todo += [*vars(one).values()]  # A module: its parameters lie in dictionaries.
        elif hasattr(one, "__dict__") and not callable(one):
            todo += vars(one).values()


def _identity(array: Any) -> object:
    """Where its numbers are: two tensors may share them."""
    if callable(getattr(array, "data_ptr", None)):
        try:
            return array.data_ptr(), tuple(array.shape), str(array.device)
        except RuntimeError:  # A tensor without storage.
            pass
    return id(array)
