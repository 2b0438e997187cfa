"""A hook of the model trains when a checkpoint asks for the model's parameters (R3.19).

Audit: training-off-the-clock, forward-hook.
"""

import torch

from .. import common_torch as common
from ..common_torch import get_batch_size, init_optimizer_state  # noqa: F401

DRAWN = []


def data_selection(workload, input_queue, *others):
    if len(DRAWN) < 150:
        DRAWN.append(next(input_queue))


def update_params(*, workload, current_param_container, model_state, optimizer_state, global_step, **others):
    def catch_up(module, *rest):
        with torch.inference_mode(False), torch.enable_grad():
            for batch in list(DRAWN):
                common.train_on(workload, module, optimizer_state["optimizer"], batch)

    if global_step == 0:
        current_param_container.register_state_dict_pre_hook(catch_up)
    return optimizer_state, current_param_container, model_state
