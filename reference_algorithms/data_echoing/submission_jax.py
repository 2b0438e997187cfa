"""Data echoing with NadamW in JAX: an example of `data_selection`; see README.md."""

from collections.abc import Iterator
from typing import Any

from algoperf import spec
from reference_algorithms.data_echoing.echo import is_fresh
from reference_algorithms.nadamw import submission_jax as nadamw
from reference_algorithms.shared import training_jax
from reference_algorithms.shared.batch_sizes import get_batch_size

__all__ = ["data_selection", "get_batch_size", "init_optimizer_state", "update_params"]


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    """NadamW's state and the batch of the last update, which is saved in checkpoints with it."""
    arrays, static = nadamw.init_optimizer_state(workload, model_params, model_state, hyperparameters, rng)
    return (arrays, None), static


def data_selection(
    workload: spec.Workload,
    input_queue: Iterator[spec.Batch],
    optimizer_state: spec.OptimizerState,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    global_step: int,
    rng: spec.RandomState,
) -> spec.Batch:
    """The next batch of the queue, or once more the last one."""
    del workload, current_param_container, model_state, hyperparameters, rng
    (_, last_batch), _ = optimizer_state
    return next(input_queue) if is_fresh(global_step) else last_batch


def update_params(
    *, batch: spec.Batch, optimizer_state: spec.OptimizerState, **others: Any
) -> spec.UpdateReturn:
    """One update of NadamW; remembers its batch."""
    (arrays, _), static = optimizer_state
    (arrays, static), params, model_state = training_jax.update_params(
        batch=batch, optimizer_state=(arrays, static), **others
    )
    return ((arrays, batch), static), params, model_state
