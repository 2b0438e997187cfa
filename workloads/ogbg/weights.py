"""Converts the Flax model's weights to the names and layouts of the PyTorch model."""

from typing import Any

import numpy as np

from algoperf.weights import dense, norm
from algoperf.workload import WorkloadSpec


def jax_to_torch(params: dict[str, Any], spec: WorkloadSpec) -> dict[str, np.ndarray]:
    """Nested JAX parameters -> PyTorch state dict."""
    depth = len(spec.model.hidden_dims)
    mlps = [
        f"graph_network.{step}.update_{part}_fn"
        for step in range(spec.model.num_message_passing_steps)
        for part in ("edge", "node", "global")
    ]
    linears = {f"Dense_{depth * len(mlps)}": "decoder"}
    linears |= {"node_embedding": "node_embedder", "edge_embedding": "edge_embedder"}
    found: dict[str, np.ndarray] = {}
    for index, mlp in enumerate(mlps):
        for layer in range(depth):
            # Flax numbers its layers in the order of creation: MLP by MLP, layer by layer.
            number = index * depth + layer
            linears[f"Dense_{number}"] = f"{mlp}.dense_{layer}"
            found |= norm(f"{mlp}.norm_{layer}", params[f"LayerNorm_{number}"])
    for ours, theirs in linears.items():
        found |= dense(theirs, params[ours])
    return found
