"""When `data_selection` chooses, from what, and how strongly it prefers large losses: the same in both frameworks."""

from collections.abc import Callable, Iterator

from algoperf import spec
from algoperf.data.batch import arrays

POOL_BATCHES = 2
"""Batches of the queue from which one is put together."""
EVERY_STEPS = 2
"""Selecting costs a forward pass over the pool, so it is done for every so many updates only."""
EXPONENT = 1.0
"""Odds of an example are its rank in the pool to this power: 0 is uniform."""

Choose = Callable[
    [spec.Workload, spec.ParameterContainer, spec.ModelAuxiliaryState, list[spec.Batch], spec.RandomState],
    spec.Batch,
]
"""Makes one batch of a pool of batches, with the current parameters and model state."""


def has_rows(batch: spec.Batch) -> bool:
    """Whether each array has one row per example; graphs, for example, lie one behind the other."""
    return len({len(array) for array in arrays(batch)}) == 1


def selecting(choose: Choose) -> spec.DataSelectionFn:
    """The `data_selection` that lets `choose` make one batch of several, now and then."""

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
        """A batch of examples drawn from a pool, those with a large loss more often; else the next batch."""
        del optimizer_state, hyperparameters
        first = next(input_queue)
        if global_step % EVERY_STEPS or not has_rows(first):
            return first
        pool = [first, *(next(input_queue) for _ in range(POOL_BATCHES - 1))]
        return choose(workload, current_param_container, model_state, pool, rng)

    return data_selection
