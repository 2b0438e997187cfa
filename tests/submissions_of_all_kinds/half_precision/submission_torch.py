"""An optimizer keeps its state in bfloat16, beside parameters in float32."""

import torch

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


class HalfMomentum(torch.optim.Optimizer):
    def __init__(self, params, lr):
        super().__init__(params, {"lr": lr})

    @torch.no_grad()
    def step(self):
        for group in self.param_groups:
            for parameter in group["params"]:
                state = self.state[parameter]
                momentum = state.setdefault("momentum", torch.zeros_like(parameter, dtype=torch.bfloat16))
                momentum.mul_(0.9).add_(parameter.grad.bfloat16())
                parameter.sub_(momentum, alpha=group["lr"])


def change(model, state, global_step):
    state["optimizer"].step()


init_optimizer_state = initializer(lambda model: {"optimizer": HalfMomentum(model.parameters(), 0.05)})
update_params = updater(change)
