"""Converts the JAX model's weights and statistics to names and layouts of the PyTorch model; imports no framework."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from algoperf.weights import conv_kernel, leaves
from algoperf.workload import WorkloadSpec

_LAYERS = {
    "Conv_init": "conv1",
    "BatchNorm_init": "bn1",
    "Conv_proj": "downsample.conv",
    "BatchNorm_proj": "downsample.bn",
    "Dense_0": "fc",
}
_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "bias": "bias",
    "mean": "running_mean",
    "var": "running_var",
}


def jax_to_torch(params: Mapping[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """Nested Flax parameters -> state dict of the PyTorch model that computes the same function."""
    state = {}
    for path, value in leaves(params):
        if value.ndim == 4:
            value = conv_kernel(value)
        elif value.ndim == 2:
            value = value.T
        state[_torch_name(path, spec)] = np.ascontiguousarray(value)
    return state


def batch_stats_to_torch(batch_stats: Mapping[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """The running means and variances in the state dict of the PyTorch model.

    Args:
      batch_stats: the collection of that name, nested.
      spec: the workload.
    """
    return {_torch_name(path, spec): value for path, value in leaves(batch_stats)}


def _torch_name(path: tuple[str, ...], spec: WorkloadSpec) -> str:
    """('BottleneckResNetBlock_3', 'Conv_1', 'kernel') -> 'layer2.0.conv2.weight'."""
    *parents, layer, leaf = path
    names = [_block_name(int(block.split("_")[1]), spec) for block in parents]
    if layer in _LAYERS:
        names.append(_LAYERS[layer])
    else:
        kind, index = layer.split("_")
        names.append({"Conv": "conv", "BatchNorm": "bn"}[kind] + str(int(index) + 1))
    return ".".join([*names, _LEAVES[leaf]])


def _block_name(index: int, spec: WorkloadSpec) -> str:
    """The PyTorch name of a block; JAX numbers blocks over all stages, PyTorch within each stage."""
    for stage, stage_size in enumerate(spec.model.stage_sizes, start=1):
        if index < stage_size:
            return f"layer{stage}.{index}"
        index -= stage_size
    raise ValueError(f"Block {index} is beyond the stages {tuple(spec.model.stage_sizes)}.")
