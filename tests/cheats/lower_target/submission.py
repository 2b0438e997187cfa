"""The target is lowered in the facts of the workload (R3.17).

Audit: patches-harness, harness-attribute.
"""

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, update_params  # noqa: F401


def init_optimizer_state(task, *others):
    facts = vars(task)["spec"]
    for split in ("validation", "test"):
        object.__setattr__(facts, split + "_target_value", 0.5)
    return common.init_optimizer_state(task, *others)
