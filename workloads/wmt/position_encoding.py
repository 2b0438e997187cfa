"""The fixed (not trained) position encoding that both models use."""

import numpy as np


def position_table(max_len: int, width: int) -> np.ndarray:
    """(max_len, width) float32: sines in the first half of the width, cosines in the second.

    Row p holds sin(p w_i) and cos(p w_i) with w_i = 10000^(-i / (width / 2 - 1)): wavelengths from 2 pi to
    20000 pi. Source: Vaswani et al. 2017, https://arxiv.org/abs/1706.03762, section 3.5. The paper interleaves
    sines and cosines; here, as in AlgoPerf, each is one block.

    >>> position_table(256, 1024)[1, [0, 1, 512]].round(6)
    array([0.841471, 0.831686, 0.540302], dtype=float32)
    """
    half = width // 2
    frequencies = np.exp(-np.log(10_000.0) / max(half - 1, 1) * np.arange(half))
    angles = np.arange(max_len)[:, None] * frequencies
    return np.concatenate([np.sin(angles), np.cos(angles)], axis=1).astype(np.float32)
