"""When and from which batches `data_selection` chooses examples, the same in both frameworks."""

from collections.abc import Callable, Iterator

from algoperf import spec
from algoperf.data.batch import arrays

POOL_BATCHES = 2
"""Number of batches of the queue from which one batch is chosen."""
EVERY_STEPS = 2
"""Examples are chosen at every so many updates only, because choosing costs a forward pass over the pool."""
EXPONENT = 1.0
"""The odds of an example are its loss rank in the pool to this power; 0 is uniform."""

Choose = Callable[
    [spec.Workload, spec.ParameterContainer, spec.ModelAuxiliaryState, list[spec.Batch], spec.RandomState],
    spec.Batch,
]
"""Chooses one batch from a list of batches, with the current parameters and model state."""


def has_rows(batch: spec.Batch) -> bool:
    """Whether every array has one row per example. Graph batches, for example, have concatenated nodes."""
    return len({len(array) for array in arrays(batch)}) == 1


def selecting(choose: Choose) -> spec.DataSelectionFn:
    """A `data_selection` that calls `choose` at every `EVERY_STEPS`-th update."""

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
        """The next batch, or one drawn from a pool in which examples with a large loss are more likely."""
        del optimizer_state, hyperparameters
        first = next(input_queue)
        if global_step % EVERY_STEPS or not has_rows(first):
            return first
        # Drawing more batches than are used is allowed (R3.10), and so is a forward pass for it, on the clock
        # (R3.14).
        pool = [first, *(next(input_queue) for _ in range(POOL_BATCHES - 1))]
        return choose(workload, current_param_container, model_state, pool, rng)

    return data_selection
