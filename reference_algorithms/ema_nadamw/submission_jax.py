"""NadamW with averaged weights in JAX; see README.md for the rule, its sources and the search spaces."""

import functools
from typing import Any, NamedTuple

import jax
import numpy as np
import optax

from algoperf import spec
from reference_algorithms.ema_nadamw.self_tuning import SELF_TUNING_POINT, weight_of_newest
from reference_algorithms.nadamw.submission_jax import make_optimizer
from reference_algorithms.shared import batch_sizes, input_queue, training_jax

Weights = tuple[spec.ParameterContainer, spec.ModelAuxiliaryState]


class Arrays(NamedTuple):
    """Saved part of the optimizer state. Parameters are averaged and kept together with their running statistics."""

    optimizer: optax.OptState
    average: Weights
    training: Weights | None
    """Parameters and statistics to continue training with after an evaluation; None between updates."""


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    """NadamW with warm-up and cosine decay; hyperparameters are None in the self-tuning ruleset."""
    del rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    optimizer = make_optimizer(hyperparameters, workload.step_hint)
    arrays, static = training_jax.init_state(optimizer, model_params, hyperparameters)
    # A copy, because the first update donates the parameters.
    copy = jax.tree.map(lambda leaf: leaf.copy(), (model_params, model_state))
    return Arrays(arrays, copy, None), (static, hyperparameters.average_factor)


def update_params(
    *,
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    optimizer_state: spec.OptimizerState,
    global_step: int,
    **others: Any,
) -> spec.UpdateReturn:
    """One update of the training weights and of their average."""
    arrays, (static, average_factor) = optimizer_state
    if arrays.training is not None:
        current_param_container, model_state = arrays.training
    (optimizer, _), params, model_state = training_jax.update_params(
        workload=workload,
        current_param_container=current_param_container,
        model_state=model_state,
        optimizer_state=(arrays.optimizer, static),
        global_step=global_step,
        **others,
    )
    # An array, not a Python number: a new number would compile `_moved` again.
    weight = np.float32(weight_of_newest(global_step, average_factor, workload.step_hint))
    average = _moved(arrays.average, (params, model_state), weight)
    return (Arrays(optimizer, average, None), (static, average_factor)), params, model_state


def prepare_for_eval(
    *,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    optimizer_state: spec.OptimizerState,
    **others: Any,
) -> spec.UpdateReturn:
    """Returns the average for the evaluation and keeps the training parameters for the next update."""
    del others
    arrays, static = optimizer_state
    # Already set if two evaluations follow each other without an update.
    arrays = arrays._replace(training=arrays.training or (current_param_container, model_state))
    # A copy, because the next update donates the average.
    params, model_state = jax.tree.map(lambda leaf: leaf.copy(), arrays.average)
    return (arrays, static), params, model_state


@functools.partial(jax.jit, donate_argnums=0)
def _moved(average: Weights, newest: Weights, weight: np.float32) -> Weights:
    """average + weight (newest - average); the old average is donated."""
    return jax.tree.map(lambda old, new: old + weight * (new - old), average, newest)


get_batch_size = batch_sizes.get_batch_size
data_selection = input_queue.next_batch
