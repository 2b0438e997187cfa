"""The model's forward pass is recorded, and its record takes the place of what the harness would call (R3.13, R3.14).

Audit: calls-model, replaced-method.
"""

import torch

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401


def update_params(*, current_param_container, batch, **arguments):
    if arguments["global_step"] == 0:
        record = torch.jit.trace(current_param_container, (batch["inputs"],), check_trace=False)
        current_param_container.forward = lambda images, *rest, **more: record(images)
    return common.update_params(current_param_container=current_param_container, batch=batch, **arguments)
