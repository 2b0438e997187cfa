"""Parameters are keys, at several levels."""

import torch

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


def make_state(model):
    groups = {"all": {p: {"momentum": torch.zeros_like(p), "of": p} for p in model.parameters()}}
    return {"groups": [groups], "steps": dict.fromkeys(model.parameters(), 0)}


@torch.no_grad()
def change(model, state, global_step):
    for parameter in model.parameters():
        own = state["groups"][0]["all"][parameter]
        own["momentum"].mul_(0.9).add_(parameter.grad)
        own["of"].sub_(own["momentum"], alpha=0.1 / (1 + state["steps"][parameter]) ** 0.5)
        state["steps"][parameter] += 1


init_optimizer_state = initializer(make_state)
update_params = updater(change)
