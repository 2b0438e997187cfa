"""Messages between PyTorch processes: by Gloo where all take part, by torchrun's key-value store at any time."""

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
        # A second connection to the store, because the thread that watches for failures uses it.
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

    def gather_on_first(self, value: T) -> list[T] | None:
        """As `gather`, for what is large: only process 0 gets the values, the others None."""
        is_first = dist.get_rank() == 0
        values: list[Any] | None = [None] * dist.get_world_size() if is_first else None
        dist.gather_object(value, values, dst=0)
        return values

    def announce_failure(self, reason: str) -> str:
        # The first failure wins: all processes report the same reason.
        return self._store.compare_set("failure", "", reason).decode()

    def failure(self) -> str | None:
        return self._store.get("failure").decode() if self._store.check(["failure"]) else None

    def count_departed(self, more: int = 1) -> int:
        return self._store.add("departed", more)


class MaskGenerator:
    """Gives each process of a distributed run dropout masks of its own.

    The global generator has the same state on every process, because a submission's own draws must agree. As a context
    manager around a training pass, this sets the generator to a state that depends on one draw from it and on the
    process, and restores it afterwards. So setting the global generator back to an earlier state, to repeat a pass or
    to continue a run, gives the masks of that pass again.

    Args:
      process_index: number of this process.
      device: the device whose generator draws the masks.
    """

    def __init__(self, process_index: int, device: torch.device):
        self._process_index, self._device = process_index, device
        self._own = torch.Generator(device)

    def __enter__(self) -> None:
        # On the CPU generator even for a GPU: reading a number from the device would wait for it.
        drawn = int(torch.randint(2**63 - 1, (), device="cpu"))
        seed = np.random.SeedSequence(drawn, spawn_key=(self._process_index,)).generate_state(1, np.uint64)[0]
        self._before = self._get_state()
        # Halved, because `manual_seed` takes signed 64-bit numbers.
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
