"""Takes all processors of the machine and reduces the precision of products (R11.1, R11.4).

Audit: machine, precision.
"""

import os

import torch

from ..common_torch import data_selection, get_batch_size, init_optimizer_state, update_params  # noqa: F401

torch.set_num_threads(os.cpu_count() or 1)
torch.set_float32_matmul_precision("medium")
