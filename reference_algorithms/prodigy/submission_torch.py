"""Prodigy in PyTorch; see README.md for the rule, its sources and the search spaces."""

import torch

from algoperf import spec
from reference_algorithms.prodigy.self_tuning import EPSILON, SELF_TUNING_POINT
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_torch
from reference_algorithms.shared.foreach_optimizer import ForeachOptimizer, Group, Tensors
from reference_algorithms.shared.training_torch import Params, Scheduled


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int, params: Params) -> Scheduled:
    """Prodigy, and the schedule of its factor over `step_hint` updates."""
    optimizer = Prodigy(
        params,
        lr=hyperparameters.learning_rate,
        first_estimate=hyperparameters.first_estimate,
        betas=(1 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        weight_decay=hyperparameters.weight_decay,
    )
    return optimizer, schedules.cosine(hyperparameters, step_hint)


class Prodigy(ForeachOptimizer):
    """Adam's steps, scaled by an estimate `d` of the distance to a solution; README.md has the formulas.

    Source: Mishchenko and Defazio 2023, https://arxiv.org/abs/2306.06101.
    """

    buffers = ("exp_avg", "exp_avg_sq", "grad_sum")

    def update(self, group: Group, params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        first, second, sums = buffers
        (beta1, beta2), num_updates = group["betas"], group["num_updates"]
        beta3 = beta2**0.5
        if num_updates == 1:
            group["estimate"] = params[0].new_full((), group["first_estimate"])
            group["numerator"] = params[0].new_zeros(())
            for param in params:
                self.state[param]["initial"] = param.clone()
        estimate = group["estimate"]
        rate = estimate * (group["lr"] * (1 - beta2**num_updates) ** 0.5 / (1 - beta1**num_updates))

        # All numbers, the estimate included, stay on the device, so no step waits for it.
        travelled = torch._foreach_sub([self.state[param]["initial"] for param in params], params)
        torch._foreach_mul_(travelled, grads)
        along = torch.stack([product.sum() for product in travelled]).sum()
        scaled = torch._foreach_mul(grads, estimate)
        torch._foreach_lerp_(first, scaled, 1 - beta1)
        torch._foreach_mul_(second, beta2)
        torch._foreach_addcmul_(second, scaled, scaled, 1 - beta2)
        torch._foreach_mul_(sums, beta3)
        torch._foreach_add_(sums, torch._foreach_mul(scaled, estimate / group["first_estimate"]))
        group["numerator"] = beta3 * group["numerator"] + (estimate / group["first_estimate"]) * rate * along
        denominator = torch.stack(torch._foreach_norm(sums, 1)).sum()
        # The estimate only grows: each one is a lower bound of the distance to a solution.
        group["estimate"] = torch.maximum(estimate, group["numerator"] / denominator)

        denominators = torch._foreach_sqrt(second)
        torch._foreach_add_(denominators, group["estimate"] * EPSILON)
        # Steps use the estimate from before this update for the rate, and the new one for ε, as optax does.
        torch._foreach_mul_(params, 1 - rate * group["weight_decay"])
        torch._foreach_sub_(params, torch._foreach_mul(torch._foreach_div(first, denominators), rate))


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_torch.initializer(make_optimizer, SELF_TUNING_POINT)
data_selection = input_queue.next_batch
update_params = training_torch.update_params
