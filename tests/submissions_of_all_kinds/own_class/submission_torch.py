"""A class of the submission, with a function that is made anew and a method of its own for saving."""

import torch

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


class Rule:
    """As submissions write it that know what is saved of optimizers."""

    def __init__(self, parameters, schedule):
        self.momenta = [torch.zeros_like(parameter) for parameter in parameters]
        self.schedule, self.count = schedule, 0

    def state_dict(self):
        return {"momenta": self.momenta, "count": self.count}

    def load_state_dict(self, state):
        self.momenta, self.count = state["momenta"], state["count"]


@torch.no_grad()
def change(model, state, global_step):
    rule = state["rule"]
    rule.count += 1
    for parameter, momentum in zip(model.parameters(), rule.momenta, strict=True):
        momentum.mul_(0.9).add_(parameter.grad)
        parameter.sub_(momentum, alpha=rule.schedule(rule.count))


init_optimizer_state = initializer(
    lambda model: {"rule": Rule(model.parameters(), lambda count: 0.1 / count**0.5)}
)
update_params = updater(change)
