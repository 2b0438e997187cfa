"""What functions in a PyTorch submission's state keep for themselves: it is in no checkpoint, and so has to be named.

A checkpoint leaves functions to the new process. That changes nothing as long as what they close over is constant, is
part of the state as well, or belongs to the model; a counter, an average or an optimizer that only a function knows
begins anew.
"""

import collections
import types
from collections.abc import Iterator, Mapping

import torch

from algoperf.backends.torch_places import ATOMS, ModelNames, Path, Places, described

Marks = dict[tuple[Path, str], object]
"""(function, variable) -> what changes when the variable's content does."""
CONTAINERS = (dict, list, tuple, set, collections.deque)
MAX_ITEMS = 1000
"""Of a container that are looked at."""
MAX_DEPTH = 4
"""Of functions and containers within each other."""


def marks(places: Places, names: ModelNames) -> Marks:
    """The variables of all functions of a state, as they are now.

    Args:
      places: of the state; what it holds by itself is saved, and counts as constant.
      names: of the model, of which the same is true.
    """
    known = Known(places, names)
    found: Marks = {}
    for path, value in places.objects.items():
        if is_of_submission(value):
            found.update(((path, name), known.mark(held, 0)) for name, held in variables(value))
    return found


def changed(before: Mapping[tuple[Path, str], object], now: Marks) -> list[str]:
    """Each function whose variables are not what they were at the start, with the variable's name."""
    return [
        f"{name!r} of the function {described(path)}"
        for (path, name), mark in now.items()
        # Without a mark it is in the state by now.
        if mark is not None and (path, name) in before and before[path, name] != mark
    ]


def is_of_submission(value: object) -> bool:
    """Whether this is a function that closes over something, and no part of PyTorch's own machinery."""
    return (
        isinstance(value, types.FunctionType)
        and bool(value.__closure__)
        and (value.__module__ or "").split(".")[0] not in ("torch", "functools", "contextlib")
        and not hasattr(value, "_torchdynamo_orig_callable")
    )


def variables(function: object) -> Iterator[tuple[str, object]]:
    """(name, content) of what a function closes over."""
    assert isinstance(function, types.FunctionType)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        try:
            yield name, cell.cell_contents
        except ValueError:  # It has no content yet.
            continue


class Known:
    """Gives marks to what is neither in the state nor in the model."""

    def __init__(self, places: Places, names: ModelNames):
        self._places, self._names = places, names

    def mark(self, value: object, depth: int) -> object:
        """Something that is equal as long as `value` has not changed; None where there is no telling."""
        if isinstance(value, ATOMS):
            return repr(value)
        is_saved = self._places.path_of(value) is not None or id(value) in self._names.name_of
        if is_saved or depth > MAX_DEPTH:
            return None
        if isinstance(value, torch.Tensor):
            return id(value), _version(value)
        if isinstance(value, torch.optim.Optimizer):
            return self.mark(list(value.state.values()), depth + 1)
        if isinstance(value, torch.nn.Module):
            own = [*value.parameters(), *value.buffers()]
            return self.mark(own, depth + 1)
        if isinstance(value, CONTAINERS):
            items = list(value.values() if isinstance(value, dict) else value)[:MAX_ITEMS]
            return len(value), tuple(self.mark(item, depth + 1) for item in items)
        if is_of_submission(value):
            return tuple(self.mark(held, depth + 1) for _, held in variables(value))
        return None


def _version(tensor: torch.Tensor) -> int:
    """How often it was changed in place."""
    return -1 if tensor.is_inference() else int(tensor._version)
