"""Each process keeps something of its own: a share of the optimizer's state, and a count."""

import torch
import torch.distributed as dist
from torch.distributed.optim import ZeroRedundancyOptimizer

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


def make_state(model):
    rank = dist.get_rank() if dist.is_initialized() else 0
    if dist.is_initialized():
        optimizer = ZeroRedundancyOptimizer(model.parameters(), torch.optim.SGD, lr=0.05, momentum=0.9)
    else:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    return {"optimizer": optimizer, "own": torch.full((2,), float(rank))}


@torch.no_grad()
def change(model, state, global_step):
    state["own"] += 1
    total = state["own"].clone()
    if dist.is_initialized():
        dist.all_reduce(total)
    state["optimizer"].step()
    for parameter in model.parameters():
        parameter.mul_(1 - 1e-4 * float(total[0]))


init_optimizer_state = initializer(make_state)
update_params = updater(change)
