"""Converts the JAX model's weights and statistics to names and layouts of the PyTorch model; imports no framework."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from algoperf.weights import attention_kernel, conv_kernel, leaves
from algoperf.workload import WorkloadSpec

# Names of modules, by the class of the module that holds them.
_TOP = {"Subsample": "subsample", "LayerNorm": "ln", "Dense": "lin"}
_BLOCK = {
    "FeedForwardModule_0": "ff1",
    "MultiHeadedSelfAttention_0": "mhsa",
    "ConvolutionBlock_0": "conv",
    "FeedForwardModule_1": "ff2",
    "LayerNorm_0": "ln",
}
_INNER = {
    "Subsample": {"Conv_0": "conv1", "Conv_1": "conv2", "Dense_0": "linear"},
    "FeedForwardModule": {"LayerNorm_0": "ln", "Dense_0": "linear1", "Dense_1": "linear2"},
    "MultiHeadedSelfAttention": {"LayerNorm_0": "ln", "SelfAttention_0": "self_attention"},
    "SelfAttention": {"out": "out_proj"},
    "ConvolutionBlock": {
        "LayerNorm_0": "ln",
        "Dense_0": "lin1",
        "Dense_1": "lin2",
        "Conv_0": "conv1",
        "BatchNorm_0": "bn",
        "Dense_2": "lin3",
    },
}
_LEAVES = {
    "kernel": "weight",
    "scale": "scale",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}
_PROJECTIONS = ("query", "key", "value")


def jax_to_torch(params: Mapping[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """Nested Flax parameters -> state dict of the PyTorch model that computes the same function."""
    width = spec.model.encoder_dim
    state: dict[str, np.ndarray] = {}
    fused: dict[str, dict[str, np.ndarray]] = {}
    for path, value in leaves(params):
        *parents, layer, name = path
        if layer in _PROJECTIONS:  # (D, H, K) -> rows of the fused (3 D, D).
            whole = f"{_torch_module(parents)}.in_proj_{_LEAVES[name]}"
            value = value.reshape(width, width).T if name == "kernel" else value.reshape(width)
            fused.setdefault(whole, {})[layer] = value
            continue
        if name == "kernel":
            if value.ndim == 4:
                value = conv_kernel(value)
            elif layer == "out":
                value = attention_kernel(value, layer, width)
            else:  # Dense, and the depthwise convolution: (size, 1, D) -> (D, 1, size)
                value = value.T
        state[f"{_torch_module([*parents, layer])}.{_LEAVES[name]}"] = np.ascontiguousarray(value)
    for whole, parts in fused.items():
        state[whole] = np.concatenate([parts[layer] for layer in _PROJECTIONS])
    return state


def batch_stats_to_torch(batch_stats: Mapping[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """The running means and variances in the state dict of the PyTorch model; see `jax_to_torch`."""
    return jax_to_torch(batch_stats, spec)


def _torch_module(path: list[str]) -> str:
    """['ConformerBlock_1', 'ConvolutionBlock_0', 'BatchNorm_0'] -> 'conformers.1.conv.bn'."""
    names = []
    holder = ""
    for key in path:
        kind, _, index = key.partition("_")
        if holder == "" and kind == "ConformerBlock":
            names += ["conformers", index]
        elif holder == "":
            names.append(_TOP[kind])
        elif holder == "ConformerBlock":
            names.append(_BLOCK[key])
        else:
            names.append(_INNER[holder][key])
        holder = kind
    return ".".join(names)
