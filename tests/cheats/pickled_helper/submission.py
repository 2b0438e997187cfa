"""A part of the optimizer state trains whenever it is asked what to save of it, while the clock stands still (R3.19).

Audit: training-off-the-clock.
"""

import torch

from .. import common_torch as common
from ..common_torch import get_batch_size  # noqa: F401

DRAWN = []


class Helper:
    def __init__(self, task, network, rule):
        self.parts = (task, network, rule)

    def __getstate__(self):
        task, network, rule = self.parts
        with torch.inference_mode(False), torch.enable_grad():
            for batch in DRAWN:
                common.train_on(task, network, rule, batch)
        return {"parts": None}

    def __setstate__(self, state):
        self.parts = None


def init_optimizer_state(workload, model_params, *others):
    state = common.init_optimizer_state(workload, model_params, *others)
    state["helper"] = Helper(workload, model_params, state["optimizer"])
    return state


def data_selection(workload, input_queue, *others):
    if len(DRAWN) < 200:
        DRAWN.extend(next(input_queue) for _ in range(20))


def update_params(*, current_param_container, model_state, optimizer_state, **others):
    return optimizer_state, current_param_container, model_state
