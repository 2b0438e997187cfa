"""Reads a pickle for the arrays in it, and brings nothing else to life: no class of a submission is looked up.

What `pickle` would import is replaced by an object that takes whatever it is given and does nothing, but for a list of
names of NumPy, PyTorch and the harness that only hold numbers.
"""

import importlib
import io
import pickle
from pathlib import Path
from typing import Any

_NUMPY = ("_reconstruct", "scalar", "_frombuffer", "ndarray", "dtype")
_HARNESS = {
    ("algoperf.backends.jax_checkpoint", "SavedArray"),
    ("algoperf.backends.jax_backend", "SavedArray"),  # As older checkpoints call it.
}
_PLAIN = {
    ("builtins", "bytearray"),
    ("builtins", "complex"),
    ("builtins", "frozenset"),
    ("builtins", "set"),
    ("collections", "OrderedDict"),
    ("copyreg", "__newobj__"),
    ("copyreg", "_reconstructor"),
    ("builtins", "object"),
    ("_codecs", "encode"),
}
_TORCH = {("torch._utils", "_rebuild_tensor_v2"), ("torch._utils", "_rebuild_parameter")}


class Inert:
    """Stands for an object that was not brought to life."""

    def __new__(cls, *arguments: object, **keywords: object) -> "Inert":
        return object.__new__(cls)

    def __init__(self, *arguments: object, **keywords: object):
        pass

    def _take(self, *arguments: object, **keywords: object) -> "Inert":
        return self

    __call__ = __setstate__ = __setitem__ = append = extend = add = update = _take


class Reader(pickle.Unpickler):
    """Gives the content of a pickle, with `Inert` in the place of whatever is no plain value and no array."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) in _PLAIN or (module, name) in _HARNESS or (module, name) in _TORCH:
            return getattr(importlib.import_module(module), name)
        if module.split(".")[0] == "numpy" and name in _NUMPY:
            return getattr(importlib.import_module(module), name)
        if (module, name) == ("torch.storage", "_load_from_bytes"):
            return _storage
        if module == "torch":
            return _of_torch(name)
        return Inert

    def persistent_load(self, pid: object) -> Inert:
        return Inert()


def _of_torch(name: str) -> Any:
    import torch

    found = getattr(torch, name, None)
    return found if isinstance(found, torch.dtype) or found is torch.Size else Inert


def _storage(content: bytes) -> Any:
    """A storage of PyTorch, by its own reader that knows nothing but tensors."""
    import torch

    return torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)


def read(path: Path, offset: int) -> Any:
    """The content of the pickle that begins at a place in a file."""
    with open(path, "rb") as file:
        file.seek(offset)
        return Reader(file).load()
