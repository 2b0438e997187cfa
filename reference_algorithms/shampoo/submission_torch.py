"""Distributed Shampoo in PyTorch; see README.md for the rule, its sources and the search spaces."""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch
import torch.distributed as dist

from algoperf import spec
from reference_algorithms.shampoo.blocks import Shape, blocks_of, is_preconditioned, merged_shape
from reference_algorithms.shampoo.self_tuning import (
    PAPER,
    SELF_TUNING_POINT,
    SMALLEST_NORM,
    Settings,
    settings_for,
    weight_of_new,
)
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_torch
from reference_algorithms.shared.foreach_optimizer import ForeachOptimizer, Group, Tensors
from reference_algorithms.shared.layouts_torch import Layout, layouts_of
from reference_algorithms.shared.training_torch import Scheduled

Layouts = dict[torch.nn.Parameter, Layout]


def layouts_by_param(workload: spec.Workload, model: torch.nn.Module) -> Layouts:
    """The layout of each parameter, in the order of the model."""
    return dict(zip(model.parameters(), layouts_of(model, workload.model_params_types), strict=True))


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int, layouts: Layouts) -> Scheduled:
    """Shampoo, and the schedule of its learning rate over `step_hint` updates."""
    optimizer = Shampoo(
        layouts.keys(),
        layouts.values(),
        lr=hyperparameters.learning_rate,
        betas=(1 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        weight_decay=hyperparameters.weight_decay,
        settings=settings_for(sum(param.numel() for param in layouts)),
    )
    return optimizer, schedules.cosine(hyperparameters, step_hint)


class Part(NamedTuple):
    """A block of a tensor, with its state."""

    tensor: int
    place: tuple[slice, ...]
    statistics: Tensors
    """One matrix per axis."""
    roots: Tensors


class Shampoo(ForeachOptimizer):
    """Nesterov momentum of preconditioned gradients, scaled to RMSprop's steps; README.md has the formulas.

    Args:
      params: the parameters.
      layouts: one layout per parameter.
      lr: learning rate.
      betas: decay of both momenta; decay of the statistics and of the squares.
      weight_decay: added to directions, before the momentum.
      settings: constants that are not tuned.

    Sources: Gupta et al. 2018, https://arxiv.org/abs/1802.09568; Anil et al. 2020, https://arxiv.org/abs/2002.09018.
    """

    def __init__(
        self,
        params: Iterable[torch.nn.Parameter],
        layouts: Iterable[Layout],
        lr: float,
        betas: tuple[float, float],
        weight_decay: float,
        settings: Settings = PAPER,
    ):
        self.layouts: dict[torch.Tensor, Layout] = dict(zip(params, layouts, strict=True))
        self.settings = settings
        groups: dict[bool, list[torch.Tensor]] = {}
        for param, layout in self.layouts.items():
            chosen = is_preconditioned(layout.jax_shape(param.shape), settings)
            groups.setdefault(chosen, []).append(param)
        super().__init__(
            [{"params": params, "is_preconditioned": chosen} for chosen, params in sorted(groups.items())],
            lr,
            betas=betas,
            weight_decay=weight_decay,
        )

    def buffers_of(self, group: Group) -> tuple[str, ...]:
        # Without preconditioner both momenta would be equal, so only one is kept.
        own = ("momentum",) if group["is_preconditioned"] else ()
        return ("squares", "grafting_momentum", *own)

    def update(self, group: Group, params: Tensors, grads: Tensors, *buffers: Tensors) -> None:
        (beta1, beta2), step = group["betas"], group["num_updates"] - 1
        weights, grads, squares, momenta, *own_momenta = (
            self._tensors(params, values) for values in (params, grads, *buffers)
        )
        directions = self._grafting_directions(grads, squares, beta2)
        # Norms before weight decay is added: grafting scales to the length of RMSprop's step alone.
        lengths = torch._foreach_norm(directions)
        torch._foreach_add_(directions, weights, alpha=group["weight_decay"])
        # Both momenta are updated in every step, although only one is used (README.md).
        torch._foreach_lerp_(momenta, directions, 1 - beta1)
        if group["is_preconditioned"]:
            grafted = self._preconditioned(params, grads, beta2, step)
            torch._foreach_div_(lengths, torch._foreach_add(torch._foreach_norm(grafted), SMALLEST_NORM))
            torch._foreach_mul_(grafted, lengths)
            torch._foreach_add_(grafted, weights, alpha=group["weight_decay"])
            torch._foreach_lerp_(own_momenta[0], grafted, 1 - beta1)
            if step >= self.settings.start:
                directions, momenta = grafted, own_momenta[0]
        torch._foreach_lerp_(directions, momenta, beta1)
        torch._foreach_add_(weights, directions, alpha=-group["lr"])

    def _tensors(self, params: Tensors, values: Tensors) -> Tensors:
        """Views of the tensors in each parameter, or in values of the parameters' shapes."""
        return [
            tensor
            for param, value in zip(params, values, strict=True)
            for tensor in self.layouts[param].split(value)
        ]

    def _grafting_directions(self, grads: Tensors, squares: Tensors, beta2: float) -> Tensors:
        units = torch._foreach_div(grads, torch._foreach_add(torch._foreach_norm(grads), SMALLEST_NORM))
        torch._foreach_mul_(squares, beta2)
        torch._foreach_addcmul_(squares, units, units, weight_of_new(beta2))
        denominators = torch._foreach_sqrt(squares)
        torch._foreach_add_(denominators, self.settings.diagonal_epsilon)
        return torch._foreach_div(units, denominators)

    def _preconditioned(self, params: Tensors, grads: Tensors, beta2: float, step: int) -> Tensors:
        """Preconditioned gradients; updates the statistics and, when due, the roots."""
        layouts = [self.layouts[param] for param in params for _ in range(self.layouts[param].num_tensors)]
        grads = [layout.to_jax(grad) for layout, grad in zip(layouts, grads, strict=True)]
        shapes = [tuple(grad.shape) for grad in grads]
        grads = [
            grad.reshape(merged_shape(shape, self.settings))
            for grad, shape in zip(grads, shapes, strict=True)
        ]
        parts = self._parts(params)
        stacks = {
            shape: torch.stack([grads[part.tensor][part.place] for part in alike])
            for shape, alike in parts.items()
        }
        for shape, alike in parts.items():
            for axis in range(len(shape)):
                statistics = [part.statistics[axis] for part in alike]
                torch._foreach_mul_(statistics, beta2)
                new = gram(stacks[shape], axis).unbind()
                torch._foreach_add_(statistics, new, alpha=weight_of_new(beta2))
        if step % self.settings.root_interval == 0:
            update_roots([part for alike in parts.values() for part in alike], self.settings.matrix_epsilon)
        results = [torch.empty_like(grad) for grad in grads]
        for shape, alike in parts.items():
            roots = [torch.stack([part.roots[axis] for part in alike]) for axis in range(len(shape))]
            blocks = apply_roots(stacks[shape], roots).unbind()
            torch._foreach_copy_([results[part.tensor][part.place] for part in alike], blocks)
        return [
            layout.from_jax(result.reshape(shape))
            for layout, result, shape in zip(layouts, results, shapes, strict=True)
        ]

    def _parts(self, params: Tensors) -> dict[Shape, list[Part]]:
        """All blocks by shape. Blocks of one shape are stacked, to have few large operations."""
        parts: dict[Shape, list[Part]] = {}
        num_tensors = 0
        for param in params:
            layout, state = self.layouts[param], self.state[param]
            blocks = blocks_of(layout.jax_shape(param.shape), self.settings) * layout.num_tensors
            if "roots" not in state:
                state["roots"] = [[param.new_ones(side).diag() for side in block.shape] for block in blocks]
                epsilon = self.settings.matrix_epsilon
                state["statistics"] = [[epsilon * root for root in roots] for roots in state["roots"]]
            for number, block in enumerate(blocks):
                tensor = num_tensors + number * layout.num_tensors // len(blocks)
                part = Part(tensor, block.place, state["statistics"][number], state["roots"][number])
                parts.setdefault(block.shape, []).append(part)
            num_tensors += layout.num_tensors
        return parts


def gram(blocks: torch.Tensor, axis: int) -> torch.Tensor:
    """(blocks, side, side): products of (blocks, *shape) with itself, summed over all axes but one."""
    rows = blocks.movedim(axis + 1, 1).reshape(len(blocks), blocks.shape[axis + 1], -1)
    return rows @ rows.mT


def apply_roots(blocks: torch.Tensor, roots: Tensors) -> torch.Tensor:
    """(blocks, *shape) multiplied by a root along each axis."""
    for root in roots:
        # Contracts the first axis and appends the result as the last, so after all roots the axes are in
        # order again.
        count, side, *others = blocks.shape
        blocks = (blocks.reshape(count, side, -1).mT @ root).reshape(count, *others, side)
    return blocks


def update_roots(parts: list[Part], epsilon: float) -> None:
    """Computes all roots anew; each process computes a share and gets the others' shares."""
    work = [
        (statistic, root, -0.5 / len(part.roots))
        for part in parts
        for statistic, root in zip(part.statistics, part.roots, strict=True)
    ]
    # By falling size and then dealt out in turn, so that every process gets about the same amount of work.
    work.sort(key=lambda item: -len(item[0]))
    is_distributed = dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1
    num_processes, rank = (dist.get_world_size(), dist.get_rank()) if is_distributed else (1, 0)
    shares = [work[process::num_processes] for process in range(num_processes)]

    mine: dict[int, list[Any]] = {}
    for item in shares[rank]:
        mine.setdefault(len(item[0]), []).append(item)
    for items in mine.values():
        statistics, roots, exponents = zip(*items, strict=True)
        found = inverse_roots(torch.stack(statistics), exponents, epsilon)
        is_finite = found.isfinite().all(2).all(1)[:, None, None]
        torch._foreach_copy_(roots, found.where(is_finite, torch.stack(roots)).unbind())
    if is_distributed:
        gather_roots([[root for _, root, _ in share] for share in shares], rank)


def gather_roots(shares: list[Tensors], rank: int) -> None:
    """Sends every process's roots to all others, in one message."""
    lengths = [sum(root.numel() for root in share) for share in shares]
    # Padded to the longest share, because all_gather needs messages of one size.
    mine = shares[0][0].new_zeros(max(lengths))
    torch.cat([mine.new_empty(0), *[root.flatten() for root in shares[rank]]], out=mine[: lengths[rank]])
    gathered = mine.new_empty(len(shares), len(mine))
    dist.all_gather(list(gathered), mine)
    for share, message, length in zip(shares, gathered, lengths, strict=True):
        flat = message[:length].split([root.numel() for root in share])
        torch._foreach_copy_(share, [values.view_as(root) for values, root in zip(flat, share, strict=True)])


def inverse_roots(matrices: torch.Tensor, exponents: tuple[float, ...], epsilon: float) -> torch.Tensor:
    """(L + ε max(λ, tiny) I) to the power of `exponents`, by eigenvalues; NaN where L is not finite."""
    is_finite = matrices.isfinite().all(2).all(1)[:, None, None]
    values, vectors = eigh(matrices.where(is_finite, 0.0))  # eigh raises for matrices that are not finite.
    # Rounding can make the smallest eigenvalues slightly negative.
    values = values.clamp(min=0) + epsilon * values[:, -1:].clamp(min=SMALLEST_NORM)
    powers = values ** values.new_tensor(exponents)[:, None]
    return ((vectors * powers[:, None, :]) @ vectors.mT).where(is_finite, torch.nan)


def eigh(matrices: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Ascending eigenvalues, and eigenvectors as columns; in float64 if float32 does not converge."""
    try:
        return torch.linalg.eigh(matrices)
    except torch.linalg.LinAlgError:
        values, vectors = torch.linalg.eigh(matrices.double())
        return values.to(matrices.dtype), vectors.to(matrices.dtype)


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_torch.initializer(
    make_optimizer, SELF_TUNING_POINT, describe=layouts_by_param
)
data_selection = input_queue.next_batch
update_params = training_torch.update_params
