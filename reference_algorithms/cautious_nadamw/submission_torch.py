"""Cautious NadamW in PyTorch; see README.md for the rule, its sources and the search spaces."""

import torch

from algoperf import spec
from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import batch_sizes, foreach_optimizer, input_queue, schedules, training_torch
from reference_algorithms.shared.foreach_optimizer import ForeachOptimizer, Group, Tensors, adam_arguments
from reference_algorithms.shared.training_torch import Params, Scheduled


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int, params: Params) -> Scheduled:
    """Cautious NadamW, and the schedule of its learning rate over `step_hint` updates."""
    optimizer = CautiousNadamW(params, **adam_arguments(hyperparameters))
    return optimizer, schedules.cosine(hyperparameters, step_hint)


class CautiousNadamW(ForeachOptimizer):
    r"""NadamW that masks elements whose step has the wrong sign for the current gradient.

    .. math::
        \phi_t &= 1[\hat m_t g_t > 0] \\
        w_t &= w_{t-1} - \eta \left( \frac{\phi_t}{\max(\text{mean}(\phi_t), 10^{-3})}
               \frac{\hat m_t}{\sqrt{\hat v_t} + \epsilon} + \lambda w_{t-1} \right)

    with the moments of NadamW and the mean over each tensor. Source: Liang et al. 2024,
    https://arxiv.org/abs/2411.16085.
    """

    buffers = ("exp_avg", "exp_avg_sq")

    def update(self, group: Group, params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        first, second = buffers
        torch._foreach_lerp_(first, grads, 1 - group["betas"][0])
        look_ahead = [moment.clone() for moment in first]  # Nesterov's second update, not stored.
        steps = foreach_optimizer.adam_directions(group, grads, look_ahead, second)
        # Positive where the step and the gradient agree; sign and clamp make it 1 there and 0 elsewhere.
        masks = torch._foreach_mul(steps, grads)
        torch._foreach_sign_(masks)
        torch._foreach_clamp_min_(masks, 0.0)
        # One tensor of all shares: dividing them is then one operation, and nothing is read by the host.
        shares = torch.stack([mask.mean() for mask in masks]).clamp_min(1e-3)
        torch._foreach_mul_(steps, masks)
        torch._foreach_mul_(steps, list((-group["lr"] / shares).unbind()))
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(params, steps)


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_torch.initializer(make_optimizer, SELF_TUNING_POINT)
data_selection = input_queue.next_batch
update_params = training_torch.update_params
