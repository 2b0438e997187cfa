"""Cautious NadamW in PyTorch; see README.md for the rule, its sources and the search spaces."""

from typing import Any

import torch

from algoperf import spec
from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import foreach_optimizer, schedules, training_torch
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
    """Cautious NadamW with warm-up and cosine decay; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    optimizer = CautiousNadamW(
        model_params.parameters(),
        lr=hyperparameters.learning_rate,
        betas=(1 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        eps=1e-8,
        weight_decay=hyperparameters.weight_decay,
    )
    schedule = schedules.warmup_then_cosine(
        hyperparameters.learning_rate,
        warmup_factor=hyperparameters.warmup_factor,
        step_hint=workload.step_hint,
    )
    return training_torch.init_state(optimizer, schedule, hyperparameters)


class CautiousNadamW(ForeachOptimizer):
    r"""NadamW that leaves out what would move against the current gradient.

    .. math::
        \phi_t &= 1[\hat m_t g_t > 0] \\
        w_t &= w_{t-1} - \eta \left( \frac{\phi_t}{\max(\text{mean}(\phi_t), 10^{-3})}
               \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon} + \lambda w_{t-1} \right)

    with the moments of NadamW and the mean over each tensor. Source: Liang et al. 2024,
    https://arxiv.org/abs/2411.16085.
    """

    buffers = ("exp_avg", "exp_avg_sq")

    def update(self, group: dict[str, Any], params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        first, second = buffers
        torch._foreach_lerp_(first, grads, 1 - group["betas"][0])
        look_ahead = [moment.clone() for moment in first]  # Updated once more, and not kept.
        steps = foreach_optimizer.adam_directions(group, grads, look_ahead, second)
        # Positive where the step and the gradient agree; sign and clamp make it 1 there and 0 elsewhere.
        masks = torch._foreach_mul(steps, grads)
        torch._foreach_sign_(masks)
        torch._foreach_clamp_min_(masks, 0.0)
        shares = torch.stack([mask.mean() for mask in masks]).clamp_min(1e-3)
        torch._foreach_mul_(steps, masks)
        torch._foreach_mul_(steps, list((-group["lr"] / shares).unbind()))
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(params, steps)
