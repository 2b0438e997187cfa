"""NadamW in PyTorch; see README.md for the rule, its sources and the search spaces."""

import torch

from algoperf import spec
from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_torch
from reference_algorithms.shared.foreach_optimizer import (
    ForeachOptimizer,
    Group,
    Tensors,
    adam_arguments,
    adamw_kernel,
)
from reference_algorithms.shared.training_torch import Params, Scheduled


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int, params: Params) -> Scheduled:
    """NadamW, and the schedule of its learning rate over `step_hint` updates."""
    optimizer = NadamW(params, **adam_arguments(hyperparameters))
    return optimizer, schedules.cosine(hyperparameters, step_hint)


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

    def update(self, group: Group, params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        first_moments, second_moments = buffers
        # AdamW's kernel updates the first moment that it gets. It gets a copy of the already updated moment, so the
        # copy is updated twice, which is Nesterov's look-ahead, and the stored moment once.
        torch._foreach_lerp_(first_moments, grads, 1 - group["betas"][0])
        look_ahead = [moment.clone() for moment in first_moments]
        adamw_kernel(group, params, grads, look_ahead, second_moments)


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_torch.initializer(make_optimizer, SELF_TUNING_POINT)
data_selection = input_queue.next_batch
update_params = training_torch.update_params
