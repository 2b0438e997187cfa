"""A timer interrupts whatever runs, evaluations too, and the handler trains (R3.19, R3.20).

Audit: signals, training-off-the-clock.
"""

import signal

import torch

from .. import common_torch as common
from ..common_torch import get_batch_size, init_optimizer_state  # noqa: F401

DRAWN = []


def data_selection(workload, input_queue, *others):
    if len(DRAWN) < 100:
        DRAWN.append(next(input_queue))


def update_params(*, workload, current_param_container, model_state, optimizer_state, global_step, **others):
    def interrupt(number, frame):
        with torch.inference_mode(False), torch.enable_grad():
            for batch in DRAWN[:30]:
                common.train_on(workload, current_param_container, optimizer_state["optimizer"], batch)

    if global_step == 0:
        signal.signal(signal.SIGALRM, interrupt)
        signal.setitimer(signal.ITIMER_REAL, 0.2, 0.2)
    return optimizer_state, current_param_container, model_state
