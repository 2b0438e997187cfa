"""Memory of batches that is used again once its arrays are no longer referenced.

The kernel provides new memory page by page and clears it first: for a batch of 20 s utterances that takes twice as
long as filling it.
"""

import math
import sys
import threading

import numpy as np

ALIGNMENT = 64  # Bytes. JAX on a CPU uses arrays with this alignment without a copy.


class BufferPool:
    """Makes float32 arrays from recycled memory where possible.

    Code that still uses an array (also a framework that has not copied it yet) has a reference to it or to a view, and
    each of these refers to the memory block. So a block without other references is free.

    Args:
      limit: number of blocks that are kept; further arrays get new memory.
    """

    def __init__(self, limit: int = 16):
        self._limit = limit
        self._blocks: list[np.ndarray] = []
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """An array of this shape with arbitrary content."""
        num_bytes = 4 * math.prod(shape)
        with self._lock:
            block = self._free_block(num_bytes)
            start = -block.ctypes.data % ALIGNMENT
            return block[start : start + num_bytes].view(np.float32).reshape(shape)

    def _free_block(self, num_bytes: int) -> np.ndarray:
        size = num_bytes + ALIGNMENT
        for place in range(len(self._blocks)):
            if len(self._blocks[place]) == size and _num_references(self._blocks, place) == _UNUSED:
                return self._blocks[place]
        block = np.empty(size, np.uint8)
        if len(self._blocks) < self._limit:
            self._blocks.append(block)
        return block


def _num_references(blocks: list[np.ndarray], place: int) -> int:
    return sys.getrefcount(blocks[place])


# Reference count of a block that only the list refers to. Measured, because it depends on how Python passes
# arguments.
_UNUSED = _num_references([np.empty(0, np.uint8)], 0)
