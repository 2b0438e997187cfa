"""PyTorch's parameters as the tensors that a JAX model has: the axes' order decides what is merged and cut."""

from typing import NamedTuple

import torch
from torch import nn

from algoperf import spec

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Layout(NamedTuple):
    """How a parameter consists of tensors, and how their axes lie in JAX."""

    num_tensors: int = 1
    """Tensors that lie one upon the other: projections of attention, gates of an LSTM."""
    axes: tuple[int, ...] | None = None
    """Axes in JAX's order; None is the order as it is."""
    turned: tuple[int, ...] = ()
    """Axes, numbered as in JAX, that run backwards there."""

    def split(self, value: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """The tensors that a parameter, or something of its shape, consists of: views."""
        return value.chunk(self.num_tensors) if self.num_tensors > 1 else (value,)

    def jax_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape in JAX of each tensor of a parameter."""
        if self.num_tensors > 1:
            shape = (shape[0] // self.num_tensors, *shape[1:])
        return tuple(shape) if self.axes is None else tuple(shape[axis] for axis in self.axes)

    def to_jax(self, tensor: torch.Tensor) -> torch.Tensor:
        """One of the tensors with the axes of JAX."""
        if self.axes is not None:
            tensor = tensor.permute(self.axes)
        return tensor.flip(self.turned) if self.turned else tensor

    def from_jax(self, tensor: torch.Tensor) -> torch.Tensor:
        """What `to_jax` undid, contiguous."""
        if self.turned:
            tensor = tensor.flip(self.turned)
        if self.axes is not None:
            tensor = tensor.permute(sorted(range(len(self.axes)), key=self.axes.__getitem__))
        return tensor.contiguous()


def layouts_of(model: nn.Module, types: spec.ParameterTypeTree) -> list[Layout]:
    """One layout for every parameter, in the order of `model.parameters()`; wrappers of the model do not matter."""
    holders = {id(param): module for module in model.modules() for param in module.parameters(recurse=False)}
    lstms = {name.rpartition(".")[0] for name in types if "weight_ih" in name}
    layouts = []
    # Wrappers put prefixes before names, but keep the order.
    for name, param in zip(types, model.parameters(), strict=True):
        module = name.rpartition(".")[0]
        num_tensors = 4 if module in lstms else _num_projections(name)
        is_matrix = param.ndim == 2 and (num_tensors > 1 or isinstance(holders[id(param)], nn.Linear))
        layout = _convolution(param, holders[id(param)]) or Layout(num_tensors, (1, 0) if is_matrix else None)
        layouts.append(layout)
    return layouts


def _num_projections(name: str) -> int:
    if "in_proj" in name or "qkv_proj" in name:
        return 3
    return 2 if "kv_proj" in name else 1


def _convolution(param: nn.Parameter, module: nn.Module) -> Layout | None:
    """Kernels are (*space, in, out) in JAX, those of transposed convolutions turned round."""
    space = tuple(range(2, param.ndim))
    if not space:
        return None
    if isinstance(module, TRANSPOSED):
        return Layout(axes=(*space, 0, 1), turned=tuple(range(len(space))))
    return Layout(axes=(*space, 1, 0)) if isinstance(module, CONVOLUTIONS) else None
