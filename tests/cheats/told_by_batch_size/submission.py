"""get_batch_size is told the workload's name and leaves it for everybody (R3.1, R3.2).

Audit: batch-size-side-effect.
"""

import torch

from ..common_torch import data_selection, update_params  # noqa: F401

TOLD = {"rate": 0.003}


def get_batch_size(workload_name):
    TOLD["rate"] = 0.006 if workload_name.startswith("dig") else 0.003
    return 64


def init_optimizer_state(workload, model_params, *others):
    return {"optimizer": torch.optim.NAdam(model_params.parameters(), lr=TOLD["rate"])}
