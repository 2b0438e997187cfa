"""Evaluation of a PyTorch module that leaves no trace in it, and that nothing of the submission takes part in."""

import contextlib
import copy
from collections.abc import Callable, Iterator, Mapping
from typing import Any, cast

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
        self._layers = layers_of(self._module)
        self._passes = {kind: _passes_of(kind) for kind in map(type, self._layers.values())}

    def around(self, module: nn.Module) -> tuple[nn.Module, nn.Module]:
        """The twin with the parameters and buffers of `module`, which has no wrappers: (to be called, as made).

        The tensors are looked up each time, because a submission may put others in their places.
        """
        theirs = layers_of(module)
        for name, layer in self._layers.items():
            layer._parameters.update(theirs[name]._parameters)
            layer._buffers.update(theirs[name]._buffers)
        return self._called, self._module

    def difference(self, module: nn.Module) -> str | None:
        """What a module without wrappers computes otherwise than the workload's (R3.13), in a few words; else None.

        Looks at the kinds of its layers and at the methods that compute a pass; nothing that the submission may have
        put into the module is called. Layers and buffers beside the workload's own are not looked at.
        """
        theirs = layers_of(module)
        for name, layer in self._layers.items():
            where = f"layer {name!r}" if name else "the module"
            other = theirs.get(name)
            if other is None:
                return f"{where} is not there"
            kind = type(layer)
            if type(other) is not kind:
                return f"{where} is a {type(other).__name__}, and the workload's is a {kind.__name__}"
            replaced = [method for method in PASSES if method in vars(other)]
            if replaced:
                return f"{replaced[0]} of {where} was replaced"
            if _passes_of(kind) != self._passes[kind]:
                return f"a method of the class {kind.__name__} was replaced"
            for buffer, tensor in layer._buffers.items():
                found = other._buffers.get(buffer)
                if (found is None) != (tensor is None):
                    return f"buffer {buffer!r} of {where} is not there"
                if found is not None and type(found) is not torch.Tensor:
                    return f"buffer {buffer!r} of {where} is a {type(found).__name__}"
                if found is not None and tensor is not None and found.shape != tensor.shape:
                    return f"buffer {buffer!r} of {where} has another shape"
        return None


PASSES = ("forward", "__call__", "_call_impl", "_wrapped_call_impl")
"""Methods of a module that compute a pass."""


def _passes_of(kind: type[nn.Module]) -> Mapping[str, Callable[..., Any]]:
    return {name: getattr(kind, name) for name in PASSES}


def layers_of(module: nn.Module) -> dict[str, nn.Module]:
    """Name -> layer, the module itself under ''; as `named_modules` has them, without calling a method of theirs."""
    found: dict[str, nn.Module] = {"": module}
    waiting = [("", module)]
    while waiting:
        prefix, one = waiting.pop()
        for name, inner in vars(one)["_modules"].items():
            if inner is not None:
                found[f"{prefix}{name}"] = inner
                waiting.append((f"{prefix}{name}.", inner))
    return found


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
