"""The first step draws the weights anew, from another distribution than the workload's (R3.13).

Audit: own-initialisation.
"""

import torch

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401


def update_params(*, current_param_container, global_step, **arguments):
    if global_step == 0:
        with torch.no_grad():
            for parameter in current_param_container.parameters():
                if parameter.dim() > 1:
                    parameter.normal_(0, parameter[0].numel() ** -0.5)
    return common.update_params(
        current_param_container=current_param_container, global_step=global_step, **arguments
    )
