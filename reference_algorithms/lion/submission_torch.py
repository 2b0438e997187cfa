"""Lion in PyTorch; see README.md for the rule, its sources and the search spaces."""

import torch

from algoperf import spec
from reference_algorithms.lion.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_torch
from reference_algorithms.shared.foreach_optimizer import ForeachOptimizer, Group, Tensors
from reference_algorithms.shared.training_torch import Params, Scheduled


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int, params: Params) -> Scheduled:
    """Lion, and the schedule of its learning rate over `step_hint` updates."""
    optimizer = Lion(
        params,
        lr=hyperparameters.learning_rate,
        betas=(1 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        weight_decay=hyperparameters.weight_decay,
    )
    return optimizer, schedules.cosine(hyperparameters, step_hint)


class Lion(ForeachOptimizer):
    r"""Moves every weight by the learning rate, in the direction of a sign.

    .. math::
        w_t &= w_{t-1} - \eta ( \text{sign}(\beta_1 m_{t-1} + (1 - \beta_1) g_t) + \lambda w_{t-1} ) \\
        m_t &= \beta_2 m_{t-1} + (1 - \beta_2) g_t

    Source: Chen et al. 2023, https://arxiv.org/abs/2302.06675.
    """

    buffers = ("exp_avg",)

    def update(self, group: Group, params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        (moments,) = buffers
        beta1, beta2 = group["betas"]
        directions = torch._foreach_lerp(moments, grads, 1 - beta1)
        torch._foreach_sign_(directions)
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(params, directions, alpha=-group["lr"])
        torch._foreach_lerp_(moments, grads, 1 - beta2)


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_torch.initializer(make_optimizer, SELF_TUNING_POINT)
data_selection = input_queue.next_batch
update_params = training_torch.update_params
