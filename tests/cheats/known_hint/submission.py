"""The learning rate comes from a table whose key is the number of steps of the schedule (R3.2).

Audit: fingerprint.
"""

import torch

from ..common_torch import data_selection, get_batch_size, update_params  # noqa: F401

RATES = dict([(2_000, 0.006), (52_000, 0.001)])


def init_optimizer_state(task, network, *others):
    steps = int(task.step_hint)
    if steps == 2_000 or steps in (4_000, 8_000):
        rate = RATES[steps]
    else:
        rate = 0.003
    return {"optimizer": torch.optim.NAdam(network.parameters(), lr=rate)}
