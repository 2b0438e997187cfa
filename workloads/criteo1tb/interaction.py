"""Common to both models: the pairs of the dot products, and the check of model settings."""

import numpy as np

from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec

NUM_CATEGORICAL = 26


def upper_triangle(num_vectors: int) -> np.ndarray:
    """Positions of the upper triangle, diagonal included, in a flattened square matrix, row by row.

    >>> upper_triangle(3)
    array([0, 1, 2, 4, 5, 8])
    """
    rows, columns = np.triu_indices(num_vectors)
    return rows * num_vectors + columns


def check_model(spec: WorkloadSpec) -> None:
    """Raises UsageError for model settings that contradict each other."""
    model = spec.model
    if model.use_resnet:
        for name in ("mlp_bottom_dims", "mlp_top_dims"):
            dims = model[name] if name == "mlp_bottom_dims" else model[name][:-1]
            if len(set(dims)) != 1:
                raise UsageError(
                    f"{spec.name}: with use_resnet all hidden layers of {name} need one width, got {model[name]}."
                )
        if model.use_layer_norm or model.embedding_init_multiplier is not None:
            raise UsageError(
                f"{spec.name}: use_resnet goes without use_layer_norm and embedding_init_multiplier; "
                "AlgoPerf has no such variant."
            )
    elif model.mlp_bottom_dims[-1] != model.embed_dim:
        raise UsageError(
            f"{spec.name}: the last of mlp_bottom_dims must be embed_dim ({model.embed_dim}) for the dot products, "
            f"got {model.mlp_bottom_dims}."
        )
    if model.mlp_top_dims[-1] != 1:
        raise UsageError(f"{spec.name}: the last of mlp_top_dims must be 1, got {model.mlp_top_dims}.")
