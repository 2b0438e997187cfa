"""Converts the JAX model's weights to names and layouts of the PyTorch model; imports no framework."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from algoperf.weights import attention_kernel, conv_kernel, leaves
from algoperf.workload import WorkloadSpec

_NAMES = {
    "Transformer": "encoder",
    "encoder_layernorm": "encoder_norm",
    "LayerNorm_0": "layer_norm0",
    "MultiHeadDotProductAttention_1": "self_attention1",
    "LayerNorm_2": "layer_norm2",
    "MlpBlock_3": "mlp3",
    "MAPHead_0": "map",
    "Dense_0": "linear1",
    "kernel": "weight",
    "scale": "weight",
}
_NAMES_IN_MAP_HEAD = {
    "MultiHeadDotProductAttention_0": "attention",
    "LayerNorm_0": "layer_norm",
    "MlpBlock_0": "mlp",
    "Dense_1": "linear2",
}


def jax_to_torch(params: Mapping[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """Nested Flax parameters -> state dict of the PyTorch model that computes the same function."""
    state = {}
    for path, value in leaves(params):
        layer, kind = path[-2], path[-1]
        if layer == "conv_patch_extract" and kind == "kernel":
            value = conv_kernel(value)
        elif kind == "kernel":
            value = attention_kernel(value, layer, spec.model.width)
        elif kind == "bias":
            value = value.reshape(-1)
        state[_torch_name(path, spec)] = np.ascontiguousarray(value)
    return state


def _torch_name(path: tuple[str, ...], spec: WorkloadSpec) -> str:
    """('Transformer', 'encoderblock_0', 'MlpBlock_3', 'Dense_0', 'bias') -> 'encoder.net.0.mlp3.linear1.bias'."""
    names_here = dict(_NAMES)
    if path[0] == "MAPHead_0":
        names_here |= _NAMES_IN_MAP_HEAD
    elif spec.model.use_glu:
        names_here |= {"Dense_1": "glu_linear", "Dense_2": "linear2"}
    else:
        names_here |= {"Dense_1": "linear2"}
    names = []
    for key in path:
        if key.startswith("encoderblock_"):
            names += ["net", key.split("_")[1]]
        else:
            names.append(names_here.get(key, key))
    return ".".join(names)
