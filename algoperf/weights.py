"""Weights as arrays by name: a hash of them; those of Flax modules in the names and layouts of PyTorch, for the
`weights.py` of families.

Imports no framework: leaves are anything that NumPy reads as an array.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np


def leaves(
    tree: Mapping[str, Any], parents: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], np.ndarray]]:
    """Path and value of every leaf of nested dictionaries.

    >>> [path for path, _ in leaves({"Dense_0": {"kernel": [[1.0]], "bias": [0.0]}})]
    [('Dense_0', 'kernel'), ('Dense_0', 'bias')]
    """
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from leaves(value, (*parents, key))
        else:
            yield (*parents, key), np.asarray(value)


def conv_kernel(kernel: Any) -> np.ndarray:
    """A convolution kernel of Flax (height, width, in, out) in PyTorch's layout (out, in, height, width)."""
    return np.transpose(kernel, (3, 2, 0, 1))


def attention_kernel(kernel: np.ndarray, layer: str, width: int) -> np.ndarray:
    """A Flax attention kernel as PyTorch's (out, in). The layer 'out' has (H, K, D), all others have (D, H, K).

    D is the width of the layer, H the number of heads, K their width. Kernels (in, out) of dense layers work as well.
    """
    flat = kernel.reshape(-1, width) if layer == "out" else kernel.reshape(kernel.shape[0], -1)
    return flat.T


def dense(name: str, layer: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """`weight` (out, in) and `bias` of a dense layer, below `name`."""
    return {f"{name}.weight": np.transpose(layer["kernel"]), f"{name}.bias": np.asarray(layer["bias"])}


def conv(name: str, layer: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """`weight` and `bias` of a convolution, below `name`."""
    return {f"{name}.weight": conv_kernel(layer["kernel"]), f"{name}.bias": np.asarray(layer["bias"])}


def norm(name: str, layer: Mapping[str, Any]) -> dict[str, np.ndarray]:
    """`weight` and `bias` of a normalisation, below `name`."""
    return {f"{name}.weight": np.asarray(layer["scale"]), f"{name}.bias": np.asarray(layer["bias"])}


def digest(arrays: Mapping[str, np.ndarray]) -> str:
    """Hash of the bytes of all arrays, in the order of their names."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        found.update(name.encode())
        found.update(np.ascontiguousarray(arrays[name]).data)
    return found.hexdigest()
