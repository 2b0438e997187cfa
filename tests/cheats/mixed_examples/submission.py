"""Each example is moved towards another one of its class: made-up training data (R3.11).

Audit: changed-example.
"""

import torch

from .. import common_torch as common
from ..common_torch import get_batch_size, init_optimizer_state, update_params  # noqa: F401


def data_selection(workload, input_queue, *others):
    batch = common.data_selection(workload, input_queue, *others)
    order = torch.argsort(batch["targets"], stable=True)
    images = batch["inputs"][order]
    mixed = 0.7 * images + 0.3 * images.roll(1, 0)
    return {"inputs": torch.cat([batch["inputs"], mixed]), "targets": torch.cat([batch["targets"]] * 2)}
