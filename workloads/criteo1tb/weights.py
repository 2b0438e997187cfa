"""Weights of the Flax model under the names and in the layouts of the PyTorch model."""

from typing import Any

import numpy as np

from algoperf.weights import dense, norm
from algoperf.workload import WorkloadSpec


def jax_to_torch(params: dict[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """Nested JAX parameters -> PyTorch state dict (parameters only)."""
    found = {"embedding_table.weight": np.asarray(params["embedding_table"])}
    num_bottom, num_top = len(spec.model.mlp_bottom_dims), len(spec.model.mlp_top_dims)
    linears = [f"bot_mlp.{2 * index}" for index in range(num_bottom)]
    linears += [f"top_mlp.{2 * index}" for index in range(num_top - 1)] + [f"top_mlp.{2 * num_top - 1}"]
    for index, name in enumerate(linears):
        found |= dense(name, params[f"Dense_{index}"])
    if spec.model.use_layer_norm:
        norms = [f"bot_mlp.norm_{index}" for index in range(num_bottom)] + ["embed_ln"]
        norms += [f"top_mlp.norm_{index}" for index in range(num_top - 1)]
        for index, name in enumerate(norms):
            found |= norm(name, params[f"LayerNorm_{index}"])
    return found
