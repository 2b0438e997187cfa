"""Data echoing with NadamW in PyTorch: an example of `data_selection`; see README.md."""

from collections.abc import Iterator
from typing import Any

from algoperf import spec
from reference_algorithms.data_echoing.echo import is_fresh
from reference_algorithms.nadamw.submission_torch import init_optimizer_state
from reference_algorithms.shared import training_torch
from reference_algorithms.shared.batch_sizes import get_batch_size

__all__ = ["data_selection", "get_batch_size", "init_optimizer_state", "update_params"]


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
    return next(input_queue) if is_fresh(global_step) else optimizer_state["last_batch"]


def update_params(
    *, batch: spec.Batch, optimizer_state: spec.OptimizerState, **others: Any
) -> spec.UpdateReturn:
    """One update of NadamW; remembers its batch, which is saved in checkpoints with the optimizer's state."""
    returned = training_torch.update_params(batch=batch, optimizer_state=optimizer_state, **others)
    optimizer_state["last_batch"] = batch
    return returned
