"""Data echoing with NadamW in PyTorch: an example of `data_selection`; see README.md."""

from typing import Any

from algoperf import spec
from reference_algorithms.data_echoing.echo import echoing
from reference_algorithms.nadamw import submission_torch as nadamw
from reference_algorithms.shared import batch_sizes


def last_batch(optimizer_state: spec.OptimizerState) -> spec.Batch:
    """The batch that `update_params` stored."""
    return optimizer_state["last_batch"]


def update_params(
    *, batch: spec.Batch, optimizer_state: spec.OptimizerState, **others: Any
) -> spec.UpdateReturn:
    """One update of NadamW; stores its batch."""
    returned = nadamw.update_params(batch=batch, optimizer_state=optimizer_state, **others)
    # In the optimizer state, because only that is saved: a resumed run may have to repeat the batch.
    optimizer_state["last_batch"] = batch
    return returned


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = nadamw.init_optimizer_state
data_selection = echoing(last_batch)
