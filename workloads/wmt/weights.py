"""Converts the JAX model's weights to names and layouts of the PyTorch model; imports no framework."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from algoperf.weights import attention_kernel, leaves
from algoperf.workload import WorkloadSpec

_NAMES = {
    "self_attention": "self_attn",
    "cross_attention": "cross_attn",
    "query": "q_proj",
    "key": "k_proj",
    "value": "v_proj",
    "out": "out_proj",
    "layernorm_self_attention": "norm_self_attn",
    "layernorm_cross_attention": "norm_cross_attn",
    "layernorm_mlp": "norm_mlp",
    "encoder_layernorm": "norm",
    "encoderdecoder_layernorm": "norm",
    "embedding": "weight",
    "kernel": "weight",
    "scale": "weight",
}


def jax_to_torch(params: Mapping[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """Nested Flax parameters -> state dict with which the PyTorch model computes the same function."""
    state = {}
    for path, value in leaves(params):
        if path[-1] == "kernel":
            value = attention_kernel(value, path[-2], spec.model.emb_dim)
        state[_torch_name(path)] = np.ascontiguousarray(value)
    return state


def _torch_name(path: tuple[str, ...]) -> str:
    """('encoder', 'encoderblock_0', 'mlp', 'hidden', 'bias') -> 'encoder.encoder.layers.0.mlp.hidden.bias'."""
    names = []
    for key in path:
        if key.startswith(("encoderblock_", "encoderdecoderblock_")):
            names += ["layers", key.split("_")[1]]
        else:
            names.append(_NAMES.get(key, key))
    if path[0] in ("encoder", "decoder"):
        # AlgoPerf's PyTorch model names both the wrapper and its stack of layers 'encoder' (or 'decoder').
        names.insert(0, path[0])
    return ".".join(names)
