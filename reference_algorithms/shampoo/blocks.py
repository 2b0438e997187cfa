"""Which tensors have preconditioners, and how they are cut into blocks; imports no framework."""

import functools
import itertools
import math
from typing import NamedTuple

from reference_algorithms.shampoo.self_tuning import Settings

Shape = tuple[int, ...]


class Block(NamedTuple):
    """A block of a merged tensor: its shape, and its slices in the tensor."""

    shape: Shape
    place: tuple[slice, ...]


def is_preconditioned(shape: Shape, settings: Settings) -> bool:
    """Whether a tensor has preconditioners: not with a very long axis, nor a single number, whose step is a sign."""
    return math.prod(shape) > 1 and max(shape) <= settings.largest_dimension


def merged_shape(shape: Shape, settings: Settings) -> Shape:
    """The shape after merging neighbouring axes from left to right while their product is small, without sizes of 1.

    >>> merged_shape((3, 3, 64, 128), Settings(merge_up_to=4096))
    (576, 128)
    """
    merged = [1]
    for size in shape:
        if merged[-1] * size <= settings.merge_up_to:
            merged[-1] *= size
        else:
            merged.append(size)
    return tuple(size for size in merged if size > 1)


# Cached: PyTorch asks for the blocks of every tensor at every update.
@functools.cache
def blocks_of(shape: Shape, settings: Settings) -> tuple[Block, ...]:
    """The blocks of a tensor that has been reshaped to its merged shape.

    >>> [block.shape for block in blocks_of((5, 2), Settings(block_size=3, merge_up_to=5))]
    [(3, 2), (2, 2)]
    """
    sides = [
        [
            slice(begin, min(begin + settings.block_size, size))
            for begin in range(0, size, settings.block_size)
        ]
        for size in merged_shape(shape, settings)
    ]
    return tuple(
        Block(tuple(side.stop - side.start for side in place), place) for place in itertools.product(*sides)
    )
