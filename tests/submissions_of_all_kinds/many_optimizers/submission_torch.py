"""A list of optimizers, schedulers of theirs, and an optimizer around another one that shares its groups."""

import torch
from torch.optim import lr_scheduler

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


class Lookahead(torch.optim.Optimizer):
    """Goes half way back to where it was five steps ago."""

    def __init__(self, inner):
        self.inner, self.param_groups, self.defaults = inner, inner.param_groups, inner.defaults
        self.state = inner.state
        self.slow = {p: p.detach().clone() for group in inner.param_groups for p in group["params"]}
        self.count = 0  # In no state_dict.

    @torch.no_grad()
    def step(self):
        self.inner.step()
        self.count += 1
        if self.count % 5 == 0:
            for parameter, slow in self.slow.items():
                slow.lerp_(parameter, 0.5)
                parameter.copy_(slow)


def make_state(model):
    first, *others = model.parameters()
    lookahead = Lookahead(torch.optim.AdamW(others, lr=0.01))
    optimizers = [torch.optim.SGD([first], lr=0.1, momentum=0.9), lookahead]
    schedules = [
        lr_scheduler.LambdaLR(optimizers[0], lambda step: 0.95**step),
        lr_scheduler.ExponentialLR(lookahead.inner, 0.9),
    ]
    return {"optimizers": optimizers, "schedules": tuple(schedules)}


def change(model, state, global_step):
    for optimizer in state["optimizers"]:
        optimizer.step()
    for schedule in state["schedules"]:
        schedule.step()
    for group in state["optimizers"][1].param_groups:  # Those of the inner one.
        group["weight_decay"] *= 0.9


init_optimizer_state = initializer(make_state)
update_params = updater(change)
