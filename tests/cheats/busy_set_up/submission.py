"""Threads keep all processors busy while the machine's speed is measured, so that more time is allowed later, which a
slow state_dict() then uses (R3.18, R3.19).

Audit: kept-thread.
"""

import threading

import torch

from ..common_torch import data_selection, get_batch_size, update_params  # noqa: F401

ENDS = threading.Event()


def keep_busy():
    table = torch.rand(300, 300)
    while not ENDS.is_set():
        table = torch.softmax(table @ table, 0)


class Thinks:
    """Works as long as it may when it is saved."""

    def state_dict(self):
        table = torch.rand(300, 300)
        for _ in range(20):
            table = torch.softmax(table @ table, 0)
        return {}

    def load_state_dict(self, state):
        pass


def init_optimizer_state(workload, model_params, *others):
    threads = [threading.Thread(target=keep_busy) for _ in range(4)]
    for one in threads:
        one.start()
    ENDS.wait(3)
    ENDS.set()
    for one in threads:
        one.join(9)
    return {
        "optimizer": torch.optim.AdamW(model_params.parameters(), lr=0.003, weight_decay=0.05),
        "slow": Thinks(),
    }
