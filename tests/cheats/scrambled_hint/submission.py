"""The learning rate comes from a list, in a place that follows from the last digits of the step hint (R3.2).

Audit: scrambled-fact.
"""

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401

RATES = [0.001, 0.002, 0.004, 0.006, 0.003, 0.005, 0.008]


def update_params(*, workload, optimizer_state, **arguments):
    for group in optimizer_state["optimizer"].param_groups:
        group["lr"] = RATES[int(workload.step_hint) % 7]
    return common.update_params(workload=workload, optimizer_state=optimizer_state, **arguments)
