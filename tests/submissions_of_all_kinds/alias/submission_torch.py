"""The state's tensors share memory with the parameters, which are changed through them."""

import torch

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


def change(model, state, global_step):
    for parameter, alias in zip(model.parameters(), state["aliases"], strict=True):
        alias.sub_(parameter.grad, alpha=0.1)
    state["last"] = state["aliases"][-1]  # And with each other.
    torch._foreach_mul_([state["last"]], 0.999)


init_optimizer_state = initializer(
    lambda model: {"aliases": [p.data for p in model.parameters()], "last": None}
)
update_params = updater(change)
