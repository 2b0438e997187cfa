"""Weights of the Flax model under the names and in the layouts of the PyTorch model."""

from typing import Any

import numpy as np

from algoperf.weights import conv, dense, norm
from algoperf.workload import WorkloadSpec


def jax_to_torch(params: dict[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """Nested JAX parameters -> PyTorch state dict (parameters only)."""
    found: dict[str, np.ndarray] = {}
    for index in range(len(spec.model.channels)):
        found |= conv(f"convs.{index}", params[f"Conv_{index}"])
        if spec.model.use_batch_norm:
            found |= norm(f"bns.{index}", params[f"BatchNorm_{index}"])
    return found | dense("hidden", params["Dense_0"]) | dense("output", params["Dense_1"])
