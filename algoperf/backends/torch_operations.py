"""How many operations a training pass has, and how fast this machine can compute at best, in PyTorch."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from algoperf import machine
from algoperf.backends.base import BoundWorkload, peak_of
from algoperf.backends.torch_model import unwrap
from algoperf.spec import Batch, ModelAuxiliaryState, RandomState

SIZES = {"cpu": 1024, "cuda": 8192}
"""Of the square matrices whose product is timed, by kind of device."""


def of_pass(
    workload: BoundWorkload,
    params: torch.nn.Module,
    model_state: ModelAuxiliaryState,
    batch: Batch,
    rng: RandomState,
) -> float:
    """Operations of products and convolutions in the loss of a batch and its gradient, by PyTorch's own counter."""
    model = workload.model
    with FlopCounterMode(display=False) as counter:
        logits, _ = model.train_forward(unwrap(params), batch, model_state, rng, True, 0.0)
        model.loss(batch["targets"], logits, batch.get("weights"), 0.0)["summed"].backward()
    params.zero_grad()
    return float(counter.get_total_flops())


def peak_per_sec(device: torch.device) -> float:
    """Operations per second in a product of matrices, with all processors; the best of several."""
    size = SIZES.get(device.type, SIZES["cpu"])
    types = (torch.float32,) if device.type == "cpu" else (torch.float32, torch.bfloat16)
    num_threads = torch.get_num_threads()
    torch.set_num_threads(machine.num_cores())
    try:
        return max(_product_per_sec(device, size, dtype) for dtype in types)
    finally:
        torch.set_num_threads(num_threads)


def _product_per_sec(device: torch.device, size: int, dtype: torch.dtype) -> float:
    left, right = (torch.ones(size, size, dtype=dtype, device=device) for _ in range(2))
    out = torch.empty_like(left)

    def multiply() -> None:
        torch.mm(left, right, out=out)
        if device.type == "cuda":
            torch.cuda.synchronize(device)

    return peak_of(multiply, 2 * size**3, on_processors=device.type == "cpu")
