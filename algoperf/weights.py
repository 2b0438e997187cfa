"""Weights of Flax modules under the names and in the layouts of PyTorch's, for the `weights.py` of families.

Imports no framework: leaves are anything that NumPy reads as an array.
"""

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
    """(height, width, in, out) -> (out, in, height, width)."""
    return np.transpose(kernel, (3, 2, 0, 1))


def attention_kernel(kernel: np.ndarray, layer: str, width: int) -> np.ndarray:
    """(out, in) of a layer of width D with H heads of K: `layer` 'out' has (H, K, D), all others have (D, H, K).

    Fits dense layers, (in, out), as well.
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
