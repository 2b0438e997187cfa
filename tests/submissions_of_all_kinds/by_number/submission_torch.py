"""Momentum by the number of a parameter, `id(parameter)`, which is another one in every process."""

import torch

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


@torch.no_grad()
def change(model, state, global_step):
    for parameter in model.parameters():
        if id(parameter) not in state["momentum"]:
            state["momentum"][id(parameter)] = torch.zeros_like(parameter)
        momentum = state["momentum"][id(parameter)]
        momentum.mul_(0.9).add_(parameter.grad)
        parameter -= 0.1 * momentum


init_optimizer_state = initializer(lambda model: {"momentum": {}})
update_params = updater(change)
