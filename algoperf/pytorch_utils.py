"""PyTorch helpers under the names that public submissions import."""

import os
from collections.abc import Iterable
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from algoperf.spec import UsageError


def pytorch_setup() -> tuple[bool, int, torch.device, int]:
    """(use_ddp, rank, device, number of CUDA devices); `use_ddp` is whether torchrun set LOCAL_RANK.

    Raises:
      UsageError: if torchrun has started more processes on this host than it has GPUs.
    """
    use_ddp = "LOCAL_RANK" in os.environ
    rank = int(os.environ["LOCAL_RANK"]) if use_ddp else 0
    has_gpu, num_gpus = torch.cuda.is_available(), torch.cuda.device_count()
    # Otherwise two processes would share a GPU, which NCCL refuses later with a message that names no cause.
    if has_gpu and rank >= num_gpus:
        raise UsageError(
            f"torchrun started {os.environ.get('LOCAL_WORLD_SIZE', rank + 1)} processes on this host, where "
            f"PyTorch sees {num_gpus} GPU(s): start one for each, with --nproc_per_node={num_gpus}."
        )
    return use_ddp, rank, torch.device(f"cuda:{rank}" if has_gpu else "cpu"), num_gpus


def pytorch_init(use_ddp: bool, rank: int, profiler: object = None) -> None:
    """Joins the process group of a distributed run (NCCL with CUDA, else Gloo) and picks the device."""
    del profiler
    if not use_ddp or dist.is_initialized():
        return
    if torch.cuda.is_available():
        # Before NCCL starts: it uses the current device, and all ranks would meet on GPU 0.
        torch.cuda.set_device(rank)
    # Gloo beside NCCL: small host objects (clock readings, metrics) are exchanged without touching the GPU.
    found = "cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo"
    store, index, count = next(dist.rendezvous("env://"))
    store = dist.PrefixStore(process_group_name(), store)
    dist.init_process_group(found, store=store, rank=index, world_size=count)


def process_group_name() -> str:
    """Name of this trial's process group; the trials of one torchrun run one after the other in groups of their own."""
    return os.environ.get("ALGOPERF_PROCESS_GROUP", "algoperf")


def sync_ddp_time(time: float, device: torch.device | None = None) -> float:
    """The largest `time` in seconds over all processes; `device` is accepted for compatibility."""
    del device
    # On the host, where Gloo reduces it: a GPU would first have to finish its queue.
    tensor = torch.tensor(time, dtype=torch.float64)
    dist.all_reduce(tensor, op=dist.ReduceOp.MAX)
    return float(tensor)


def batch_norm_layers(module: nn.Module) -> list[nn.Module]:
    """All layers of `module` that keep running statistics with a momentum."""
    return [m for m in module.modules() if hasattr(m, "running_mean") and hasattr(m, "momentum")]


def update_batch_norm_fn(module: nn.Module, update_batch_norm: bool) -> None:
    """For `module.apply`: freezes (momentum 0) or unfreezes the running statistics of one layer, as in AlgoPerf."""
    if not (hasattr(module, "running_mean") and hasattr(module, "momentum")):
        return
    layer: Any = module  # `nn.Module` declares none of these attributes.
    if not update_batch_norm and not hasattr(module, "momentum_backup"):
        # The same attribute as in AlgoPerf, whose submissions may look at it.
        layer.momentum_backup, layer.momentum = layer.momentum, 0.0
    elif update_batch_norm and hasattr(module, "momentum_backup"):
        layer.momentum = layer.momentum_backup
        del layer.momentum_backup


class FrozenRunningStatistics:
    """Within this context, training-mode passes normalise by the batch and do not change running statistics."""

    def __init__(self, layers: Iterable[nn.Module]):
        self._layers: list[Any] = list(layers)  # `nn.Module` declares no momentum.

    def __enter__(self) -> None:
        self._momenta = [layer.momentum for layer in self._layers]
        for layer in self._layers:
            layer.momentum = 0.0

    def __exit__(self, *_: object) -> None:
        for layer, momentum in zip(self._layers, self._momenta, strict=True):
            layer.momentum = momentum


class CustomDropout(nn.Module):
    """Dropout whose rate is an argument of the call."""

    def forward(self, inputs: torch.Tensor, p: float) -> torch.Tensor:
        return nn.functional.dropout(inputs, p, self.training)


class CustomDropout2d(nn.Module):
    """Dropout of whole channels whose rate is an argument of the call."""

    def forward(self, inputs: torch.Tensor, p: float) -> torch.Tensor:
        return nn.functional.dropout2d(inputs, p, self.training)


class SequentialWithDropout(nn.Sequential):
    """`nn.Sequential` that hands the rate `p` to its dropout layers."""

    # AlgoPerf's signature, which submissions know; nothing calls it as an `nn.Sequential` without a rate.
    def forward(self, inputs: torch.Tensor, p: float) -> torch.Tensor:  # type: ignore[override]
        for module in self:
            is_dropout = isinstance(module, (CustomDropout, CustomDropout2d))
            inputs = module(inputs, p) if is_dropout else module(inputs)
        return inputs
