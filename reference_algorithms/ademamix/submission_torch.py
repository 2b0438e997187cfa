"""AdEMAMix in PyTorch; see README.md for the rule, its sources and the search spaces."""

from typing import Any

import torch

from algoperf import spec
from reference_algorithms.ademamix.self_tuning import SELF_TUNING_POINT
from reference_algorithms.ademamix.slow_average import SlowAverage
from reference_algorithms.shared import batch_sizes, foreach_optimizer, input_queue, schedules, training_torch
from reference_algorithms.shared.foreach_optimizer import ForeachOptimizer, Group, Tensors, adam_arguments
from reference_algorithms.shared.training_torch import Params, Scheduled


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int, params: Params) -> Scheduled:
    """AdEMAMix with the schedules of its slow average, and the schedule of its learning rate."""
    slow = SlowAverage.of(hyperparameters, step_hint)
    optimizer = AdEMAMix(params, slow=slow, **adam_arguments(hyperparameters))
    return optimizer, schedules.cosine(hyperparameters, step_hint)


class AdEMAMix(ForeachOptimizer):
    r"""AdamW with a second, slow average of the gradients.

    .. math::
        w_t = w_{t-1} - \eta \left( \frac{\hat m^{(1)}_t + \alpha_t m^{(2)}_t}{\sqrt{\hat v_t} + \epsilon}
              + \lambda w_{t-1} \right)

    The slow average has no bias correction. Source: Pagliardini et al. 2024, https://arxiv.org/abs/2409.03137.
    """

    buffers = ("exp_avg", "exp_avg_sq", "exp_avg_slow")

    def __init__(self, params: Params, lr: float, slow: SlowAverage, **defaults: Any):
        super().__init__(params, lr, **defaults)
        self._slow = slow  # Not in a group, because groups are saved in checkpoints and this is a constant.

    def update(self, group: Group, params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        first, second, slow = buffers
        step = group["num_updates"] - 1
        torch._foreach_lerp_(slow, grads, 1 - self._slow.beta3(step))
        # AdamW's kernel replaces its first moment x by β1 x + (1 - β1) g and divides that by 1 - β1^t. With
        # x = m1 + alpha (1 - β1^t) / β1 m2 the result is the whole numerator, m̂1 + alpha m2.
        beta1 = group["betas"][0]
        scale = self._slow.alpha(step) * (1 - beta1 ** group["num_updates"]) / beta1
        combined = torch._foreach_add(first, slow, alpha=scale)
        torch._foreach_lerp_(first, grads, 1 - beta1)
        foreach_optimizer.adamw_kernel(group, params, grads, combined, second)


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_torch.initializer(make_optimizer, SELF_TUNING_POINT)
data_selection = input_queue.next_batch
update_params = training_torch.update_params
