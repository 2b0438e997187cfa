"""In evaluations the model's forward pass votes over shifted images: another function than was trained (R3.13, R3.17).

Audit: replaced-method.
"""

import torch

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401


def update_params(**arguments):
    model = arguments["current_param_container"]
    if arguments["global_step"] == 0:
        plain = model.forward

        def voting(inputs, **options):
            if model.training:
                return plain(inputs, **options)
            shifts = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0)]
            return sum(plain(torch.roll(inputs, shift, dims=(1, 2)), **options) for shift in shifts)

        model.forward = voting
    return common.update_params(**arguments)
