"""The usual data selection: every batch of the queue once, in order; for both frameworks."""

from collections.abc import Iterator

from algoperf import spec


def next_batch(
    workload: spec.Workload,
    input_queue: Iterator[spec.Batch],
    optimizer_state: spec.OptimizerState,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    global_step: int,
    rng: spec.RandomState,
) -> spec.Batch:
    """The next batch of the queue; the `data_selection` of algorithms that do not choose their data."""
    del workload, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
    return next(input_queue)
