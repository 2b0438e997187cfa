"""An optimizer whose state_dict() raises, as that of Distributed Shampoo does."""

import torch

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


class Distributed(torch.optim.SGD):
    def state_dict(self):
        raise NotImplementedError("use distributed_state_dict")


def change(model, state, global_step):
    state["optimizer"].step()


init_optimizer_state = initializer(
    lambda model: {"optimizer": Distributed(model.parameters(), lr=0.1, momentum=0.9)}
)
update_params = updater(change)
