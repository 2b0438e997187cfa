"""Angles of the rotary position encoding; imports no framework."""

import functools

import numpy as np


@functools.lru_cache(maxsize=4)
def table(length: int, head_width: int, theta: float) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of the angle t / theta^(2i / head_width) of position t and pair i of a head.

    Both are (length, head_width / 2) float32. Source: https://arxiv.org/abs/2104.09864, with theta for its 10,000.

    >>> cos, sin = table(4, 8, 10_000.0)
    >>> cos.shape, round(float(sin[1, 0]), 4), round(float(sin[2, 1]), 4)
    ((4, 4), 0.8415, 0.1987)
    """
    # In float64, so that both frameworks get the angles rounded once.
    frequencies = theta ** (-np.arange(0, head_width, 2) / head_width)
    angles = np.arange(length)[:, None] * frequencies
    return np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
