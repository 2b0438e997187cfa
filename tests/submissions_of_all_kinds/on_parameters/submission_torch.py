"""What changes hangs on the parameters, and is changed by their hooks."""

import torch

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


def make_state(model):
    kept = []
    for parameter in model.parameters():
        parameter.momentum = torch.zeros_like(parameter)
        average = torch.zeros_like(parameter)
        # Closures know the tensors, not the state: the same tensors must go on.
        parameter.register_hook(lambda gradient, average=average: average.lerp_(gradient, 0.1))
        kept.append(average)
    return {"averages": kept}


@torch.no_grad()
def change(model, state, global_step):
    for parameter, average in zip(model.parameters(), state["averages"], strict=True):
        parameter.momentum = 0.9 * parameter.momentum + average
        parameter.sub_(parameter.momentum, alpha=0.1)


init_optimizer_state = initializer(make_state)
update_params = updater(change)
