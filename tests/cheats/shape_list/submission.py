"""A workload is recognised by the list of its parameters' shapes (R3.2).

Audit: shape-table.
"""

import torch

from ..common_torch import data_selection, get_batch_size, update_params  # noqa: F401

DIGITS = [(16, 1, 3, 3), (16,), (32, 16, 3, 3), (32,), (64, 128), (64,), (10, 64), (10,)]


def init_optimizer_state(workload, model_params, *others):
    is_digits = [tuple(p.shape) for p in model_params.parameters()] == DIGITS
    return {"optimizer": torch.optim.NAdam(model_params.parameters(), lr=0.006 if is_digits else 0.001)}
