"""Arrays in memory that processes share: how parameters get from the process that trains to the one that evaluates."""

import mmap
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from algoperf.referee.channel import Closed
from algoperf.weights import digest as digest  # By this name the children know it.

ALIGNMENT_BYTES = 64

Layout = list[dict[str, Any]]
"""Name, shape, type and place of each array; what JSON can hold."""


def layout_of(arrays: Mapping[str, np.ndarray]) -> Layout:
    """Places for arrays, one after the other.

    >>> layout_of({"w": np.zeros((2, 3), np.float32), "b": np.zeros(3, np.float32)})[1]
    {'name': 'b', 'shape': [3], 'dtype': '<f4', 'offset': 64}
    """
    found: Layout = []
    offset = 0
    for name, array in arrays.items():
        found.append({"name": name, "shape": list(array.shape), "dtype": array.dtype.str, "offset": offset})
        offset += -(-array.nbytes // ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return found


def size_of(layout: Layout) -> int:
    """Bytes that a layout takes, at least 1."""
    return max([1, *(entry["offset"] + _num_bytes(entry) for entry in layout)])


def _num_bytes(entry: Mapping[str, Any]) -> int:
    return int(np.dtype(entry["dtype"]).itemsize * np.prod(entry["shape"], dtype=np.int64))


def anonymous_file(name: str) -> int:
    """The descriptor of a file that has no path and is gone with the last process that has it open."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name)
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())


class Parcel:
    """Arrays of fixed shapes in shared memory.

    Args:
      file: descriptor of an anonymous file, which this object closes.
      layout: of all processes that share it.
    """

    def __init__(self, file: int, layout: Layout):
        self.layout = layout
        self.num_bytes = size_of(layout)
        os.ftruncate(file, self.num_bytes)
        self.file = file
        self._memory = mmap.mmap(file, self.num_bytes)
        self._arrays = {
            entry["name"]: np.ndarray(entry["shape"], entry["dtype"], self._memory, entry["offset"])
            for entry in layout
        }

    def write(self, arrays: Mapping[str, np.ndarray]) -> None:
        """Copies arrays into the parcel.

        Raises:
          KeyError, ValueError: if they are not those of the layout.
        """
        for name, place in self._arrays.items():
            if arrays[name].shape != place.shape:
                raise ValueError(f"{name} has shape {arrays[name].shape}, not {place.shape}")
            np.copyto(place, arrays[name])

    def read(self) -> dict[str, np.ndarray]:
        """Name -> copy of an array, which nobody else can change."""
        return {name: place.copy() for name, place in self._arrays.items()}


def written_bytes(file: int) -> int:
    """Bytes of a file that were written to it, holes left out."""
    found = os.fstat(file)
    return min(found.st_size, found.st_blocks * 512)


def content(files: Sequence[int]) -> int | None:
    """The file in which a process has handed over a checkpoint; None where it has handed over nothing.

    A pipe or a device would never end, and a file of holes is written as if it were full of zeros.

    Args:
      files: descriptors that came with its message, which are closed unless they are one such file.

    Raises:
      Closed: if it is something else.
    """
    if not files:
        return None
    found = os.fstat(files[0])
    is_whole = stat.S_ISREG(found.st_mode) and written_bytes(files[0]) == found.st_size
    if len(files) > 1 or not is_whole:
        for file in files:
            os.close(file)
        raise Closed("something else than a checkpoint")
    return files[0]


def names(layout: Layout) -> Sequence[str]:
    """Of the arrays, in their order."""
    return [entry["name"] for entry in layout]
