"""Muon in PyTorch; see README.md for the rule, its sources and the search spaces."""

import math
from typing import Any

import torch

from algoperf import spec
from reference_algorithms.muon.self_tuning import (
    EPSILON,
    MATRIX_TYPES,
    NEWTON_SCHULZ,
    NUM_ITERATIONS,
    RMS_OF_ADAM,
    SELF_TUNING_POINT,
)
from reference_algorithms.shared import foreach_optimizer, schedules, training_torch
from reference_algorithms.shared.batch_sizes import get_batch_size
from reference_algorithms.shared.foreach_optimizer import ForeachOptimizer, Tensors
from reference_algorithms.shared.layouts_torch import layouts_of
from reference_algorithms.shared.training_torch import data_selection, update_params

__all__ = ["data_selection", "get_batch_size", "init_optimizer_state", "update_params"]


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    """Muon with warm-up and cosine decay; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    types = workload.model_params_types
    layouts = layouts_of(model_params, types)
    # Wrappers put prefixes before names, but keep the order.
    for (name, param_type), param, layout in zip(
        types.items(), model_params.parameters(), layouts, strict=True
    ):
        is_matrix = param.ndim > 1 and param_type in MATRIX_TYPES and not workload.is_output_params(name)
        # Kernels of transposed convolutions are (in, out, *space), all others begin with the output.
        key = (layout.num_tensors, bool(layout.turned)) if is_matrix else (0, False)
        groups.setdefault(key, []).append(param)
    optimizer = Muon(
        [
            {"params": params, "num_matrices": count, "inputs_first": inputs_first}
            for (count, inputs_first), params in sorted(groups.items())
        ],
        lr=hyperparameters.learning_rate,
        momentum=1 - hyperparameters.one_minus_momentum,
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


class Muon(ForeachOptimizer):
    """Momentum made orthogonal; in the group with `num_matrices` 0, AdamW. README.md has the formulas."""

    def buffers_of(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg",) if group["num_matrices"] else ("exp_avg", "exp_avg_sq")

    def update(self, group: dict[str, Any], params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        moments = buffers[0]
        if group["num_matrices"]:
            torch._foreach_lerp_(moments, grads, 1 - group["momentum"])
            ahead = torch._foreach_lerp(moments, grads, 1 - group["momentum"])
            if group["inputs_first"]:
                ahead = tuple(tensor.transpose(0, 1) for tensor in ahead)
            directions = orthogonalised(ahead, group["num_matrices"])
            if group["inputs_first"]:
                directions = tuple(tensor.transpose(0, 1).contiguous() for tensor in directions)
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(params, directions, alpha=-group["lr"])
        else:
            foreach_optimizer.adamw_kernel(group, params, grads, moments, buffers[1])


def orthogonalised(tensors: Tensors, num_matrices: int) -> Tensors:
    """About U Vᵀ of each matrix U S Vᵀ, times RMS_OF_ADAM · √(longer side); matrices of one shape go together.

    Rows are the first axis, in `num_matrices` equal parts; columns all others.
    """
    stacks = [tensor.reshape(num_matrices, tensor.shape[0] // num_matrices, -1) for tensor in tensors]
    by_shape: dict[tuple[int, int], list[int]] = {}
    for index, stack in enumerate(stacks):
        by_shape.setdefault((min(stack.shape[1:]), max(stack.shape[1:])), []).append(index)
    results: list[Any] = [None] * len(tensors)
    for (short, long), indices in by_shape.items():
        wide = [stacks[i] if stacks[i].shape[1] == short else stacks[i].mT for i in indices]
        done = newton_schulz(torch.cat(wide)) * (RMS_OF_ADAM * math.sqrt(long))
        for i, stack in zip(indices, done.split(num_matrices), strict=True):
            stack = stack if stacks[i].shape[1] == short else stack.mT
            results[i] = stack.reshape(tensors[i].shape)
    return results


def newton_schulz(wide: torch.Tensor) -> torch.Tensor:
    """Singular values of (matrices, m, n), m <= n, moved near 1 by a polynomial that needs products only."""
    a, b, c = NEWTON_SCHULZ
    x = wide / (torch.linalg.matrix_norm(wide, keepdim=True) + EPSILON)
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x
