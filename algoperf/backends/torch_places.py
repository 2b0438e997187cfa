"""Where the objects of a PyTorch submission's state are: names of the model's parts, paths to everything else.

A checkpoint is restored into objects that a new process has made: the model, and what `init_optimizer_state` returned.
The model's parts are found again by name. What cannot be written down (functions, streams) and what must stay the same
object (an optimizer that a scheduler has patched) is found again by its path.
"""

import collections
import enum
import functools
import logging
import threading
import types
import weakref
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from algoperf.backends.torch_model import unwrap

Step = tuple[str, Any]
"""How to get from an object to one that it holds: ('key', k), ('index', i), ('attribute', name), ..."""
Path = tuple[Step, ...]

ATOMS = (bool, int, float, complex, str, bytes, type(None), enum.Enum, np.generic)
LEAVES = (*ATOMS, np.ndarray, torch.Tensor, torch.Generator, torch.dtype, torch.device)
"""What holds no other objects."""
LIVE = (
    *(types.FunctionType, types.ModuleType, type, weakref.ref, logging.Logger),
    *(type(threading.Lock()), type(threading.RLock()), torch.Stream, torch.Event),
    *((dist.ProcessGroup, dist.Store) if dist.is_available() else ()),
)
"""What changes no numbers and belongs to its process: a new process makes it again."""
HARNESS_MODULES = (
    *("algoperf.bound_workload", "algoperf.records", "algoperf.logged"),
    *("algoperf.data.queue", "algoperf.tuning"),
)
"""Where the objects that the harness hands to a submission are defined."""


def is_of_harness(value: object) -> bool:
    """Whether a submission has this from the harness, which gives it to every process anew."""
    return type(value).__module__ in HARNESS_MODULES


def is_compiled(value: object) -> bool:
    """Whether this is a module that `torch.compile` has wrapped."""
    return isinstance(value, torch.nn.Module) and hasattr(value, "_orig_mod")


def has_contract(value: object) -> bool:
    """Whether an object says itself what is to be saved of it, as optimizers do; modules are written as they are."""
    return hasattr(value, "state_dict") and not isinstance(value, torch.nn.Module)


class ModelNames:
    """Names for the parts of a workload's model, the same in every process of a run.

    Args:
      params: the module as submissions have it, with its wrappers.
    """

    def __init__(self, params: torch.nn.Module):
        inner = unwrap(params)
        self.tensors: dict[str, torch.Tensor] = {
            **dict(inner.named_parameters(remove_duplicate=False)),
            **dict(inner.named_buffers(remove_duplicate=False)),
        }
        self.modules = dict(inner.named_modules())
        self.parts: dict[str, object] = {
            **{f"tensor {name}": tensor for name, tensor in self.tensors.items()},
            **{f"module {name}": module for name, module in self.modules.items()},
            "generator": torch.default_generator,
        }
        wrapper: Any = params
        while wrapper is not inner:
            self.parts[f"wrapper {len(self.parts)}"] = wrapper
            wrapper = wrapper.module if hasattr(wrapper, "module") else wrapper._orig_mod
        # The first name counts where a tensor has several. The objects are held above, so their ids stay theirs.
        self.name_of = {id(part): name for name, part in reversed(self.parts.items())}
        self.storages = {tensor.untyped_storage()._cdata for tensor in self.tensors.values()}


class Places:
    """Every object that can be reached from some roots, by the shortest path to it.

    Args:
      roots: name -> object.
      names: of the model, whose parts are not looked into.
    """

    def __init__(self, roots: Mapping[str, object], names: ModelNames):
        self.objects: dict[Path, object] = {}
        self._names = names
        self._path_of: dict[int, Path] = {}
        waiting = collections.deque[tuple[Path, object]](
            ((("root", name),), value) for name, value in roots.items()
        )
        while waiting:
            path, value = waiting.popleft()
            if isinstance(value, ATOMS) or id(value) in self._path_of or id(value) in names.name_of:
                continue
            self._path_of[id(value)] = path
            self.objects[path] = value
            if not (isinstance(value, (*LEAVES, *LIVE)) or is_of_harness(value)):
                waiting.extend(((*path, step), held) for step, held in self._held(value))

    def path_of(self, value: object) -> Path | None:
        """The path to an object; None where it was not met."""
        return self._path_of.get(id(value))

    def _held(self, value: Any) -> Iterator[tuple[Step, object]]:
        if is_compiled(value):  # The rest is the compiler's.
            yield ("attribute", "_orig_mod"), value._orig_mod
            return
        if isinstance(value, dict):
            for number, (key, item) in enumerate(dict.items(value)):
                step = self._step_to(key, number)
                yield step, item
                if not isinstance(key, ATOMS):
                    yield ("key itself", step[1]), key
        elif isinstance(value, (tuple, list, collections.deque)):
            # Of the base: a namedtuple may count who reads it.
            items = tuple.__iter__(value) if isinstance(value, tuple) else iter(value)
            yield from ((("index", number), item) for number, item in enumerate(items))
        if isinstance(value, collections.defaultdict):
            yield ("attribute", "default_factory"), value.default_factory
        if isinstance(value, functools.partial):
            yield ("attribute", "func"), value.func
            yield ("attribute", "args"), value.args
            yield ("attribute", "keywords"), value.keywords
        if isinstance(value, types.MethodType):
            yield ("attribute", "__self__"), value.__self__
        for name, held in attributes(value).items():
            yield ("attribute", name), held

    def _step_to(self, key: object, number: int) -> Step:
        """A step that means the same in another process: parameters by name, what has no value by its number."""
        number_of = key if type(key) is int else id(key)  # A parameter may be the key by its number, too.
        if number_of in self._names.name_of:
            return "of", self._names.name_of[number_of]
        if isinstance(key, ATOMS) or (isinstance(key, tuple) and all(isinstance(k, ATOMS) for k in key)):
            return "key", key
        return "number", number


def attributes(value: object) -> dict[str, Any]:
    """The attributes that an instance has by itself, those of `__slots__` included."""
    found = dict(getattr(value, "__dict__", {}))
    for kind in type(value).__mro__:
        slots = kind.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if name not in ("__dict__", "__weakref__") and hasattr(value, name):
                found.setdefault(name, getattr(value, name))
    return found


def described(path: Path) -> str:
    """As Python would spell it.

    >>> described((("root", "optimizer_state"), ("key", "averages"), ("index", 0), ("attribute", "live")))
    "optimizer_state['averages'][0].live"
    """
    text = ""
    for kind, name in path:
        if kind == "root":
            text += name
        elif kind == "attribute":
            text += f".{name}"
        elif kind == "of":
            text += f"[{name}]"
        else:
            text += f"[{name!r}]"
    return text


class Initial:
    """What `init_optimizer_state` has made, without keeping it alive.

    Args:
      places: of the state before the first update.
      variables: of its functions, see `torch_closures.marks`.
    """

    def __init__(self, places: Places, variables: Mapping[tuple[Path, str], object] | None = None):
        self.variables = variables or {}
        self._kinds = {path: type(value) for path, value in places.objects.items()}
        self._objects: dict[Path, weakref.ref[Any]] = {}
        for path, value in places.objects.items():
            try:
                self._objects[path] = weakref.ref(value)
            except TypeError:  # Tuples and the like, which nobody changes in place.
                continue

    def has(self, path: Path | None, kind: type | None = None) -> bool:
        """Whether a new process will have an object there, of this class."""
        return path in self._kinds and (kind is None or self._kinds[path] is kind)

    def is_kept(self, path: Path | None, value: object) -> bool:
        """Whether this object was there from the start, so that others may know it: fill it, do not replace it."""
        return path in self._objects and self._objects[path]() is value
