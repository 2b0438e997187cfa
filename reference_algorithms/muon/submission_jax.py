"""Muon in JAX; see README.md for the rule, its sources and the search spaces."""

import math
from typing import Any

import jax
import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.muon.self_tuning import (
    EPSILON,
    NEWTON_SCHULZ,
    NUM_ITERATIONS,
    RMS_OF_ADAM,
    SELF_TUNING_POINT,
)
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_jax
from reference_algorithms.shared.parameter_types import MATRIX_TYPES, PER_HEAD


def labels_of(workload: spec.Workload, params: spec.ParameterContainer) -> dict[str, Any]:
    """`label` of every parameter, in a tree of the same structure; the output layer uses Adam's rule."""
    return {
        key: jax.tree.map(lambda *leaf: "adam", tree)
        if workload.is_output_params(key)
        else jax.tree.map(label, tree, workload.model_params_types[key])
        for key, tree in params.items()
    }


def label(param: jax.Array, param_type: spec.ParameterType) -> str:
    """The rule of a parameter: 'adam', or Muon with the axis at which the columns of its matrix begin."""
    if param.ndim < 2 or param_type not in MATRIX_TYPES:
        return "adam"
    # Columns are outputs. In JAX the output is the last axis of all kernels, except for (model, heads, head) of
    # `PER_HEAD`.
    return "from first axis" if param_type in PER_HEAD else "from last axis"


def make_optimizer(
    hyperparameters: spec.Hyperparameters, step_hint: int, labels: dict[str, Any]
) -> optax.GradientTransformation:
    """Orthogonalised momentum or Adam's step, then weight decay and learning rate, the same for both."""
    schedule = schedules.cosine(hyperparameters, step_hint, jnp)
    momentum = 1 - hyperparameters.one_minus_momentum
    rules = {
        "adam": optax.scale_by_adam(1 - hyperparameters.one_minus_beta1, hyperparameters.beta2, eps=1e-8),
        "from first axis": scale_by_muon(momentum, 1),
        "from last axis": scale_by_muon(momentum, -1),
    }
    return optax.chain(
        optax.partition(rules, labels),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )


def scale_by_muon(momentum: float, columns_from: int) -> optax.GradientTransformation:
    """Orthogonalised Nesterov momentum with the size of Adam's steps; axes from `columns_from` on are columns."""

    def init(params: optax.Params) -> optax.Params:
        return optax.tree.zeros_like(params)

    def update(
        grads: optax.Updates, state: optax.Params, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.Params]:
        del params
        state = jax.tree.map(lambda m, g: momentum * m + (1 - momentum) * g, state, grads)
        ahead = jax.tree.map(lambda m, g: momentum * m + (1 - momentum) * g, state, grads)
        leaves, structure = jax.tree.flatten(ahead)
        matrices = [leaf.reshape(math.prod(leaf.shape[:columns_from]), -1) for leaf in leaves]
        directions = [
            matrix.reshape(leaf.shape) for matrix, leaf in zip(orthogonalised(matrices), leaves, strict=True)
        ]
        return jax.tree.unflatten(structure, directions), state

    return optax.GradientTransformation(init, update)


def orthogonalised(matrices: list[jax.Array]) -> list[jax.Array]:
    """Approximately U Vᵀ of each matrix U S Vᵀ, times RMS_OF_ADAM · √(longer side)."""
    # Matrices of equal shape, also after a transposition, are stacked into one batched product.
    by_shape: dict[tuple[int, int], list[int]] = {}
    for index, matrix in enumerate(matrices):
        by_shape.setdefault((min(matrix.shape), max(matrix.shape)), []).append(index)
    results: list[Any] = [None] * len(matrices)
    for (short, long), indices in by_shape.items():
        wide = jnp.stack([matrices[i] if matrices[i].shape[0] == short else matrices[i].T for i in indices])
        done = newton_schulz(wide) * (RMS_OF_ADAM * math.sqrt(long))
        for i, matrix in zip(indices, done, strict=True):
            results[i] = matrix if matrices[i].shape[0] == short else matrix.T
    return results


def newton_schulz(wide: jax.Array) -> jax.Array:
    """Moves the singular values of (matrices, m, n), m <= n, close to 1, by a polynomial that needs only products."""
    a, b, c = NEWTON_SCHULZ
    # The Frobenius norm bounds the largest singular value, and the iteration needs values of at most 1.
    x = wide / (jnp.linalg.norm(wide, axis=(1, 2), keepdims=True) + EPSILON)
    for _ in range(NUM_ITERATIONS):
        gram = x @ x.swapaxes(1, 2)
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_jax.initializer(
    make_optimizer, SELF_TUNING_POINT, describe=labels_of, schedule=schedules.cosine
)
data_selection = input_queue.next_batch
update_params = training_jax.update_params
