"""The file format of prepared examples: packed rows of a fixed size, and their conversion to float32 batches.

A row is little-endian and starts at a multiple of 4 bytes:

    13 x float32   ln(max(x, 0) + 1) of the integer features
    n4 x uint32    hash buckets of the categorical features with more than 65,536 buckets, in column order
    n2 x uint16    those with 257 to 65,536 buckets
    n1 x uint8     those with at most 256 buckets
     1 x uint8     the label, 0 or 1
     0 to 3 bytes  zeros

With Criteo's bucket counts that is 52 + 32 + 20 + 8 + 1 + 3 = 116 bytes.
"""

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from algoperf.data.machine_code import compiled

NUM_DENSE = 13
NUM_CATEGORICAL = 26


@dataclasses.dataclass(frozen=True)
class RowLayout:
    """Positions of the features in a row, which follow from the numbers of hash buckets."""

    bucket_counts: tuple[int, ...]
    """Buckets of each categorical feature, each in [1, 2**32]."""

    def __post_init__(self) -> None:
        if len(self.bucket_counts) != NUM_CATEGORICAL or not all(0 < n <= 2**32 for n in self.bucket_counts):
            raise ValueError(
                f"bucket_counts must be {NUM_CATEGORICAL} numbers in [1, 2**32], got {self.bucket_counts}."
            )

    @functools.cached_property
    def widths(self) -> np.ndarray:
        """(26,) bytes of each categorical feature: 4, 2 or 1."""
        counts = np.asarray(self.bucket_counts)
        return np.where(counts > 2**16, 4, np.where(counts > 2**8, 2, 1)).astype(np.uint8)

    @functools.cached_property
    def places(self) -> np.ndarray:
        """(26,) position of each categorical feature in its row, in units of its own width."""
        places = np.zeros(NUM_CATEGORICAL, np.int64)
        offset = 4 * NUM_DENSE
        # Widest first, so that every value is aligned to its width without gaps.
        for width in (4, 2, 1):
            for column in np.flatnonzero(self.widths == width):
                places[column] = offset // width
                offset += width
        return places

    @property
    def label_place(self) -> int:
        """Position of the label in its row, in bytes."""
        return 4 * NUM_DENSE + int(self.widths.sum(dtype=np.int64))

    @property
    def row_bytes(self) -> int:
        """
        >>> RowLayout(bucket_counts=(40_000_000,) * 8 + (1000,) * 10 + (3,) * 8).row_bytes
        116
        """
        return -(-(self.label_place + 1) // 4) * 4

    @functools.cached_property
    def columns(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns of the categorical features with 4, 2 and 1 bytes, in the order in which a row stores them."""
        four, two, one = (np.flatnonzero(self.widths == width) for width in (4, 2, 1))
        return four, two, one

    def unpack(self, rows: np.ndarray, inputs: np.ndarray, targets: np.ndarray) -> None:
        """Converts packed rows to a model's inputs and targets.

        Args:
          rows: (n, row_bytes) uint8, contiguous.
          inputs: (n, 39) float32, filled: 13 integer features, 26 buckets (exact up to 2**24, then rounded).
          targets: (n, 1) float32, filled.
        """
        rows = read_only(rows)
        _unpack(
            rows.view(np.float32),
            rows.view(np.uint32),
            rows.view(np.uint16),
            rows,
            *self.columns,
            inputs,
            targets,
        )


def read_only(array: np.ndarray) -> np.ndarray:
    """A read-only view. Numba compiles a function again for writable arrays, so all callers pass read-only ones."""
    view = array.view(np.ndarray)
    view.flags.writeable = False
    return view


@compiled()
def _unpack(floats, words, halves, octets, columns_4, columns_2, columns_1, inputs, targets):
    first_2 = 2 * (NUM_DENSE + len(columns_4))
    first_1 = 2 * (first_2 + len(columns_2))
    for row in range(len(octets)):
        for column in range(NUM_DENSE):
            inputs[row, column] = floats[row, column]
        for index in range(len(columns_4)):
            inputs[row, NUM_DENSE + columns_4[index]] = words[row, NUM_DENSE + index]
        for index in range(len(columns_2)):
            inputs[row, NUM_DENSE + columns_2[index]] = halves[row, first_2 + index]
        for index in range(len(columns_1)):
            inputs[row, NUM_DENSE + columns_1[index]] = octets[row, first_1 + index]
        targets[row, 0] = octets[row, first_1 + len(columns_1)]


def layout_of(bucket_counts: Sequence[int]) -> RowLayout:
    return RowLayout(tuple(int(count) for count in bucket_counts))
