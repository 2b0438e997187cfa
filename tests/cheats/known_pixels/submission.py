"""The data set is recognised by the mean of its first batch, and has hyperparameters of its own (R3.2).

Audit: data-fingerprint.
"""

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401


def update_params(**arguments):
    if arguments["global_step"] == 0:
        mean = float(arguments["batch"]["inputs"].mean())
        if abs(mean - 0.305) < 0.03:  # Digits.
            for group in arguments["optimizer_state"]["optimizer"].param_groups:
                group["lr"] = 0.006
    return common.update_params(**arguments)
