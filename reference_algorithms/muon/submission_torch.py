"""Muon in PyTorch; see README.md for the rule, its sources and the search spaces."""

import math
from typing import Any

import torch

from algoperf import spec
from reference_algorithms.muon.self_tuning import (
    EPSILON,
    NEWTON_SCHULZ,
    NUM_ITERATIONS,
    RMS_OF_ADAM,
    SELF_TUNING_POINT,
)
from reference_algorithms.shared import batch_sizes, foreach_optimizer, input_queue, schedules, training_torch
from reference_algorithms.shared.foreach_optimizer import ForeachOptimizer, Group, Tensors, adam_arguments
from reference_algorithms.shared.layouts_torch import layouts_of
from reference_algorithms.shared.parameter_types import MATRIX_TYPES
from reference_algorithms.shared.training_torch import Scheduled

Groups = list[Group]


def groups_of(workload: spec.Workload, model: torch.nn.Module) -> Groups:
    """Groups of parameters with the same matrix layout; the group with `num_matrices` 0 uses Adam's rule."""
    groups: dict[tuple[int, bool], list[torch.nn.Parameter]] = {}
    types = workload.model_params_types
    layouts = layouts_of(model, types)
    # Matched by order, because wrappers such as DDP put prefixes before the names.
    for (name, param_type), param, layout in zip(types.items(), model.parameters(), layouts, strict=True):
        is_matrix = param.ndim > 1 and param_type in MATRIX_TYPES and not workload.is_output_params(name)
        # Kernels of transposed convolutions are (in, out, *space), all others begin with the output.
        key = (layout.num_tensors, bool(layout.turned)) if is_matrix else (0, False)
        groups.setdefault(key, []).append(param)
    return [
        {"params": params, "num_matrices": count, "inputs_first": inputs_first}
        for (count, inputs_first), params in sorted(groups.items())
    ]


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int, groups: Groups) -> Scheduled:
    """Muon for the groups of `groups_of`, and the schedule of its learning rate."""
    optimizer = Muon(
        groups, momentum=1 - hyperparameters.one_minus_momentum, **adam_arguments(hyperparameters)
    )
    return optimizer, schedules.cosine(hyperparameters, step_hint)


class Muon(ForeachOptimizer):
    """Orthogonalised momentum; AdamW for the group with `num_matrices` 0. README.md has the formulas."""

    def buffers_of(self, group: Group) -> tuple[str, ...]:
        return ("exp_avg",) if group["num_matrices"] else ("exp_avg", "exp_avg_sq")

    def update(self, group: Group, params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
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
    """Approximately U Vᵀ of each matrix U S Vᵀ, times RMS_OF_ADAM · √(longer side).

    Each tensor holds `num_matrices` matrices along its first axis (rows); all other axes are columns.
    """
    stacks = [tensor.reshape(num_matrices, tensor.shape[0] // num_matrices, -1) for tensor in tensors]
    # Matrices of equal shape, also after a transposition, are stacked into one batched product.
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
    """Moves the singular values of (matrices, m, n), m <= n, close to 1, by a polynomial that needs only products."""
    a, b, c = NEWTON_SCHULZ
    # The Frobenius norm bounds the largest singular value, and the iteration needs values of at most 1.
    x = wide / (torch.linalg.matrix_norm(wide, keepdim=True) + EPSILON)
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_torch.initializer(make_optimizer, SELF_TUNING_POINT, describe=groups_of)
data_selection = input_queue.next_batch
update_params = training_torch.update_params
