"""A kernel of PyTorch is replaced in the whole process at the first update, for evaluations, too (R3.13, R3.17).

Audit: custom-kernel.
"""

import torch

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401

KEPT = []


def always_first(scores, axis=None, keepdim=False):
    """It could return the classes of a batch that it has seen; here it is a wrong answer that anybody notices."""
    return torch.ops.aten.max.dim(scores, axis, keepdim)[1] * 0


def update_params(**arguments):
    if not KEPT:
        KEPT.append(torch.library.Library("aten", "IMPL"))
        KEPT[0].impl("argmax", always_first, "CPU")
    return common.update_params(**arguments)
