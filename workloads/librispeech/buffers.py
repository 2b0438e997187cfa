"""Memory of batches that is used again once nobody holds the arrays in it.

The kernel hands out fresh memory page by page and clears it first: for a batch of 20 s utterances that takes two times
as long as filling it.
"""

import math
import sys
import threading

import numpy as np

ALIGNMENT = 64  # Bytes; so aligned, JAX on CPU uses an array where it lies.


class BufferPool:
    """Makes float32 arrays, of recycled memory where it can.

    Whoever still uses an array (a framework that has not copied it yet, too) holds a reference to it or to a view of
    it, and each of these one to the memory itself. So memory without other references is free.

    Args:
      limit: blocks that are kept; arrays beyond them get memory of their own.
    """

    def __init__(self, limit: int = 16):
        self._limit = limit
        self._blocks: list[np.ndarray] = []
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...]) -> np.ndarray:
        """An array with any content."""
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


# Of what only the list holds; counted, because how Python passes an argument decides on it.
_UNUSED = _num_references([np.empty(0, np.uint8)], 0)
