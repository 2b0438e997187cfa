"""What is logged is an object that trains when the harness makes a number of it, in the time for logging (R3.19).

Audit: training-off-the-clock.
"""

import torch

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401

DRAWN = []


class Eager:
    def __init__(self, arguments):
        self.arguments = arguments

    def __float__(self):
        with torch.enable_grad():
            for batch in DRAWN[-40:]:
                common.update_params(**{**self.arguments, "batch": batch})
        return 0.0


def update_params(**arguments):
    DRAWN.append(arguments["batch"])
    logger = arguments["workload"].metrics_logger
    if logger is not None:
        logger.append_scalar_metrics({"progress": Eager(arguments)}, arguments["global_step"])
    return arguments["optimizer_state"], arguments["current_param_container"], arguments["model_state"]
