"""AdEMAMix in PyTorch; see README.md for the rule, its sources and the search spaces."""

from collections.abc import Iterable
from typing import Any

import torch

from algoperf import spec
from reference_algorithms.ademamix.self_tuning import SELF_TUNING_POINT
from reference_algorithms.ademamix.slow_average import SlowAverage
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
    """AdEMAMix with warm-up and cosine decay; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    optimizer = AdEMAMix(
        model_params.parameters(),
        lr=hyperparameters.learning_rate,
        betas=(1 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        slow=SlowAverage.of(hyperparameters, workload.step_hint),
        eps=1e-8,
        weight_decay=hyperparameters.weight_decay,
    )
    schedule = schedules.warmup_then_cosine(
        hyperparameters.learning_rate,
        warmup_factor=hyperparameters.warmup_factor,
        step_hint=workload.step_hint,
    )
    return training_torch.init_state(optimizer, schedule, hyperparameters)


class AdEMAMix(ForeachOptimizer):
    r"""AdamW with a second, slow average of the gradients.

    .. math::
        w_t = w_{t-1} - \eta \left( \frac{\hat m^{(1)}_t + \alpha_t m^{(2)}_t}{\sqrt{\hat v_t} + \epsilon}
              + \lambda w_{t-1} \right)

    The slow average has no bias correction. Source: Pagliardini et al. 2024, https://arxiv.org/abs/2409.03137.
    """

    buffers = ("exp_avg", "exp_avg_sq", "exp_avg_slow")

    def __init__(self, params: Iterable[Any], lr: float, slow: SlowAverage, **defaults: Any):
        super().__init__(params, lr, **defaults)
        self._slow = slow  # Not in a group: constants are no part of a checkpoint.

    def update(self, group: dict[str, Any], params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        first, second, slow = buffers
        step = group["num_updates"] - 1
        torch._foreach_lerp_(slow, grads, 1 - self._slow.beta3(step))
        # AdamW's kernel makes β1 x + (1 - β1) g of what it is given as first moment x, and divides by 1 - β1^t. With
        # this x that is the whole numerator, slow average included.
        beta1 = group["betas"][0]
        scale = self._slow.alpha(step) * (1 - beta1 ** group["num_updates"]) / beta1
        combined = torch._foreach_add(first, slow, alpha=scale)
        torch._foreach_lerp_(first, grads, 1 - beta1)
        foreach_optimizer.adamw_kernel(group, params, grads, combined, second)
