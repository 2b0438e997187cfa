"""Random numbers of each image: a function of seed, epoch, and position in the data set.

So a batch depends neither on the number of workers nor on earlier batches. Each use of randomness has its own columns,
so a change of one use does not change the others.
"""

from typing import TypeVar

import numpy as np

CROP_ATTEMPTS = 10
PER_ATTEMPT = 4  # Aspect ratio, height, top, left.
FLIP = CROP_ATTEMPTS * PER_ATTEMPT
NUM_OPERATIONS = 2  # RandAugment operations per image.
AUGMENT = FLIP + 1
PER_OPERATION = 4  # Operation, sign, vertical and horizontal centre.
COUNT = AUGMENT + NUM_OPERATIONS * PER_OPERATION

# 2**64 divided by the golden ratio, the increment of SplitMix64.
GOLDEN = np.uint64(0x9E3779B97F4A7C15)

Words = TypeVar("Words", np.ndarray, np.uint64)
"""64-bit words, several or one."""


def uniforms(seed: int, epoch: int, indices: np.ndarray, count: int = COUNT) -> np.ndarray:
    """(len(indices), count) numbers in [0, 1), float64.

    Counter mode of the SplitMix64 generator (Steele et al. 2014, "Fast splittable pseudorandom number generators"):
    its output function over key + counter x golden ratio.

    >>> uniforms(0, 1, np.array([5, 6]), 2).round(3).shape
    (2, 2)
    """
    with np.errstate(over="ignore"):  # Arithmetic is modulo 2**64.
        key = mix(np.uint64(seed) + GOLDEN)
        key = mix(key ^ np.uint64(epoch + 1) * GOLDEN)
        keys = mix(key ^ (np.asarray(indices).astype(np.uint64) + np.uint64(1)) * GOLDEN)
        counters = np.arange(1, count + 1, dtype=np.uint64) * GOLDEN
        bits = mix(keys[:, None] + counters)
    # The upper 53 bits, as many as a float64 has.
    return (bits >> np.uint64(11)).astype(np.float64) * 2.0**-53


def mix(state: Words) -> Words:
    """The output function of SplitMix64 on uint64."""
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return state ^ (state >> np.uint64(31))
