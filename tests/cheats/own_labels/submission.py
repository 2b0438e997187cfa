"""The loss is not the workload's, and its labels are smoothed by the model's own answers (R3.13, R3.14).

Audit: own-loss, calls-model.
"""

import torch
import torch.nn.functional as F

from ..common_torch import data_selection, get_batch_size, init_optimizer_state  # noqa: F401


def update_params(*, current_param_container, model_state, batch, optimizer_state, **others):
    model = current_param_container
    model.zero_grad(set_to_none=True)
    model.train()
    logits = model(batch["inputs"], dropout_rate=0.0)
    with torch.no_grad():
        answers = logits.softmax(-1)
    labels = 0.9 * F.one_hot(batch["targets"].long(), 10) + 0.1 * answers
    F.cross_entropy(logits, labels).backward()
    optimizer_state["optimizer"].step()
    return optimizer_state, model, model_state
