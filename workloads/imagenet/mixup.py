"""Mixup (Zhang et al. 2018, https://arxiv.org/abs/1710.09412): blends each example with the one before it."""

import numpy as np

from workloads.imagenet.kernels import kernel

PURPOSE = 1  # Part of the seed, so that this generator differs from the others.


def share(seed: int, batch_number: int, alpha: float) -> float:
    """The weight of each example's own values in a batch: one draw from Beta(alpha, alpha)."""
    return float(np.random.default_rng([seed, PURPOSE, batch_number]).beta(alpha, alpha))


def mix_targets(targets: np.ndarray, num_classes: int, weight: float) -> np.ndarray:
    """(batch, num_classes) float32: weight x own class + (1 - weight) x class of the example before.

    >>> mix_targets(np.array([0, 2]), 3, 0.75).tolist()
    [[0.75, 0.0, 0.25], [0.25, 0.0, 0.75]]
    """
    mixed = np.zeros((len(targets), num_classes), np.float32)
    rows = np.arange(len(targets))
    mixed[rows, targets] = weight
    # `+=`: both examples may have the same class.
    mixed[rows, np.roll(targets, 1)] += np.float32(1 - weight)
    return mixed


@kernel
def mix_inputs(inputs: np.ndarray, weight: np.float32, start: int, stop: int) -> None:
    """Blends values `start` to `stop` of each example with those of the example before, in place.

    Args:
      inputs: (batch, values) float32; the example before the first is the last.
      weight: weight of the example's own values.
      start: with `stop`, the part of each example that this call changes: several threads share the work.
      stop: see `start`.
    """
    other = np.float32(1) - weight
    last = inputs[-1, start:stop].copy()
    # From the last row to the first: each row needs the unblended values of the row before.
    for row in range(len(inputs) - 1, 0, -1):
        own, before = inputs[row, start:stop], inputs[row - 1, start:stop]
        for k in range(own.shape[0]):
            own[k] = weight * own[k] + other * before[k]
    own = inputs[0, start:stop]
    for k in range(own.shape[0]):
        own[k] = weight * own[k] + other * last[k]
