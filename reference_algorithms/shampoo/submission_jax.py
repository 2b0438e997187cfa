"""Distributed Shampoo in JAX; see README.md for the rule, its sources and the search spaces."""

import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec

from algoperf import jax_sharding_utils, spec
from reference_algorithms.shampoo.blocks import Shape, blocks_of, is_preconditioned, merged_shape
from reference_algorithms.shampoo.self_tuning import (
    PAPER,
    SELF_TUNING_POINT,
    SMALLEST_NORM,
    Settings,
    settings_for,
    weight_of_new,
)
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_jax
from reference_algorithms.shared.decompositions_jax import of_each
from reference_algorithms.shared.parameter_types import PER_HEAD

# By default GPUs multiply in TF32 with 10 bits of mantissa, which is coarser than the ridge of 1e-6.
EXACT = jax.lax.Precision.HIGHEST

Arrays = list[jax.Array]
Stacks = list[tuple[jax.Array, ...]]
"""For each shape of block (in the order of `Layout.places`), for each axis: (blocks, side, side)."""


def tensor_shapes_of(workload: spec.Workload, params: spec.ParameterContainer) -> list[Shape]:
    """`tensor_shapes` with the types of the workload."""
    return tensor_shapes(params, workload.model_params_types)


def tensor_shapes(params: spec.ParameterContainer, types: spec.ParameterTypeTree) -> list[Shape]:
    """The shape of each parameter before merging; per-head projections as (model, heads · head), as in PyTorch."""
    described = zip(jax.tree.leaves(params), jax.tree.leaves(types), strict=True)
    return [
        (param.shape[0], param.size // param.shape[0])
        if param_type in PER_HEAD and param.ndim == 3
        else tuple(param.shape)
        for param, param_type in described
    ]


def make_optimizer(
    hyperparameters: spec.Hyperparameters,
    step_hint: int,
    shapes: list[Shape],
    settings: Settings | None = None,
) -> optax.GradientTransformation:
    """Shampoo, then the scheduled learning rate, which multiplies momentum and weight decay alike.

    `settings` are by default those for the size of the model.
    """
    if settings is None:
        settings = settings_for(sum(math.prod(shape) for shape in shapes))
    schedule = schedules.cosine(hyperparameters, step_hint, jnp)
    shampoo = scale_by_shampoo(
        1 - hyperparameters.one_minus_beta1,
        hyperparameters.beta2,
        hyperparameters.weight_decay,
        shapes,
        settings,
    )
    return optax.chain(shampoo, optax.scale_by_learning_rate(schedule))


class ShampooState(NamedTuple):
    """Lists are in the order of the parameters' leaves."""

    count: jax.Array  # type: ignore[assignment]  # as in optax, though it hides tuple.count
    squares: Arrays
    grafting_momentum: Arrays
    momentum: Arrays
    """Only of preconditioned tensors; for the others it would equal the grafting momentum."""
    statistics: Stacks
    roots: Stacks


def scale_by_shampoo(
    beta1: float, beta2: float, weight_decay: float, shapes: list[Shape], settings: Settings = PAPER
) -> optax.GradientTransformation:
    """Nesterov momentum of preconditioned gradients, scaled to RMSprop's steps; README.md has the formulas.

    Args:
      beta1: decay of both momenta.
      beta2: decay of the statistics and of the squares.
      weight_decay: added to directions, before the momentum.
      shapes: shapes of the parameters' leaves before merging; see `tensor_shapes`.
      settings: constants that are not tuned.

    Sources: Gupta et al. 2018, https://arxiv.org/abs/1802.09568; Anil et al. 2020, https://arxiv.org/abs/2002.09018.
    """
    layout = Layout(shapes, settings)
    new_weight = weight_of_new(beta2)

    def init(params: optax.Params) -> ShampooState:
        def zeros() -> Arrays:
            return [jnp.zeros_like(leaf) for leaf in jax.tree.leaves(params)]

        def multiples(scale: float) -> Stacks:
            return [
                tuple(jnp.tile(scale * jnp.eye(side), (len(places), 1, 1)) for side in shape)
                for shape, places in layout.places.items()
            ]

        momentum = [leaf for index, leaf in enumerate(zeros()) if index in layout.preconditioned]
        statistics = multiples(settings.matrix_epsilon)
        return ShampooState(jnp.zeros((), jnp.int32), zeros(), zeros(), momentum, statistics, multiples(1.0))

    def update(
        grads: optax.Updates, state: ShampooState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, ShampooState]:
        leaves, structure = jax.tree.flatten(grads)
        decays = [weight_decay * w for w in jax.tree.leaves(params)]

        # Grafting: RMSprop of gradients of norm 1. Its norm, not its direction, is used once Shampoo has
        # started.
        units = [g / (jnp.linalg.norm(g.ravel()) + SMALLEST_NORM) for g in leaves]
        squares = [beta2 * d + new_weight * u * u for d, u in zip(state.squares, units, strict=True)]
        graftings = [
            u / (jnp.sqrt(d) + settings.diagonal_epsilon) for u, d in zip(units, squares, strict=True)
        ]
        moved = [a + decay for a, decay in zip(graftings, decays, strict=True)]
        grafting_momentum = _averages(beta1, state.grafting_momentum, moved)
        directions = [(1 - beta1) * u + beta1 * m for u, m in zip(moved, grafting_momentum, strict=True)]

        gradients = layout.gather(leaves)
        statistics = [
            tuple(beta2 * old + new_weight * gram(stack, axis) for axis, old in enumerate(stacks))
            for stack, stacks in zip(gradients, state.statistics, strict=True)
        ]
        # `cond`, not `where`: the decompositions must not run at every update.
        roots = jax.lax.cond(
            state.count % settings.root_interval == 0,
            lambda: updated_roots(statistics, state.roots, settings.matrix_epsilon),
            lambda: state.roots,
        )
        preconditioned = layout.scatter(
            [apply_roots(stack, stacks) for stack, stacks in zip(gradients, roots, strict=True)], leaves
        )
        grafted = [
            x * (jnp.linalg.norm(graftings[i].ravel()) / (jnp.linalg.norm(x.ravel()) + SMALLEST_NORM))
            + decays[i]
            for i, x in zip(layout.preconditioned, preconditioned, strict=True)
        ]
        momentum = _averages(beta1, state.momentum, grafted)
        # Until then both momenta are kept up to date, so that Shampoo's starts with history.
        has_started = state.count >= settings.start
        for i, u, m in zip(layout.preconditioned, grafted, momentum, strict=True):
            directions[i] = jnp.where(has_started, (1 - beta1) * u + beta1 * m, directions[i])

        state = ShampooState(state.count + 1, squares, grafting_momentum, momentum, statistics, roots)
        return jax.tree.unflatten(structure, directions), state

    return optax.GradientTransformation(init, update)


def _averages(beta: float, olds: Arrays, news: Arrays) -> Arrays:
    return [beta * old + (1 - beta) * new for old, new in zip(olds, news, strict=True)]


class Layout:
    """Positions of the blocks of each shape. Blocks of one shape are stacked, to have few large operations."""

    def __init__(self, shapes: list[Shape], settings: Settings):
        self.preconditioned = [i for i, shape in enumerate(shapes) if is_preconditioned(shape, settings)]
        self.merged = {i: merged_shape(shapes[i], settings) for i in self.preconditioned}
        self.places: dict[Shape, list[tuple[int, tuple[slice, ...]]]] = {}
        for i in self.preconditioned:
            for block in blocks_of(shapes[i], settings):
                self.places.setdefault(block.shape, []).append((i, block.place))

    def gather(self, leaves: Arrays) -> Arrays:
        """The blocks of the leaves, for each shape as (blocks, *shape)."""
        tensors = {i: leaves[i].reshape(shape) for i, shape in self.merged.items()}
        return [jnp.stack([tensors[i][place] for i, place in places]) for places in self.places.values()]

    def scatter(self, stacks: Arrays, leaves: Arrays) -> Arrays:
        """The inverse of `gather`: tensors in the shapes of the leaves."""
        tensors = {i: jnp.zeros(shape, leaves[i].dtype) for i, shape in self.merged.items()}
        for places, stack in zip(self.places.values(), stacks, strict=True):
            for (i, place), block in zip(places, stack, strict=True):
                tensors[i] = tensors[i].at[place].set(block)
        return [tensors[i].reshape(leaves[i].shape) for i in self.preconditioned]


def gram(blocks: jax.Array, axis: int) -> jax.Array:
    """(blocks, side, side): products of (blocks, *shape) with itself, summed over all axes but one."""
    rows = jnp.moveaxis(blocks, axis + 1, 1).reshape(len(blocks), blocks.shape[axis + 1], -1)
    return jnp.matmul(rows, rows.mT, precision=EXACT)


def apply_roots(blocks: jax.Array, roots: tuple[jax.Array, ...]) -> jax.Array:
    """(blocks, *shape) multiplied by a root along each axis."""
    for root in roots:
        # Contracts the first axis and appends the result as the last, so after all roots the axes are in
        # order again.
        count, side, *others = blocks.shape
        product = jnp.matmul(blocks.reshape(count, side, -1).mT, root, precision=EXACT)
        blocks = product.reshape(count, *others, side)
    return blocks


def updated_roots(statistics: Stacks, roots: Stacks, epsilon: float) -> Stacks:
    """Inverse roots of all statistics, one matrix size after the other; a non-finite root keeps its old value."""
    # Shampoo's exponent is -1 / (2 k) for a tensor of k axes.
    orders = [2 * len(stacks) for stacks in roots for _ in stacks]
    flat, structure = jax.tree.flatten(statistics)
    results = jax.tree.leaves(roots)
    sizes = [stack.shape[-1] for stack in flat]
    for size in sorted(set(sizes)):
        chosen = [index for index, found in enumerate(sizes) if found == size]
        counts = [len(flat[index]) for index in chosen]
        exponents = np.repeat([-1 / orders[index] for index in chosen], counts).astype(np.float32)
        matrices = jnp.concatenate([flat[index] for index in chosen])
        found = _over_devices(matrices, jnp.asarray(exponents), epsilon)
        for index, new in zip(chosen, jnp.split(found, np.cumsum(counts)[:-1]), strict=True):
            is_finite = jnp.isfinite(new).all((1, 2), keepdims=True)
            results[index] = jnp.where(is_finite, new, results[index])
    return jax.tree.unflatten(structure, results)


def _over_devices(matrices: jax.Array, exponents: jax.Array, epsilon: float) -> jax.Array:
    """`inverse_roots`, computed in equal shares by all devices."""
    mesh = jax_sharding_utils.get_mesh()
    count = len(matrices)
    padding = -count % mesh.size
    matrices = jnp.pad(matrices, ((0, padding), (0, 0), (0, 0)))
    exponents = jnp.pad(exponents, (0, padding))
    split = PartitionSpec(*mesh.axis_names)
    share = jax.shard_map(
        lambda matrices, exponents: inverse_roots(matrices, exponents, epsilon),
        mesh=mesh,
        in_specs=(split, split),
        out_specs=split,
    )
    replicated = jax_sharding_utils.get_replicate_sharding()
    return jax.lax.with_sharding_constraint(share(matrices, exponents), replicated)[:count]


def inverse_roots(matrices: jax.Array, exponents: jax.Array, epsilon: float) -> jax.Array:
    """(L + ε max(λ, tiny) I) to the power of `exponents`, by eigenvalues; (count, n, n) and (count,)."""
    values, vectors = of_each(jnp.linalg.eigh, matrices)
    # Rounding can make the smallest eigenvalues slightly negative.
    values = jnp.maximum(values, 0) + epsilon * jnp.maximum(values[:, -1:], SMALLEST_NORM)
    powers = values ** exponents[:, None]
    return jnp.matmul(vectors * powers[:, None, :], vectors.mT, precision=EXACT)


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_jax.initializer(
    make_optimizer, SELF_TUNING_POINT, describe=tensor_shapes_of, schedule=schedules.cosine
)
data_selection = input_queue.next_batch
update_params = training_jax.update_params
