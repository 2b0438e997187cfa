"""Random generators of PyTorch and NumPy, and tensors that stay on the host."""

import numpy as np
import torch

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


def make_state(model):
    return {
        "torch": torch.Generator().manual_seed(3),
        "numpy": np.random.default_rng(4),
        "host": torch.zeros(2),
    }


@torch.no_grad()
def change(model, state, global_step):
    state["host"] += torch.rand(2, generator=state["torch"])
    for parameter in model.parameters():
        noise = torch.randn(parameter.shape, generator=state["torch"]).to(parameter.device)
        scale = state["numpy"].random() * float(state["host"][0])
        parameter.sub_(parameter.grad + 0.001 * scale * noise, alpha=0.1)


init_optimizer_state = initializer(make_state)
update_params = updater(change)
