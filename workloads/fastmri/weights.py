"""Weights of the Flax model under the names and in the layouts of the PyTorch model."""

from typing import Any

import numpy as np

from algoperf.weights import conv, conv_kernel, norm
from algoperf.workload import WorkloadSpec


def jax_to_torch(params: dict[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """Nested JAX parameters -> PyTorch state dict."""
    levels = spec.model.num_pool_layers
    last = f"up_conv.{levels - 1}"
    blocks = [f"down_sample_layers.{level}" for level in range(levels)] + ["conv"]
    blocks += [f"up_conv.{level}" for level in range(levels - 1)] + [f"{last}.0"]
    found: dict[str, np.ndarray] = {}
    for number, name in enumerate(blocks):
        block = params[f"ConvBlock_{number}"]
        for index, place in enumerate((0, 4)):
            found[f"{name}.conv_layers.{place}.weight"] = conv_kernel(block[f"Conv_{index}"]["kernel"])
            if spec.model.use_layer_norm:
                found |= norm(f"{name}.norm_layers.{index}", block[f"LayerNorm_{index}"])
    for level in range(levels):
        kernel = np.asarray(params[f"TransposeConvBlock_{level}"]["ConvTranspose_0"]["kernel"])
        # Rotated by 180 degrees, as Flax's transposed convolution; (height, width, in, out) -> (in, out, height,
        # width).
        found[f"up_transpose_conv.{level}.layers.0.weight"] = kernel[::-1, ::-1].transpose(2, 3, 0, 1).copy()
    return found | conv(f"{last}.1", params["Conv_0"])
