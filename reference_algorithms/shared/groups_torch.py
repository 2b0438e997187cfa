"""Which parameters of a PyTorch model decay, and which are hidden matrices: groups for any optimizer."""

from typing import Any, NamedTuple

import torch

from algoperf import spec
from reference_algorithms.shared.parameter_types import MATRIX_TYPES

DECAYED = {*MATRIX_TYPES, spec.ParameterType.EMBEDDING}
"""Kernels of layers and tables of embeddings; no biases, and no scales of normalisation layers."""


class Split(NamedTuple):
    """The parameters of a model in two lists."""

    matrices: list[torch.nn.Parameter]
    """Of two axes, hidden: neither embeddings nor the output layer."""
    rest: list[torch.nn.Parameter]


def groups_of(workload: spec.Workload, model: torch.nn.Module) -> list[dict[str, Any]]:
    """Two groups, of which the second, biases and scales, has no weight decay; for `describe` of an initializer."""
    kinds = list(workload.model_params_types.values())
    # Matched by order, because wrappers such as DDP put prefixes before the names.
    params = list(zip(kinds, model.parameters(), strict=True))
    decayed = [param for kind, param in params if kind in DECAYED]
    others = [param for kind, param in params if kind not in DECAYED]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def split_of(workload: spec.Workload, model: torch.nn.Module) -> Split:
    """Hidden matrices, and the rest."""
    found = Split([], [])
    for (name, kind), param in zip(workload.model_params_types.items(), model.parameters(), strict=True):
        is_matrix = kind in MATRIX_TYPES and param.ndim == 2 and not workload.is_output_params(name)
        (found.matrices if is_matrix else found.rest).append(param)
    return found
