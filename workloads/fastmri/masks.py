"""Masks: the k-space columns that are kept, a block in the centre and random ones around it.

A mask is the same for all rows of a slice, so it is a list of columns. Evaluation masks equal AlgoPerf's bit for bit,
because the targets were set with them. Training masks depend only on the run's seed and the slice.
"""

import functools

import numpy as np

# Philox4x32-10; Salmon et al. 2011, https://doi.org/10.1145/2063384.2063405.
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_KEY_STEPS = (0x9E3779B9, 0xBB67AE85)
_NUM_ROUNDS = 10
# TensorFlow's stateless generators scramble their seed with this key into a key and half of a counter.
_SCRAMBLE_KEY = (0x3EC8F720, 0x02461E29)

# 'mask' in ASCII. The third word of the seed keeps these draws apart from those of the epochs' orders.
_MASK_STREAM = 0x6D61736B


def philox(key: tuple[int, int], counters: np.ndarray) -> np.ndarray:
    """Philox4x32-10: (blocks, 4) uint32 counters -> (blocks, 4) uint32 random words.

    >>> philox((0, 0), np.zeros((1, 4), np.uint32)).tolist() == [[0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8]]
    True
    """
    words = [counters[:, column].astype(np.uint64) for column in range(4)]
    low = np.uint64(0xFFFFFFFF)
    for number in range(_NUM_ROUNDS):
        keys = [
            np.uint64((first + number * step) & 0xFFFFFFFF)
            for first, step in zip(key, _KEY_STEPS, strict=True)
        ]
        first, second = words[0] * np.uint64(_MULTIPLIERS[0]), words[2] * np.uint64(_MULTIPLIERS[1])
        words = [
            (second >> np.uint64(32)) ^ words[1] ^ keys[0],
            second & low,
            (first >> np.uint64(32)) ^ words[3] ^ keys[1],
            first & low,
        ]
    return np.stack(words, axis=1).astype(np.uint32)


def tensorflow_uniform(seed: tuple[int, int], size: int) -> np.ndarray:
    """`tf.random.stateless_uniform((size,), seed)` on a CPU, bit for bit: float32 in [0, 1).

    >>> tensorflow_uniform((0, 0), 3).round(5)
    array([0.21102, 0.70601, 0.80006], dtype=float32)
    """
    halves = [word & 0xFFFFFFFF for value in seed for word in (value, value >> 32)]
    scrambled = philox(_SCRAMBLE_KEY, np.array([halves], np.uint32))[0]
    counters = np.zeros((-(-size // 4), 4), np.uint32)
    counters[:, 0] = np.arange(len(counters))
    counters[:, 2:] = scrambled[2:]
    words = philox((int(scrambled[0]), int(scrambled[1])), counters).ravel()[:size]
    # The low 23 bits are the mantissa of a number in [1, 2).
    return ((words & np.uint32(0x7FFFFF)) | np.uint32(0x3F800000)).view(np.float32) - np.float32(1)


def kept_columns(uniform: np.ndarray, center_fraction: float, acceleration: float) -> np.ndarray:
    """Sorted indices of the columns that a mask keeps.

    Args:
      uniform: (columns,) float32 draws in [0, 1), one per column.
      center_fraction: share of columns in the block around the centre, all kept. Their number is truncated, as in
        AlgoPerf (the fastMRI code rounds: 30 instead of 29 of 372).
      acceleration: the mask keeps 1 / acceleration of all columns on average.
    """
    num_columns = len(uniform)
    # float32, as in AlgoPerf's TensorFlow code, so that truncation gives the same number.
    num_center = int(np.float32(num_columns) * np.float32(center_fraction))
    first = (num_columns - num_center + 1) // 2
    share = np.float32(num_columns / acceleration - num_center) / np.float32(num_columns - num_center)
    kept = uniform < share
    kept[first : first + num_center] = True
    return np.flatnonzero(kept)


@functools.lru_cache(maxsize=64)
def eval_columns(num_columns: int, center_fraction: float, acceleration: float) -> np.ndarray:
    """The columns kept in all validation and test slices of this width: AlgoPerf's mask, with seed (0, 0)."""
    columns = kept_columns(tensorflow_uniform((0, 0), num_columns), center_fraction, acceleration)
    columns.flags.writeable = False
    return columns


def train_columns(
    seed: int, slice_index: int, num_columns: int, center_fraction: float, acceleration: float
) -> np.ndarray:
    """The columns kept in one training slice, in all epochs of runs with this seed."""
    generator = np.random.default_rng([seed, slice_index, _MASK_STREAM])
    return kept_columns(generator.random(num_columns, np.float32), center_fraction, acceleration)
