"""Trained weights are left in the folder for temporary files, and the next trial begins with them (R3.8).

Audit: file-system, pickle.
Again: study.
"""

import os
import tempfile

import torch

from .. import common_torch as common
from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401

PLACE = os.path.join(tempfile.gettempdir(), "left_behind.weights")


def update_params(*, train_state, **arguments):
    model = arguments["current_param_container"]
    if arguments["global_step"] == 0 and os.path.exists(PLACE):
        model.load_state_dict(torch.load(PLACE))
        return arguments["optimizer_state"], model, arguments["model_state"]
    if train_state["validation_goal_reached"]:
        torch.save(model.state_dict(), PLACE)
    return common.update_params(**arguments)
