"""Training images are moved by a column that is cut off and put on again, at random (R3.11).

Audit: changed-example.
"""

import torch

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401


def update_params(*, batch, **arguments):
    images = batch["inputs"]
    if arguments["global_step"] % 2:
        images = torch.cat([images[:, :, 1:], images[:, :, :1]], 2)
    return common.update_params(batch={**batch, "inputs": images}, **arguments)
