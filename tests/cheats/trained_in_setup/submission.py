"""init_optimizer_state trains the model with batches of the harness's private queue (R3.18, R3.7).

Audit: training-in-setup, private-name.
"""

import numpy as np

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, update_params  # noqa: F401


def init_optimizer_state(task, network, *others):
    state = common.init_optimizer_state(task, network, *others)
    make_queue = getattr(task, "_build" + "_input_queue")
    queue = make_queue(np.array([3, 4], np.int32), "train", None, 64)
    for _ in range(300):
        common.train_on(task, network, state["optimizer"], next(queue))
    return state
