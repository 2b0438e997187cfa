"""Evaluation of a PyTorch module that leaves no trace in it, and that nothing of the submission takes part in."""

import contextlib
import copy
from collections.abc import Iterator
from typing import cast

import torch
from torch import nn
from torch.nn.modules import module as torch_module

# What `register_module_forward_hook` and its siblings fill, for every module of the process.
GLOBAL_HOOKS = (
    "_global_forward_pre_hooks",
    "_global_forward_hooks",
    "_global_forward_hooks_always_called",
    "_global_forward_hooks_with_kwargs",
    "_global_backward_pre_hooks",
    "_global_backward_hooks",
)


class EvaluationTwin:
    """The workload's own module around the weights that a submission trains.

    The module that a submission has is in the mode that it wants, layer by layer, and may carry hooks and replaced
    methods; it is wrapped for several processes, too, and a wrapper copies running statistics between them in every
    pass. So evaluation does not touch it. It goes through a copy made before the submission saw the model, which has
    the same parameters and buffers, not copies of them: no memory, and nothing to keep up to date.

    Args:
      module: as the workload made it, without wrappers.
      torch_compile: whether passes run through a compiled module.
    """

    def __init__(self, module: nn.Module, torch_compile: bool):
        tensors = [*module.parameters(), *module.buffers()]
        self._module = copy.deepcopy(module, memo={id(tensor): tensor for tensor in tensors}).eval()
        # Its annotation knows of functions only.
        self._called = cast(nn.Module, torch.compile(self._module)) if torch_compile else self._module

    def around(self, module: nn.Module) -> tuple[nn.Module, nn.Module]:
        """The twin with the parameters and buffers of `module`, which has no wrappers: (to be called, as made).

        The tensors are looked up each time, because a submission may put others in their places.
        """
        theirs = dict(module.named_modules(remove_duplicate=False))
        for name, layer in self._module.named_modules(remove_duplicate=False):
            layer._parameters.update(theirs[name]._parameters)
            layer._buffers.update(theirs[name]._buffers)
        return self._called, self._module


@contextlib.contextmanager
def undisturbed(device: torch.device) -> Iterator[None]:
    """Without gradients, automatic mixed precision and hooks for all modules, which are as before afterwards."""
    hooks = [getattr(torch_module, name) for name in GLOBAL_HOOKS]
    kept = [dict(registered) for registered in hooks]
    try:
        for registered in hooks:  # In place: whoever registered one removes it from this very dictionary.
            registered.clear()
        with torch.inference_mode(), torch.autocast(device.type, enabled=False):
            yield
    finally:
        for registered, before in zip(hooks, kept, strict=True):
            registered.update(before)


@contextlib.contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """All layers in evaluation mode; afterwards each in its own again."""
    modes = [(layer, layer.training) for layer in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for layer, mode in modes:
            layer.training = mode
