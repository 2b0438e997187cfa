"""SOAP in PyTorch; see README.md for the rule, its sources and the search spaces."""

import math
from typing import Any

import torch

from algoperf import spec
from algoperf.spec import ParameterType
from reference_algorithms.shared import batch_sizes, foreach_optimizer, input_queue, schedules, training_torch
from reference_algorithms.shared.foreach_optimizer import ForeachOptimizer, Group, Tensors, adam_arguments
from reference_algorithms.shared.training_torch import Scheduled
from reference_algorithms.soap.self_tuning import MATRIX_TYPES, SELF_TUNING_POINT, rotated_axes

Groups = list[Group]


def groups_of(workload: spec.Workload, model: torch.nn.Module) -> Groups:
    """Groups of parameters by their `view`; the group with shape () uses Adam's rule."""
    groups: dict[tuple[int, ...], list[torch.nn.Parameter]] = {}
    # Matched by order, because wrappers such as DDP put prefixes before the names.
    described = zip(workload.model_params_types.items(), model.parameters(), strict=True)
    for (name, param_type), param in described:
        shape = view(name, param, param_type)
        groups.setdefault(shape if rotated_axes(shape) else (), []).append(param)
    return [{"params": params, "shape": shape} for shape, params in sorted(groups.items())]


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int, groups: Groups) -> Scheduled:
    """SOAP for the groups of `groups_of`, and the schedule of its learning rate."""
    optimizer = Soap(
        groups,
        frequency=int(hyperparameters.precondition_frequency),
        **adam_arguments(hyperparameters),
    )
    return optimizer, schedules.cosine(hyperparameters, step_hint)


def view(name: str, param: torch.nn.Parameter, param_type: ParameterType) -> tuple[int, ...]:
    """The shape of the tensors in a parameter; as in JAX, except for the order of axes."""
    shape = tuple(param.shape)
    if param_type not in MATRIX_TYPES:
        return (param.numel(),)
    is_lstm = any(part in name for part in ("weight_ih", "weight_hh"))
    # Projections and gates are stored as one concatenated tensor; each part has its own bases.
    projections = {ParameterType.ATTENTION_QKV: 3, ParameterType.ATTENTION_KV: 2}
    num_parts = 4 if is_lstm else projections.get(param_type, 1)
    if num_parts > 1:
        shape = (shape[0] // num_parts, *shape[1:])
    return tuple(size for size in shape if size > 1)


class Soap(ForeachOptimizer):
    """Adam in the eigenbasis of Shampoo's statistics; README.md has the formulas.

    All tensors of one `shape` form a group, whose first parameter holds the stacked state of all. The group with shape
    () uses AdamW's rule.

    Source: Vyas et al. 2024, https://arxiv.org/abs/2409.11321.
    """

    def buffers_of(self, group: Group) -> tuple[str, ...]:
        return () if group["shape"] else ("exp_avg", "exp_avg_sq")

    def update(self, group: Group, params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        if group["shape"]:
            directions = self._directions(group, params, grads)
        else:
            first, second = buffers
            directions = foreach_optimizer.adam_directions(group, grads, first, second)
        torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
        torch._foreach_add_(params, directions, alpha=-group["lr"])

    def _directions(self, group: Group, params: Tensors, grads: Tensors) -> Tensors:
        shape, (beta1, beta2) = group["shape"], group["betas"]
        axes, state = rotated_axes(shape), self.state[params[0]]
        grad = torch.cat([tensor.reshape(-1, *shape) for tensor in grads])
        if not state:
            state["statistics"] = [gram(grad, axis).mul_(1 - beta2) for axis in axes]
            # The only wait for the device in a run: the decomposition reports whether it converged.
            state["bases"] = [torch.linalg.eigh(matrix)[1] for matrix in state["statistics"]]
            state["exp_avg"], state["exp_avg_sq"] = torch.zeros_like(grad), torch.zeros_like(grad)
            return [torch.zeros_like(param) for param in params]

        first, second, bases = state["exp_avg"], state["exp_avg_sq"], state["bases"]
        count = group["num_updates"] - 1  # The first gradient only starts the bases.
        first.lerp_(grad, 1 - beta1)
        second.lerp_(rotated(grad, bases, axes).square_(), 1 - beta2)
        denominator = (second / (1 - beta2**count)).sqrt_().add_(group["eps"])
        direction = (rotated(first, bases, axes) / (1 - beta1**count)).div_(denominator)
        direction = rotated(direction, [basis.mT for basis in bases], axes)
        for matrix, axis in zip(state["statistics"], axes, strict=True):
            matrix.lerp_(gram(grad, axis), 1 - beta2)
        if count % group["frequency"] == 0:
            refresh(state, axes)
        parts = direction.split([param.numel() // math.prod(shape) for param in params])
        return [part.reshape(param.shape) for part, param in zip(parts, params, strict=True)]


def refresh(state: dict[str, Any], axes: tuple[int, ...]) -> None:
    """Moves bases towards the eigenvectors by one step of orthogonal iteration."""
    for i, axis in enumerate(axes):
        product = state["statistics"][i] @ state["bases"][i]
        # Sorted by Rayleigh quotient before the QR, as in the authors' code; the second moment is permuted
        # along.
        order = (state["bases"][i] * product).sum(1).argsort(dim=-1, descending=True, stable=True)
        state["bases"][i] = torch.linalg.qr(product.take_along_dim(order[:, None, :], 2))[0]
        second = state["exp_avg_sq"]
        state["exp_avg_sq"] = (
            around(second, axis).take_along_dim(order[:, None, :, None], 2).reshape(second.shape)
        )


# Shapes: B tensors; D the rotated axis, E the same axis in the other basis; P all axes before it, Q all axes behind
# it
def rotated(stack: torch.Tensor, bases: Tensors, axes: tuple[int, ...]) -> torch.Tensor:
    """The tensors with every axis in `axes` expressed in its basis (columns)."""
    shape = stack.shape
    for basis_BDE, axis in zip(bases, axes, strict=True):
        stack_BPDQ = around(stack, axis)
        stack = torch.einsum("bpdq,bde->bpeq", stack_BPDQ, basis_BDE).reshape(shape)
    return stack


def gram(stack: torch.Tensor, axis: int) -> torch.Tensor:
    """(tensors, size, size): inner products between the slices of each tensor along an axis."""
    stack_BPDQ = around(stack, axis)
    return torch.einsum("bpdq,bpeq->bde", stack_BPDQ, stack_BPDQ)


def around(stack: torch.Tensor, axis: int) -> torch.Tensor:
    """The tensors as (tensors, product of axes before, size of the axis, product of axes behind)."""
    shape = stack.shape[1:]
    return stack.reshape(stack.shape[0], math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_torch.initializer(make_optimizer, SELF_TUNING_POINT, describe=groups_of)
data_selection = input_queue.next_batch
update_params = training_torch.update_params
