"""LAMB in PyTorch; see README.md for the rule, its sources and the search spaces."""

from typing import Any

import torch

from algoperf import spec
from reference_algorithms.lamb.self_tuning import SELF_TUNING_POINT
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
    """LAMB with warm-up and cosine decay; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    optimizer = Lamb(
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


class Lamb(ForeachOptimizer):
    r"""AdamW whose step has, in every tensor, the length of the tensor.

    .. math::
        u_t &= \hat m_t / (\sqrt{\hat v_t} + \epsilon) + \lambda w_{t-1} \\
        w_t &= w_{t-1} - \eta \frac{\|w_{t-1}\|}{\|u_t\|} u_t

    The ratio is 1 where a norm is 0. Source: You et al. 2019, https://arxiv.org/abs/1904.00962.
    """

    buffers = ("exp_avg", "exp_avg_sq")

    def update(self, group: dict[str, Any], params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        first, second = buffers
        steps = foreach_optimizer.adam_directions(group, grads, first, second)
        torch._foreach_add_(steps, params, alpha=group["weight_decay"])
        # All norms together: (tensors,) vectors, no value of which the host has to know.
        lengths = torch.stack(torch._foreach_norm(params))
        step_lengths = torch.stack(torch._foreach_norm(steps))
        is_usual = (lengths > 0) & (step_lengths > 0)
        ratios = torch.where(is_usual, lengths / step_lengths, 1.0) * -group["lr"]
        torch._foreach_mul_(steps, list(ratios.unbind()))
        torch._foreach_add_(params, steps)
