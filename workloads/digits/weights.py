"""Weights of the Flax model under the names and in the layouts of the PyTorch model."""

from typing import Any

import numpy as np

from algoperf.workload import WorkloadSpec


def jax_to_torch(params: dict[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """Nested JAX parameters -> PyTorch state dict (parameters only)."""
    found: dict[str, np.ndarray] = {}
    for index in range(len(spec.model.channels)):
        conv = params[f"Conv_{index}"]
        found[f"convs.{index}.weight"] = np.transpose(conv["kernel"], (3, 2, 0, 1))
        found[f"convs.{index}.bias"] = np.asarray(conv["bias"])
        if spec.model.use_batch_norm:
            norm = params[f"BatchNorm_{index}"]
            found[f"bns.{index}.weight"] = np.asarray(norm["scale"])
            found[f"bns.{index}.bias"] = np.asarray(norm["bias"])
    for name, key in (("hidden", "Dense_0"), ("output", "Dense_1")):
        found[f"{name}.weight"] = np.transpose(params[key]["kernel"])
        found[f"{name}.bias"] = np.asarray(params[key]["bias"])
    return found
