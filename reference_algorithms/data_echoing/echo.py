"""Data echoing: how often each batch is used, the same in both frameworks."""

from collections.abc import Callable, Iterator

from algoperf import spec

ECHO_FACTOR = 2
"""Updates per batch. In Choi et al. 2019 (arXiv 1907.05550) 2 to 4 uses are almost as good as fresh batches."""


def is_fresh(global_step: int) -> bool:
    """Whether update number `global_step` (from 0) takes a new batch.

    >>> [is_fresh(step) for step in range(5)]
    [True, False, True, False, True]
    """
    return global_step % ECHO_FACTOR == 0


def echoing(last_batch: Callable[[spec.OptimizerState], spec.Batch]) -> spec.DataSelectionFn:
    """A `data_selection` that repeats batches; `last_batch` finds the last one in the optimizer state."""

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
        """The next batch of the queue, or the last batch again."""
        del workload, current_param_container, model_state, hyperparameters, rng
        return next(input_queue) if is_fresh(global_step) else last_batch(optimizer_state)

    return data_selection
