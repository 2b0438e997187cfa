"""NadamW in PyTorch; see README.md for the rule, its sources and the search spaces."""

from typing import Any

import torch

from algoperf import spec
from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import schedules, training_torch
from reference_algorithms.shared.batch_sizes import get_batch_size
from reference_algorithms.shared.foreach_optimizer import ForeachOptimizer, Tensors, adamw_kernel
from reference_algorithms.shared.training_torch import data_selection, update_params

__all__ = ["data_selection", "get_batch_size", "init_optimizer_state", "update_params"]


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    """NadamW with warm-up and cosine decay; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    optimizer = NadamW(
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


class NadamW(ForeachOptimizer):
    r"""AdamW with Nesterov momentum.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        w_t &= w_{t-1} - \eta \left( \frac{(\beta_1 m_t + (1 - \beta_1) g_t) / (1 - \beta_1^t)}
               {\sqrt{v_t / (1 - \beta_2^t)} + \epsilon} + \lambda w_{t-1} \right)

    `torch.optim.NAdam` is another rule: its momentum follows a schedule of its own (Dozat 2016).

    Source: Choi et al. 2019, https://arxiv.org/abs/1910.05446, table 1.
    """

    buffers = ("exp_avg", "exp_avg_sq")

    def update(self, group: dict[str, Any], params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        first_moments, second_moments = buffers
        # AdamW's kernel applies the moment update to what it is given as first moment. It gets a copy of
        # the moment that was updated already, so the update happens a second time, on the copy alone.
        torch._foreach_lerp_(first_moments, grads, 1 - group["betas"][0])
        look_ahead = [moment.clone() for moment in first_moments]
        adamw_kernel(group, params, grads, look_ahead, second_moments)
