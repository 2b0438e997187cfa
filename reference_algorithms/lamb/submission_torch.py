"""LAMB in PyTorch; see README.md for the rule, its sources and the search spaces."""

import torch

from algoperf import spec
from reference_algorithms.lamb.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import batch_sizes, foreach_optimizer, input_queue, schedules, training_torch
from reference_algorithms.shared.foreach_optimizer import ForeachOptimizer, Group, Tensors, adam_arguments
from reference_algorithms.shared.training_torch import Params, Scheduled


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int, params: Params) -> Scheduled:
    """LAMB, and the schedule of its learning rate over `step_hint` updates."""
    optimizer = Lamb(params, **adam_arguments(hyperparameters))
    return optimizer, schedules.cosine(hyperparameters, step_hint)


class Lamb(ForeachOptimizer):
    r"""AdamW whose step is scaled, tensor by tensor, to the norm of the tensor.

    .. math::
        u_t &= \hat m_t / (\sqrt{\hat v_t} + \epsilon) + \lambda w_{t-1} \\
        w_t &= w_{t-1} - \eta \frac{\|w_{t-1}\|}{\|u_t\|} u_t

    The ratio is 1 where a norm is 0. Source: You et al. 2019, https://arxiv.org/abs/1904.00962.
    """

    buffers = ("exp_avg", "exp_avg_sq")

    def update(self, group: Group, params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        first, second = buffers
        steps = foreach_optimizer.adam_directions(group, grads, first, second)
        torch._foreach_add_(steps, params, alpha=group["weight_decay"])
        # (tensors,) vectors on the device: the host never reads a norm, which would wait for the device.
        lengths = torch.stack(torch._foreach_norm(params))
        step_lengths = torch.stack(torch._foreach_norm(steps))
        is_usual = (lengths > 0) & (step_lengths > 0)
        ratios = torch.where(is_usual, lengths / step_lengths, 1.0) * -group["lr"]
        torch._foreach_mul_(steps, list(ratios.unbind()))
        torch._foreach_add_(params, steps)


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_torch.initializer(make_optimizer, SELF_TUNING_POINT)
data_selection = input_queue.next_batch
update_params = training_torch.update_params
