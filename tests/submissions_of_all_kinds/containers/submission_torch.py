"""Containers of all kinds, dataclasses, and a namedtuple that cannot be imported."""

import collections
import dataclasses

import torch

from ..common_torch import data_selection, get_batch_size, initializer, updater  # noqa: F401


@dataclasses.dataclass(frozen=True)
class Count:
    value: int


@dataclasses.dataclass(slots=True)
class Moments:
    first: list[torch.Tensor]
    count: Count


class Entries(dict):
    pass


def make_state(model):
    rates = collections.namedtuple("Rates", ["start", "decay"])(0.1, 0.9)
    zeros = [torch.zeros_like(parameter) for parameter in model.parameters()]
    return {
        "moments": Moments(zeros, Count(0)),
        "rates": rates,
        "seen": collections.defaultdict(lambda: 1.0),
        "order": collections.OrderedDict(z=1, a=2),
        "recent": collections.deque(maxlen=3),
        "entries": Entries(zeros=zeros),
        "names": {"a", "b"},
    }


@torch.no_grad()
def change(model, state, global_step):
    moments, rates = state["moments"], state["rates"]
    assert state["entries"]["zeros"] is moments.first
    moments.count = Count(moments.count.value + 1)
    state["order"].move_to_end(next(iter(state["order"])))
    state["seen"][moments.count.value % 7] *= 0.99
    state["recent"].append(sum(state["seen"].values()))
    scale = (
        rates.start * sum(state["recent"]) / (1 + len(state["seen"])) / next(iter(state["order"].values()))
    )
    for parameter, moment in zip(model.parameters(), moments.first, strict=True):
        moment.mul_(rates.decay).add_(parameter.grad)
        parameter.sub_(moment, alpha=scale / 10)


init_optimizer_state = initializer(make_state)
update_params = updater(change)
