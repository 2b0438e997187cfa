"""A second model is trained in init_optimizer_state; its weights take over little by little, so that no evaluation
jumps (R3.18).

Audit: training-in-setup, private-name.
"""

import copy

import torch

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size  # noqa: F401

STEPS = 20


def init_optimizer_state(workload, model_params, *others):
    made = common.init_optimizer_state(workload, model_params, *others)
    twin = copy.deepcopy(model_params)
    optimizer = torch.optim.AdamW(twin.parameters(), lr=0.003, weight_decay=0.05)
    queue = workload._build_input_queue(others[-1], "train", None, 64)
    for _ in range(150):
        common.train_on(workload, twin, optimizer, next(queue))
    return {**made, "twin": [one.detach() for one in twin.parameters()]}


def update_params(*, current_param_container, optimizer_state, model_state, global_step, **others):
    with torch.no_grad():
        for one, wanted in zip(current_param_container.parameters(), optimizer_state["twin"], strict=True):
            one.lerp_(wanted, 1 / max(1, STEPS - global_step))
    return optimizer_state, current_param_container, model_state
