"""Entries of the state that come during training: a copy of the model, an optimizer, a scheduler."""

import copy

import torch

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


@torch.no_grad()
def change(model, state, global_step):
    state["optimizer"].step()
    if global_step == 3:
        state["average"] = copy.deepcopy(model)
        state["second"] = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.5)
        state["schedule"] = torch.optim.lr_scheduler.ExponentialLR(state["second"], 0.9)
    if global_step >= 3:
        state["second"].step()
        state["schedule"].step()
        for average, parameter in zip(state["average"].parameters(), model.parameters(), strict=True):
            average.lerp_(parameter, 0.1)
            parameter.lerp_(average, 0.05)


init_optimizer_state = initializer(
    lambda model: {"optimizer": torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)}
)
update_params = updater(change)
