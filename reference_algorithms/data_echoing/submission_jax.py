"""Data echoing with NadamW in JAX: an example of `data_selection`; see README.md."""

from typing import Any

from algoperf import spec
from reference_algorithms.data_echoing.echo import echoing
from reference_algorithms.nadamw import submission_jax as nadamw
from reference_algorithms.shared import batch_sizes


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    """NadamW's state, and the batch of the last update."""
    arrays, static = nadamw.init_optimizer_state(workload, model_params, model_state, hyperparameters, rng)
    return (arrays, None), static


def last_batch(optimizer_state: spec.OptimizerState) -> spec.Batch:
    """The batch that `update_params` stored."""
    (_, batch), _ = optimizer_state
    return batch


def update_params(
    *, batch: spec.Batch, optimizer_state: spec.OptimizerState, **others: Any
) -> spec.UpdateReturn:
    """One update of NadamW; remembers its batch."""
    (arrays, _), static = optimizer_state
    (arrays, static), params, model_state = nadamw.update_params(
        batch=batch, optimizer_state=(arrays, static), **others
    )
    # In the optimizer state, because only that is saved: a resumed run may have to repeat the batch.
    return ((arrays, batch), static), params, model_state


get_batch_size = batch_sizes.get_batch_size
data_selection = echoing(last_batch)
