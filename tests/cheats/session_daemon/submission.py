"""A process that has left its parent and its session trains on without pause; its weights lie in memory that both
share (R3.19).

Audit: process, file-system.
"""

import mmap
import os

import torch

from .. import common_torch as common
from ..common_torch import get_batch_size, init_optimizer_state  # noqa: F401

DRAWN, SHARED = [], {}


def data_selection(workload, input_queue, *others):
    if not DRAWN:
        DRAWN.extend(next(input_queue) for _ in range(60))


def leave(arguments, weights):
    """Trains in a grandchild in a session of its own."""
    if os.fork():
        return os.wait()
    os.setsid()
    if os.fork():
        os._exit(0)
    torch.set_num_threads(1)
    model, optimizer = arguments["current_param_container"], arguments["optimizer_state"]["optimizer"]
    for _ in range(5):
        for batch in DRAWN:
            common.train_on(arguments["workload"], model, optimizer, batch)
            with torch.no_grad():
                torch.cat([one.flatten() for one in model.parameters()], out=weights)
    os._exit(0)


def update_params(**arguments):
    model = arguments["current_param_container"]
    if not SHARED:
        size = sum(one.numel() for one in model.parameters())
        SHARED["weights"] = torch.frombuffer(mmap.mmap(-1, 4 * size), dtype=torch.float32)
        leave(arguments, SHARED["weights"])
    if SHARED["weights"].any():
        torch.nn.utils.vector_to_parameters(SHARED["weights"].clone(), model.parameters())
    return arguments["optimizer_state"], model, arguments["model_state"]
