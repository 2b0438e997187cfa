"""All parameters are views of one buffer in the state, and so are their momenta."""

import torch

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


def make_state(model):
    parameters = list(model.parameters())
    flat = torch.cat([parameter.detach().reshape(-1) for parameter in parameters])
    start = 0
    for parameter in parameters:
        parameter.data = flat[start : start + parameter.numel()].view_as(parameter)
        start += parameter.numel()
    return {"flat": flat, "momentum": torch.zeros_like(flat)}


def change(model, state, global_step):
    gradient = torch.cat([parameter.grad.reshape(-1) for parameter in model.parameters()])
    state["momentum"].mul_(0.9).add_(gradient)
    state["flat"].sub_(state["momentum"], alpha=0.1)


init_optimizer_state = initializer(make_state)
update_params = updater(change)
