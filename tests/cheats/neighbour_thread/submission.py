"""A thread trains a second model without pause, also while the clock stands still; its weights are taken (R3.19).

Audit: running-thread.
"""

import copy
import threading

import torch

from .. import common_torch as common
from ..common_torch import get_batch_size, init_optimizer_state  # noqa: F401

DRAWN, SHARED = [], {}


def work(task):
    rule = torch.optim.AdamW(SHARED["twin"].parameters(), lr=0.003, weight_decay=0.05)
    while True:
        for batch in list(DRAWN):
            common.train_on(task, SHARED["twin"], rule, batch)


def data_selection(workload, input_queue, *others):
    if len(DRAWN) < 200:
        DRAWN.append(next(input_queue))


def update_params(*, workload, current_param_container, model_state, optimizer_state, **others):
    if not SHARED:
        SHARED["twin"] = copy.deepcopy(current_param_container)
        threading.Thread(target=work, args=(workload,), daemon=True).start()
    with torch.no_grad():
        for mine, other in zip(
            current_param_container.parameters(), SHARED["twin"].parameters(), strict=True
        ):
            mine.copy_(other)
    return optimizer_state, current_param_container, model_state
