"""Muon in PyTorch; see README.md for the rule, its sources and the search spaces."""

import math
from typing import Any

import torch

from algoperf import spec
from algoperf.spec import ParameterType
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
    groups: dict[int, list[torch.nn.Parameter]] = {}
    # Wrappers put prefixes before names, but keep the order.
    described = zip(workload.model_params_types.items(), model_params.parameters(), strict=True)
    for (name, param_type), param in described:
        is_output = workload.is_output_params(name)
        groups.setdefault(0 if is_output else num_matrices(name, param, param_type), []).append(param)
    optimizer = Muon(
        [{"params": params, "num_matrices": count} for count, params in sorted(groups.items())],
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


def num_matrices(name: str, param: torch.nn.Parameter, param_type: ParameterType) -> int:
    """How many matrices lie one upon the other in a parameter; 0 if it follows Adam's rule."""
    if param.ndim < 2 or param_type not in MATRIX_TYPES:
        return 0
    if param_type is ParameterType.ATTENTION_QKV:
        return 3
    if param_type is ParameterType.ATTENTION_KV:
        return 2
    is_lstm = any(part in name for part in ("weight_ih", "weight_hh"))
    return 4 if is_lstm else 1  # The four gates of an LSTM.


class Muon(ForeachOptimizer):
    """Momentum made orthogonal; in the group with `num_matrices` 0, AdamW. README.md has the formulas."""

    def buffers_of(self, group: dict[str, Any]) -> tuple[str, ...]:
        return ("exp_avg",) if group["num_matrices"] else ("exp_avg", "exp_avg_sq")

    def update(self, group: dict[str, Any], params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        moments = buffers[0]
        if group["num_matrices"]:
            torch._foreach_lerp_(moments, grads, 1 - group["momentum"])
            ahead = torch._foreach_lerp(moments, grads, 1 - group["momentum"])
            directions = orthogonalised(ahead, group["num_matrices"])
            torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
            torch._foreach_add_(params, directions, alpha=-group["lr"])
        else:
            foreach_optimizer.adamw_kernel(group, params, grads, moments, buffers[1])


def orthogonalised(tensors: Tensors, num_matrices: int) -> Tensors:
    """About U Vᵀ of each matrix U S Vᵀ, times RMS_OF_ADAM · √(longer side); matrices of one shape go together."""
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
