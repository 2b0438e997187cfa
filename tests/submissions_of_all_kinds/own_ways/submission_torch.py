"""Tensors and objects that PyTorch writes in ways of its own: sparse, conjugate, on no device, layouts."""

import torch

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


def make_state(model):
    return {
        "sparse": torch.eye(3).to_sparse(),
        "conjugate": torch.ones(2, dtype=torch.complex64).conj(),
        "shape": torch.empty(3, device="meta"),
        "formats": [torch.strided, torch.channels_last],
    }


@torch.no_grad()
def change(model, state, global_step):
    state["sparse"] = state["sparse"] * 0.95
    state["conjugate"] = state["conjugate"] * (1 + 0.1j)
    assert state["formats"] == [torch.strided, torch.channels_last]
    learning_rate = 0.03 * float(state["sparse"].to_dense().sum()) + 0.01 * float(state["conjugate"].imag[0])
    for parameter in model.parameters():
        parameter -= learning_rate * parameter.grad


init_optimizer_state = initializer(make_state)
update_params = updater(change)
