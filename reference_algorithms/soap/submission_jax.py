"""SOAP in JAX; see README.md for the rule, its sources and the search spaces."""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_jax
from reference_algorithms.shared.decompositions_jax import of_each
from reference_algorithms.shared.parameter_types import PER_HEAD
from reference_algorithms.soap.self_tuning import EPSILON, MATRIX_TYPES, SELF_TUNING_POINT, rotated_axes


def views_of(workload: spec.Workload, params: spec.ParameterContainer) -> spec.ParameterShapeTree:
    """`view` of every parameter, in a tree of the same structure."""
    return jax.tree.map(view, params, workload.model_params_types)


def view(param: jax.Array, param_type: spec.ParameterType) -> spec.ShapeTuple:
    """The shape in which a parameter is rotated; as in PyTorch, except for the order of axes."""
    shape = param.shape
    if param_type not in MATRIX_TYPES:
        shape = (param.size,)
    elif param_type in PER_HEAD:  # (model, heads, head)
        shape = (shape[0], math.prod(shape[1:]))
    elif param_type is spec.ParameterType.ATTENTION_OUT:  # (heads, head, model)
        shape = (math.prod(shape[:-1]), shape[-1])
    # The basis of an axis of size 1 would be the number 1.
    return spec.ShapeTuple(tuple(size for size in shape if size > 1))


def make_optimizer(
    hyperparameters: spec.Hyperparameters, step_hint: int, views: spec.ParameterShapeTree
) -> optax.GradientTransformation:
    """Adam's step, for matrices in a basis of their own; then weight decay and learning rate for all parameters."""
    schedule = schedules.cosine(hyperparameters, step_hint, jnp)
    betas = (1 - hyperparameters.one_minus_beta1, hyperparameters.beta2)
    shapes = [leaf.shape_tuple for leaf in jax.tree.leaves(views)]
    soap = scale_by_soap(
        *betas,
        frequency=int(hyperparameters.precondition_frequency),
        shapes=[shape for shape in shapes if rotated_axes(shape)],
    )
    labels = jax.tree.map(lambda leaf: "soap" if rotated_axes(leaf.shape_tuple) else "adam", views)
    return optax.chain(
        optax.partition({"soap": soap, "adam": optax.scale_by_adam(*betas, eps=EPSILON)}, labels),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )


class Stack(NamedTuple):
    """State of all tensors of one shape, each array with a first axis of length (tensors,)."""

    exp_avg: jax.Array
    exp_avg_sq: jax.Array
    """Second moment in the basis; the first moment is kept in the original coordinates."""
    statistics: list[jax.Array]
    """For each axis with a basis, moving averages of G Gᵀ, (tensors, size, size)."""
    bases: list[jax.Array]
    """Approximate eigenvectors of the statistics, as columns."""


class SoapState(NamedTuple):
    count: jax.Array  # type: ignore[assignment]  # as in optax, though it hides tuple.count
    stacks: list[Stack]


def scale_by_soap(
    beta1: float, beta2: float, frequency: int, shapes: list[tuple[int, ...]]
) -> optax.GradientTransformation:
    """Adam in the eigenbasis of Shampoo's statistics; README.md has the formulas.

    Args:
      beta1: decay of the first moment.
      beta2: decay of the second moment and of the statistics.
      frequency: updates between two refreshes of the bases.
      shapes: the `view` of each tensor, in the order of the leaves.

    Source: Vyas et al. 2024, https://arxiv.org/abs/2409.11321.
    """
    indices_by_shape: dict[tuple[int, ...], list[int]] = {}
    for index, shape in enumerate(shapes):
        indices_by_shape.setdefault(shape, []).append(index)

    def init(params: optax.Params) -> SoapState:
        del params
        stacks = []
        for shape, indices in indices_by_shape.items():
            zeros = jnp.zeros((len(indices), *shape))
            squares = [jnp.zeros((len(indices), shape[axis], shape[axis])) for axis in rotated_axes(shape)]
            stacks.append(Stack(zeros, zeros, squares, squares))
        return SoapState(jnp.zeros((), jnp.int32), stacks)

    def update(
        grads: optax.Updates, state: SoapState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, SoapState]:
        del params
        count = state.count  # Gradients before this one.
        is_first = count == 0
        leaves, structure = jax.tree.flatten(grads)
        directions: list[Any] = [None] * len(leaves)
        stacks = []
        for (shape, indices), stack in zip(indices_by_shape.items(), state.stacks, strict=True):
            grad = jnp.stack([leaves[i].reshape(shape) for i in indices])
            axes = rotated_axes(shape)
            # The first gradient only starts the bases and is left out of the moments, as in the authors' code, so
            # that no basis depends on the gradient that it rotates.
            first = optax.incremental_update(grad, stack.exp_avg, jnp.where(is_first, 0.0, 1 - beta1))
            second = optax.incremental_update(
                jnp.square(rotated(grad, stack.bases, axes)),
                stack.exp_avg_sq,
                jnp.where(is_first, 0.0, 1 - beta2),
            )
            t = jnp.maximum(count, 1)
            direction = rotated(first, stack.bases, axes) / (1 - beta1**t)
            direction /= jnp.sqrt(second / (1 - beta2**t)) + EPSILON
            direction = rotated(direction, [basis.swapaxes(1, 2) for basis in stack.bases], axes)
            for i, tensor in zip(indices, direction, strict=True):
                directions[i] = tensor.reshape(leaves[i].shape)
            statistics = [
                beta2 * old + (1 - beta2) * gram(grad, axis)
                for old, axis in zip(stack.statistics, axes, strict=True)
            ]
            stacks.append(Stack(first, second, statistics, stack.bases))
        case = jnp.where(is_first, 2, jnp.where(count % frequency == 0, 1, 0))
        # Branches return only what they may change; XLA would copy the rest at every step.
        turned = jax.lax.switch(case, [kept, refreshed, started], stacks)
        stacks = [
            stack._replace(exp_avg_sq=second, bases=bases)
            for stack, (second, bases) in zip(stacks, turned, strict=True)
        ]
        return jax.tree.unflatten(structure, directions), SoapState(count + 1, stacks)

    return optax.GradientTransformation(init, update)


# For each stack, (second moment in the new basis, bases).
Turned = list[tuple[jax.Array, list[jax.Array]]]


def kept(stacks: list[Stack]) -> Turned:
    return [(stack.exp_avg_sq, stack.bases) for stack in stacks]


def started(stacks: list[Stack]) -> Turned:
    """Bases from the eigenvectors of the statistics. Their order does not matter: second moments are still zero."""
    return [
        (stack.exp_avg_sq, [of_each(jnp.linalg.eigh, matrix)[1] for matrix in stack.statistics])
        for stack in stacks
    ]


def refreshed(stacks: list[Stack]) -> Turned:
    """Moves the bases towards the eigenvectors by one step of orthogonal iteration."""
    return [refreshed_one(stack) for stack in stacks]


def refreshed_one(stack: Stack) -> tuple[jax.Array, list[jax.Array]]:
    bases, second = [], stack.exp_avg_sq
    axes = rotated_axes(second.shape[1:])
    for axis, statistic, basis in zip(axes, stack.statistics, stack.bases, strict=True):
        product = jnp.matmul(statistic, basis, precision="highest")
        # Sorted by Rayleigh quotient before the QR, as in the authors' code; the second moment is permuted
        # along.
        order = jnp.argsort(jnp.sum(basis * product, axis=1), axis=-1, descending=True)
        bases.append(of_each(jnp.linalg.qr, jnp.take_along_axis(product, order[:, None, :], axis=2))[0])
        sorted_second = jnp.take_along_axis(around(second, axis), order[:, None, :, None], axis=2)
        second = sorted_second.reshape(second.shape)
    return second, bases


# Shapes: B tensors; D the rotated axis, E the same axis in the other basis; P all axes before it, Q all axes behind
# it
def rotated(stack: jax.Array, bases: list[jax.Array], axes: tuple[int, ...]) -> jax.Array:
    """The tensors with every axis in `axes` expressed in its basis (columns)."""
    shape = stack.shape
    for basis_BDE, axis in zip(bases, axes, strict=True):
        stack_BPDQ = around(stack, axis)
        stack = jnp.einsum("bpdq,bde->bpeq", stack_BPDQ, basis_BDE, precision="highest").reshape(shape)
    return stack


def gram(stack: jax.Array, axis: int) -> jax.Array:
    """(tensors, size, size): inner products between the slices of each tensor along an axis."""
    stack_BPDQ = around(stack, axis)
    return jnp.einsum("bpdq,bpeq->bde", stack_BPDQ, stack_BPDQ, precision="highest")


def around(stack: jax.Array, axis: int) -> jax.Array:
    """The tensors as (tensors, product of axes before, size of the axis, product of axes behind)."""
    shape = stack.shape[1:]
    return stack.reshape(stack.shape[0], math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :]))


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_jax.initializer(
    make_optimizer, SELF_TUNING_POINT, describe=views_of, schedule=schedules.cosine
)
data_selection = input_queue.next_batch
update_params = training_jax.update_params
