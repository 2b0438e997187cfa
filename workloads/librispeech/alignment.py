"""Counts utterances whose target CTC cannot align with the frames after subsampling."""

import numpy as np

from workloads.librispeech import mel

NUM_HALVINGS = 2
"""Number of convolutions with stride 2 in time."""


def num_frames(num_samples: np.ndarray, max_samples: int) -> np.ndarray:
    """Number of real frames after subsampling, for utterances padded to `max_samples`.

    A log-mel frame is real unless all its samples are padding. Every second frame is kept, twice.

    >>> num_frames(np.array([320_000, 16_000, 1]), 320_000)
    array([500,  25,   1])
    """
    frames = np.minimum(-(-num_samples // mel.HOP), mel.num_frames(max_samples))
    for _ in range(NUM_HALVINGS):
        frames = -(-frames // 2)
    return frames


def num_needed(tokens: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Number of frames that each target needs: one per token, and a blank between equal neighbours.

    Args:
      tokens: (total,) ids of all targets, concatenated.
      lengths: (targets,) number of tokens of each target, at least 1.

    >>> num_needed(np.array([5, 5, 2, 7, 2]), np.array([3, 2]))
    array([4, 2])
    """
    repeats = np.zeros(len(tokens), np.int64)
    repeats[1:] = tokens[1:] == tokens[:-1]
    starts = np.cumsum(lengths) - lengths
    # The first token of a target has no neighbour in its own target.
    repeats[starts] = 0
    return lengths + np.add.reduceat(repeats, starts) if len(lengths) else lengths


def count_unalignable(
    num_samples: np.ndarray, tokens: np.ndarray, lengths: np.ndarray, max_samples: int
) -> int:
    """Number of utterances whose target needs more frames than the utterance has."""
    return int((num_needed(tokens, lengths) > num_frames(num_samples, max_samples)).sum())
