"""Views PyTorch's parameters as the tensors of the JAX model, so that Shampoo merges and cuts the same axes."""

from typing import NamedTuple

import torch
from torch import nn

from algoperf import spec

TRANSPOSED = (nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d)
CONVOLUTIONS = (nn.Conv1d, nn.Conv2d, nn.Conv3d)


class Layout(NamedTuple):
    """The tensors that one parameter consists of, and the order of their axes in JAX."""

    num_tensors: int = 1
    """Number of tensors concatenated along the first axis: projections of attention, gates of an LSTM."""
    axes: tuple[int, ...] | None = None
    """PyTorch's axes in JAX's order; None if the order is the same."""
    turned: tuple[int, ...] = ()
    """Axes, numbered as in JAX, that are reversed there."""

    def split(self, value: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """Views of the tensors in a parameter, or in a value of its shape."""
        return value.chunk(self.num_tensors) if self.num_tensors > 1 else (value,)

    def jax_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape that each tensor of a parameter has in JAX."""
        if self.num_tensors > 1:
            shape = (shape[0] // self.num_tensors, *shape[1:])
        return tuple(shape) if self.axes is None else tuple(shape[axis] for axis in self.axes)

    def to_jax(self, tensor: torch.Tensor) -> torch.Tensor:
        """A tensor with its axes as in JAX."""
        if self.axes is not None:
            tensor = tensor.permute(self.axes)
        return tensor.flip(self.turned) if self.turned else tensor

    def from_jax(self, tensor: torch.Tensor) -> torch.Tensor:
        """The inverse of `to_jax`; contiguous."""
        if self.turned:
            tensor = tensor.flip(self.turned)
        if self.axes is not None:
            tensor = tensor.permute(sorted(range(len(self.axes)), key=self.axes.__getitem__))
        return tensor.contiguous()


def layouts_of(model: nn.Module, types: spec.ParameterTypeTree) -> list[Layout]:
    """One layout per parameter, in the order of `model.parameters()`; the model may be wrapped."""
    holders = {id(param): module for module in model.modules() for param in module.parameters(recurse=False)}
    lstms = {name.rpartition(".")[0] for name in types if "weight_ih" in name}
    layouts = []
    # Matched by order, because wrappers such as DDP put prefixes before the names.
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
    """The layout of a kernel: (*space, in, out) in JAX, reversed in space for transposed convolutions."""
    space = tuple(range(2, param.ndim))
    if not space:
        return None
    if isinstance(module, TRANSPOSED):
        return Layout(axes=(*space, 0, 1), turned=tuple(range(len(space))))
    return Layout(axes=(*space, 1, 0)) if isinstance(module, CONVOLUTIONS) else None
