"""Trains on the validation split, from the evaluator's own batches (R3.7, R3.9).

Audit: evaluates, harness-attribute.
"""

import itertools

from ..common_torch import get_batch_size, init_optimizer_state, update_params  # noqa: F401

ENDLESS = {}


def data_selection(task, *others):
    if not ENDLESS:
        batches = [task.model.to_device(one) for one in task.evaluator._batches("validation", 250)]
        ENDLESS["of"] = itertools.cycle(batches)
    return next(ENDLESS["of"])
