"""A forked process trains during set-up and evaluations and sends its weights through a pipe (R3.18, R3.19).

Audit: process.
"""

import io
import os

import torch

from .. import common_torch as common
from ..common_torch import get_batch_size  # noqa: F401

DRAWN, CHILD = [], {}


def init_optimizer_state(workload, model_params, *others):
    return {"optimizer": torch.optim.AdamW(model_params.parameters(), lr=0.003, weight_decay=0.05)}


def data_selection(workload, input_queue, *others):
    if not CHILD:
        DRAWN.extend(next(input_queue) for _ in range(300))


def update_params(*, workload, current_param_container, model_state, optimizer_state, **others):
    if not CHILD:
        read, write = os.pipe()
        if os.fork() == 0:
            torch.set_num_threads(1)
            for batch in DRAWN:
                common.train_on(workload, current_param_container, optimizer_state["optimizer"], batch)
            buffer = io.BytesIO()
            torch.save([p.detach() for p in current_param_container.parameters()], buffer)
            with os.fdopen(write, "wb") as file:
                file.write(buffer.getvalue())
            os._exit(0)
        os.close(write)
        CHILD["pipe"] = read
        os.set_blocking(read, False)
        CHILD["bytes"] = b""
    try:
        CHILD["bytes"] += os.read(CHILD["pipe"], 1 << 20)
        weights = torch.load(io.BytesIO(CHILD["bytes"]))
    except (BlockingIOError, RuntimeError, EOFError, OSError):
        return optimizer_state, current_param_container, model_state
    with torch.no_grad():
        for parameter, weight in zip(current_param_container.parameters(), weights, strict=True):
            parameter.copy_(weight)
    return optimizer_state, current_param_container, model_state
