"""The learning rate comes from a list, in a place that follows from the number of parameters (R3.2).

Audit: size-as-key.
"""

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401

RATES = [0.001, 0.002, 0.004, 0.006, 0.003, 0.005, 0.008]


def update_params(*, current_param_container, optimizer_state, **arguments):
    count = sum(one.numel() for one in current_param_container.parameters())
    for group in optimizer_state["optimizer"].param_groups:
        group["lr"] = RATES[count % 7]
    return common.update_params(
        current_param_container=current_param_container, optimizer_state=optimizer_state, **arguments
    )
