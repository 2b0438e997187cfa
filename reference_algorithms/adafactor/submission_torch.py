"""Adafactor in PyTorch; see README.md for the rule, its sources and the search spaces."""

import math

import torch

from algoperf import spec
from reference_algorithms.adafactor.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_torch
from reference_algorithms.shared.foreach_optimizer import ForeachOptimizer, Group, Tensors
from reference_algorithms.shared.training_torch import Params, Scheduled


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int, params: Params) -> Scheduled:
    """Adafactor, and the schedule of its learning rate over `step_hint` updates."""
    optimizer = Adafactor(
        params,
        lr=hyperparameters.learning_rate,
        beta1=1 - hyperparameters.one_minus_beta1,
        weight_decay=hyperparameters.weight_decay,
    )
    return optimizer, schedules.cosine(hyperparameters, step_hint)


class Adafactor(ForeachOptimizer):
    """Divides gradients by roots of factored second moments, with momentum; README.md has the formulas.

    `torch.optim.Adafactor` is a different rule: no momentum, another decay, learning rates relative to the weights.
    Source: Shazeer and Stern 2018, https://arxiv.org/abs/1804.04235.
    """

    buffers = ("momentum",)

    def __init__(self, params: Params, lr: float, beta1: float, weight_decay: float):
        super().__init__(params, lr, beta1=beta1, weight_decay=weight_decay, beta2=0.99)

    def update(self, group: Group, params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        (moments,) = buffers
        beta2, num_updates = group["beta2"], group["num_updates"]
        # Section 7 of the paper: with this decay the average equals Adam's bias-corrected one.
        decay = beta2 * (1 - beta2 ** (num_updates - 1)) / (1 - beta2**num_updates)
        steps = [
            self._scaled(self.state[param], grad, decay) for param, grad in zip(params, grads, strict=True)
        ]
        # Update clipping (section 6): divides by max(1, RMS), where RMS is the norm over the root of the
        # number of elements.
        lengths = torch._foreach_norm(steps)
        torch._foreach_div_(lengths, [math.sqrt(step.numel()) for step in steps])
        torch._foreach_clamp_min_(lengths, 1.0)
        torch._foreach_div_(steps, lengths)
        torch._foreach_mul_(steps, group["lr"])
        torch._foreach_lerp_(moments, steps, 1 - group["beta1"])
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_sub_(params, moments)

    def _scaled(self, state: dict[str, torch.Tensor], grad: torch.Tensor, decay: float) -> torch.Tensor:
        squares = grad.square().add_(1e-30)
        if grad.ndim < 2:
            average = state.setdefault("squares", torch.zeros_like(grad)).lerp_(squares, 1 - decay)
            return grad * average.rsqrt()
        rows, columns = squares.mean(-1), squares.mean(-2)
        rows = state.setdefault("rows", torch.zeros_like(rows)).lerp_(rows, 1 - decay)
        columns = state.setdefault("columns", torch.zeros_like(columns)).lerp_(columns, 1 - decay)
        # v = r c / mean(r), algorithm 4 of the paper.
        rows = rows / rows.mean(-1, keepdim=True)
        return grad * rows.rsqrt()[..., None] * columns.rsqrt()[..., None, :]


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_torch.initializer(make_optimizer, SELF_TUNING_POINT)
data_selection = input_queue.next_batch
update_params = training_torch.update_params
