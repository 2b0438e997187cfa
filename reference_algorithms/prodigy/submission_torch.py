"""Prodigy in PyTorch; see README.md for the rule, its sources and the search spaces."""

from typing import Any

import torch

from algoperf import spec
from reference_algorithms.prodigy.self_tuning import EPSILON, SELF_TUNING_POINT
from reference_algorithms.shared import schedules, training_torch
from reference_algorithms.shared.batch_sizes import get_batch_size
from reference_algorithms.shared.foreach_optimizer import ForeachOptimizer, Tensors
from reference_algorithms.shared.training_torch import data_selection, update_params

__all__ = ["data_selection", "get_batch_size", "init_optimizer_state", "update_params"]


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    """Prodigy with warm-up and cosine decay; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    optimizer = Prodigy(
        model_params.parameters(),
        lr=hyperparameters.learning_rate,
        first_estimate=hyperparameters.first_estimate,
        betas=(1 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        weight_decay=hyperparameters.weight_decay,
    )
    schedule = schedules.warmup_then_cosine(
        hyperparameters.learning_rate,
        warmup_factor=hyperparameters.warmup_factor,
        step_hint=workload.step_hint,
    )
    return training_torch.init_state(optimizer, schedule, hyperparameters)


class Prodigy(ForeachOptimizer):
    """Adam's steps times an estimate `d` of the distance to a solution; README.md has the formulas.

    Source: Mishchenko and Defazio 2023, https://arxiv.org/abs/2306.06101.
    """

    buffers = ("exp_avg", "exp_avg_sq", "grad_sum")

    def update(self, group: dict[str, Any], params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
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

        # Everything stays on the device, the estimate included.
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
        group["estimate"] = torch.maximum(estimate, group["numerator"] / denominator)

        denominators = torch._foreach_sqrt(second)
        torch._foreach_add_(denominators, group["estimate"] * EPSILON)
        torch._foreach_mul_(params, 1 - rate * group["weight_decay"])
        torch._foreach_sub_(params, torch._foreach_mul(torch._foreach_div(first, denominators), rate))
