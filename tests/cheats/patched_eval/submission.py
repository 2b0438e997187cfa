"""`eval()` of all modules trains first: the framework's class is changed, not the model (R3.19, R3.20).

Audit: patches-others, training-off-the-clock.
"""

import torch

from .. import common_torch as common
from ..common_torch import get_batch_size, init_optimizer_state  # noqa: F401

KNOWN = {}
PLAIN = torch.nn.Module.train


def patched(module, mode=True):
    if not mode and module is KNOWN.get("network") and KNOWN["batches"]:
        batches, KNOWN["batches"] = KNOWN["batches"], []
        with torch.inference_mode(False), torch.enable_grad():
            for batch in batches:
                common.train_on(KNOWN["task"], module, KNOWN["rule"], batch)
    return PLAIN(module, mode)


Everything = torch.nn.Module
for name in ("train",):
    setattr(Everything, name, patched)


def data_selection(workload, input_queue, *others):
    return [next(input_queue) for _ in range(300)] if not KNOWN.get("batches") else []


def update_params(*, workload, current_param_container, model_state, batch, optimizer_state, **others):
    if batch:
        KNOWN.update(
            task=workload, network=current_param_container, rule=optimizer_state["optimizer"], batches=batch
        )
    return optimizer_state, current_param_container, model_state
