"""A parameter's data become a tensor whose class is asked about every operation, those of evaluations too (R3.19).

Audit: tensor-class.
"""

import torch

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401

SEEN = []


class Acting(torch.Tensor):
    @classmethod
    def __torch_function__(cls, function, types, args=(), kwargs=None):
        if not torch.is_grad_enabled():
            SEEN.append(function)  # Here it could train.
        return super().__torch_function__(function, types, args, kwargs or {})


def update_params(**arguments):
    done = common.update_params(**arguments)
    if arguments["global_step"] == 1:
        last = list(done[1].parameters())[-1]
        last.data = last.data.as_subclass(Acting)
    return done
