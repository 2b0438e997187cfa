"""Parameters that are frozen in the middle of training, and gradients that add up over updates."""

import torch

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


def change(model, state, global_step):
    if global_step == 5:
        next(model.parameters()).requires_grad_(False)
    if global_step % 4 == 3:  # Not where the run is cut.
        state["optimizer"].step()
        state["optimizer"].zero_grad()


init_optimizer_state = initializer(lambda model: {"optimizer": torch.optim.SGD(model.parameters(), lr=0.03)})
update_params = updater(change, zero_grad=False)
