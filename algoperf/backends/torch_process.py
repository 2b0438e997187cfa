"""What acts on every operation of PyTorch in this process, so on those of evaluations, too: modes and kernels."""

import re
from pathlib import Path

import torch
from torch.overrides import _get_current_function_mode_stack
from torch.utils._device import DeviceContext
from torch.utils._python_dispatch import _get_current_dispatch_mode_stack

OF_PYTORCH = "aten"
ONLY_SHAPES = "Meta"
"""Dispatch key under which PyTorch itself registers most functions from Python: they compute shapes and no numbers."""
INSTALLED = str(Path(torch.__file__).parent)
FOR_ALL = torch.library.__file__
"""Its functions register for whoever calls them, and are noted as the place."""


def tampering() -> str | None:
    """What somebody has left there, in a few words; None where there is nothing.

    `torch.set_default_device` is nothing, nor is a kernel that PyTorch has registered itself, some of them late.
    Kernels of operators that a library has added are its own affair.
    """
    # PyTorch has no public names for what is active, only for entering and leaving it.
    modes = [*_get_current_function_mode_stack(), *_get_current_dispatch_mode_stack()]
    active = [type(mode).__name__ for mode in modes if type(mode) is not DeviceContext]
    if active:
        return f"it has left {active[0]} active, which is asked about every operation"
    for name in list(torch.library._impls):  # 'aten/relu/CPU'
        namespace, operator, key = name.split("/", 2)
        if namespace == OF_PYTORCH and key != ONLY_SHAPES and _is_of_others(operator, key):
            return f"it has replaced the kernel of {OF_PYTORCH}::{operator} for {key}"
    return None


def _is_of_others(operator: str, key: str) -> bool:
    """Whether a file of Python outside PyTorch has registered a kernel: PyTorch notes which one did."""
    told = torch._C._dispatch_dump(f"{OF_PYTORCH}::{operator}")
    places = re.findall(
        rf"^{re.escape(key)}(?: \(inactive\))?: registered at (.+?):\d+ ::", told, re.MULTILINE
    )
    return any(
        place == FOR_ALL or (place.endswith(".py") and not place.startswith(INSTALLED)) for place in places
    )
