"""Converts the JAX model's weights to names and layouts of the PyTorch model; imports no framework."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from algoperf.weights import leaves
from algoperf.workload import WorkloadSpec

_NAMES = {
    "attention": "attn",
    "query": "q_proj",
    "key": "k_proj",
    "value": "v_proj",
    "layernorm_attention": "norm_attn",
    "layernorm_mlp": "norm_mlp",
    "layernorm_out": "norm",
    "embedding": "weight",
    "kernel": "weight",
}


def jax_to_torch(params: Mapping[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """Nested Flax parameters -> state dict with which the PyTorch model computes the same function."""
    del spec
    return {
        _torch_name(path): np.ascontiguousarray(np.transpose(value) if path[-1] == "kernel" else value)
        for path, value in leaves(params)
    }


def _torch_name(path: tuple[str, ...]) -> str:
    """('layer_0', 'attention', 'out', 'kernel') -> 'layers.0.attn.out_proj.weight'."""
    names = []
    for parent, key in zip(("", *path), path, strict=False):
        if key.startswith("layer_"):
            names += ["layers", key.removeprefix("layer_")]
        elif key == "out" and parent == "attention":
            names.append("out_proj")
        elif key == "scale" and parent != "attention":
            names.append("weight")
        else:
            names.append(_NAMES.get(key, key))
    return ".".join(names)
