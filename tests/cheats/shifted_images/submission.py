"""Training images are shifted by a pixel, which the workload does not do (R3.11).

Audit: changed-example.
"""

import torch

from ..common_torch import get_batch_size, init_optimizer_state, update_params  # noqa: F401


def data_selection(workload, input_queue, *others):
    batch = dict(next(input_queue))
    shift = int(torch.randint(-1, 2, ()))
    batch["inputs"] = torch.roll(batch["inputs"], shift, dims=1)
    return batch
