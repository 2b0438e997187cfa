"""Sinusoidal position encoding of the Conformer; imports no framework."""

import numpy as np


def position_table(num_frames: int, width: int) -> np.ndarray:
    """(num_frames, width) float32: sines, then cosines, with frequencies from 1 to 1 / 10,000.

    Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.5; here the last frequency is exactly 1 /
      10,000.

    >>> position_table(8, 512)[7, 100].round(4)
    np.float32(0.1879)
    """
    count = width // 2
    frequencies = np.exp(-np.arange(count) * np.log(10_000) / (count - 1))
    angles = np.arange(num_frames)[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
