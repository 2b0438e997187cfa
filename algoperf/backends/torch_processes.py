"""What PyTorch processes tell each other: by Gloo while all listen, by the store of torchrun at any time."""

import os
from typing import Any, TypeVar

import numpy as np
import torch
import torch.distributed as dist

from algoperf import pytorch_utils

T = TypeVar("T")


class TorchExchange:
    """See `algoperf.backends.base.Exchange`; the process group exists already."""

    def __init__(self) -> None:
        # A connection of its own, because another thread uses it.
        store = dist.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), is_master=False)
        self._store = dist.PrefixStore(f"{pytorch_utils.process_group_name()}/exchange", store)

    def maximum(self, value: float) -> float:
        return pytorch_utils.sync_ddp_time(value)

    def broadcast(self, value: T) -> T:
        values = [value]
        dist.broadcast_object_list(values, src=0)
        return values[0]

    def gather(self, value: T) -> list[T]:
        values: list[Any] = [None] * dist.get_world_size()
        dist.all_gather_object(values, value)
        return values

    def announce_failure(self, reason: str) -> str:
        return self._store.compare_set("failure", "", reason).decode()

    def failure(self) -> str | None:
        return self._store.get("failure").decode() if self._store.check(["failure"]) else None

    def count_departed(self, more: int = 1) -> int:
        return self._store.add("departed", more)


class MaskGenerator:
    """Random masks of training passes in one of several processes: its rows get draws of their own.

    The global generator is the same on every process, as are a submission's own draws. As a context manager, around a
    pass, this lends it a state that depends on one draw from it and on the process. So whoever puts the state of the
    global generator back, to repeat a pass or to continue a run, gets the masks of that pass again.

    Args:
      process_index: of this process.
      device: whose generator draws the masks.
    """

    def __init__(self, process_index: int, device: torch.device):
        self._process_index, self._device = process_index, device
        self._own = torch.Generator(device)

    def __enter__(self) -> None:
        drawn = int(torch.randint(2**63 - 1, (), device="cpu"))
        seed = np.random.SeedSequence(drawn, spawn_key=(self._process_index,)).generate_state(1, np.uint64)[0]
        self._before = self._get_state()
        self._set_state(self._own.manual_seed(int(seed >> np.uint64(1))).get_state())

    def __exit__(self, *_: object) -> None:
        self._set_state(self._before)

    def _get_state(self) -> torch.Tensor:
        return (
            torch.cuda.get_rng_state(self._device) if self._device.type == "cuda" else torch.get_rng_state()
        )

    def _set_state(self, state: torch.Tensor) -> None:
        if self._device.type == "cuda":
            torch.cuda.set_rng_state(state, self._device)
        else:
            torch.set_rng_state(state)
