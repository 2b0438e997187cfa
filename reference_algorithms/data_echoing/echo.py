"""How often a batch is used, the same in both frameworks."""

from collections.abc import Callable, Iterator

from algoperf import spec

ECHO_FACTOR = 2
"""Updates per batch of the queue. Choi et al. find that 2 to 4 repeat almost as well as fresh data."""


def is_fresh(global_step: int) -> bool:
    """Whether the update after `global_step` others takes a new batch.

    >>> [is_fresh(step) for step in range(5)]
    [True, False, True, False, True]
    """
    return global_step % ECHO_FACTOR == 0


def echoing(last_batch: Callable[[spec.OptimizerState], spec.Batch]) -> spec.DataSelectionFn:
    """The `data_selection` that finds the batch of the last update in the optimizer state, by `last_batch`."""

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
        return next(input_queue) if is_fresh(global_step) else last_batch(optimizer_state)

    return data_selection
