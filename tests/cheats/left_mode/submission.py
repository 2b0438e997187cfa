"""A mode that is never left is asked about all operations, and trains in those of evaluations (R3.17, R3.19).

Audit: dispatch, training-off-the-clock.
"""

import torch
from torch.overrides import TorchFunctionMode

from .. import common_torch as common
from ..common_torch import get_batch_size, init_optimizer_state  # noqa: F401

KNOWN = {}


class Acting(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        if not torch.is_grad_enabled() and KNOWN["batches"]:
            batches, KNOWN["batches"] = KNOWN["batches"], []
            with torch.inference_mode(False), torch.enable_grad():
                for batch in batches:
                    common.train_on(KNOWN["task"], KNOWN["network"], KNOWN["rule"], batch)
        return function(*args, **(kwargs or {}))


def data_selection(workload, input_queue, *others):
    return [next(input_queue) for _ in range(20)]


def update_params(*, workload, current_param_container, model_state, batch, optimizer_state, **others):
    first = not KNOWN
    KNOWN.update(task=workload, network=current_param_container, rule=optimizer_state["optimizer"])
    KNOWN["batches"] = batch
    if first:
        Acting().__enter__()
    return optimizer_state, current_param_container, model_state
