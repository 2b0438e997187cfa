"""Schedule-Free AdamW in PyTorch; see README.md for the rule, its sources and the search spaces."""

import functools
import math
from typing import Any

import torch

from algoperf import spec
from algoperf.pytorch_utils import batch_norm_layers
from reference_algorithms.schedule_free.self_tuning import (
    SELF_TUNING_POINT,
    STATISTICS_EVERY_STEPS,
)
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_torch
from reference_algorithms.shared.foreach_optimizer import (
    ForeachOptimizer,
    Group,
    Tensors,
    adam_arguments,
    adamw_kernel,
)
from reference_algorithms.shared.forward import train_logits
from reference_algorithms.shared.training_torch import LossAndState, MeanLoss, Params, Scheduled


class ScheduleFreeAdamW(ForeachOptimizer):
    """The parameters are y between evaluations and x during them; README.md has the formulas."""

    buffers = ("x", "z", "exp_avg_sq")

    def __init__(self, params: Params, lr: float, **defaults: Any):
        super().__init__(params, lr, **defaults, weight_sum=0.0, is_average=False)
        for group in self.param_groups:
            for param in group["params"]:
                start = param.detach()
                zeros = torch.zeros_like(start)
                # Set here, because `ForeachOptimizer` would start buffers as zeros.
                self.state[param] = {"x": start.clone(), "z": start.clone(), "exp_avg_sq": zeros}

    def update(self, group: Group, params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        x, z, second = buffers
        num_updates, beta2 = group["num_updates"], group["betas"][1]
        eta = group["lr"] * min(1.0, num_updates / group["warmup_steps"])
        correction = math.sqrt(1 - beta2**num_updates)
        group["weight_sum"] += eta**2
        # Weight decay acts at y, the point of the gradient, so it must come before `params` change.
        torch._foreach_add_(z, params, alpha=-eta * correction * group["weight_decay"])
        # With β1 = 0 the kernel subtracts η g / (√v̂ + ε'). As √v̂ = √v / correction and ε' = ε / correction, that
        # is η · correction · g / (√v + ε).
        constants = {"lr": eta, "beta1": 0.0, "eps": group["eps"] / correction, "weight_decay": 0.0}
        adamw_kernel(group, z, grads, grads, second, **constants)
        torch._foreach_lerp_(x, z, eta**2 / group["weight_sum"])
        self._put_between(group, params, x, z)

    @torch.no_grad()
    def use(self, is_average: bool) -> None:
        """Puts x into the parameters, or y back."""
        for group in self.param_groups:
            if group["is_average"] == is_average:
                continue
            params = group["params"]
            x, z = ([self.state[param][name] for param in params] for name in ("x", "z"))
            if is_average:
                torch._foreach_copy_(params, x)
            else:
                self._put_between(group, params, x, z)
            group["is_average"] = is_average

    def _put_between(self, group: Group, params: Tensors, x: Tensors, z: Tensors) -> None:
        torch._foreach_copy_(params, z)
        torch._foreach_lerp_(params, x, group["betas"][0])


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int, params: Params) -> Scheduled:
    """The optimizer and a constant schedule, because the warm-up is part of the rule."""
    warmup_steps = max(int(hyperparameters.warmup_factor * step_hint), 1)
    optimizer = ScheduleFreeAdamW(params, **adam_arguments(hyperparameters), warmup_steps=warmup_steps)
    return optimizer, schedules.constant(hyperparameters)


def gradient_with_frozen_statistics(mean_loss: MeanLoss, model: torch.nn.Module) -> LossAndState:
    """The gradient at y, without moving the running statistics of batch norm, which belong to x."""
    return training_torch.plain_gradient(functools.partial(mean_loss, update_batch_norm=False), model)


def update_params(
    *,
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    batch: spec.Batch,
    optimizer_state: spec.OptimizerState,
    global_step: int,
    rng: spec.RandomState,
    **others: Any,
) -> spec.UpdateReturn:
    """One update; at every `STATISTICS_EVERY_STEPS`-th also a forward pass at x, for the statistics of batch norm."""
    model, optimizer = current_param_container, optimizer_state["optimizer"]
    optimizer.use(is_average=False)
    returned = training_torch.update_params(
        workload=workload,
        current_param_container=model,
        model_state=model_state,
        batch=batch,
        optimizer_state=optimizer_state,
        global_step=global_step,
        rng=rng,
        **others,
    )
    if global_step % STATISTICS_EVERY_STEPS == 0 and batch_norm_layers(model):
        optimizer.use(is_average=True)
        with torch.no_grad():  # Only the statistics are wanted; they move in the forward pass.
            train_logits(workload, optimizer_state["constants"].options, model, batch, model_state, rng)
        optimizer.use(is_average=False)
    return returned


def prepare_for_eval(
    *,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    optimizer_state: spec.OptimizerState,
    **others: Any,
) -> spec.UpdateReturn:
    """Puts x into the model for the evaluation; the next update computes y again from x and z."""
    del others
    optimizer_state["optimizer"].use(is_average=True)
    return optimizer_state, current_param_container, model_state


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_torch.initializer(
    make_optimizer,
    SELF_TUNING_POINT,
    make_gradient=lambda point: gradient_with_frozen_statistics,
)
data_selection = input_queue.next_batch
