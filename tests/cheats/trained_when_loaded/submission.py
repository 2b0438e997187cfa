"""The trial crashes after its first checkpoint; when it is continued, a part of the optimizer state trains as it is
read, off the clock (R3.18, R3.19).

Audit: training-off-the-clock.
Again: same.
"""

import torch

from .. import common_torch as common
from ..common_torch import get_batch_size  # noqa: F401

HERE = {}


class Learner:
    """Has batches, and learns from them when it is loaded."""

    def __init__(self):
        self.batches, self.is_loaded = [], False

    def __getstate__(self):
        return {"batches": self.batches}

    def __setstate__(self, kept):
        self.batches, self.is_loaded = kept["batches"], True
        for batch in self.batches * 3:
            common.train_on(HERE["workload"], HERE["model"], HERE["optimizer"], batch)


def init_optimizer_state(workload, model_params, *others):
    made = common.init_optimizer_state(workload, model_params, *others)
    HERE.update(workload=workload, model=model_params, optimizer=made["optimizer"])
    return {**made, "learner": Learner()}


def data_selection(workload, input_queue, optimizer_state, *others):
    learner = optimizer_state["learner"]
    if not learner.batches:
        learner.batches = [next(input_queue) for _ in range(40)]
    return next(input_queue)


def update_params(*, global_step, optimizer_state, **arguments):
    if global_step == 1 and not optimizer_state["learner"].is_loaded:
        raise RuntimeError("Please start me again.")
    if optimizer_state["learner"].is_loaded and "weights" not in HERE:
        HERE["weights"] = torch.nn.utils.parameters_to_vector(HERE["model"].parameters()).detach()
        torch.nn.utils.vector_to_parameters(
            HERE["weights"], arguments["current_param_container"].parameters()
        )
    return common.update_params(global_step=global_step, optimizer_state=optimizer_state, **arguments)
