"""Numbers of the model that both frameworks share and no variant changes; imports no framework."""

import math

EPSILON = 1e-6
"""Of normalisations, also added to the norms that queries and keys are divided by."""
INITIAL_STD = 0.02
"""Standard deviation of new weights."""
EVAL_CHUNK = 128
"""Positions of which an evaluation makes logits at a time: of 256 sequences they take 3.3 GB in bfloat16, not 26."""


def residual_std(num_layers: int) -> float:
    """Standard deviation of the new matrices that add to the residual stream, of which there are two per layer."""
    return INITIAL_STD / math.sqrt(2 * num_layers)


def initial_query_scale(seq_len: int) -> float:
    """First value of the learned factor of queries of length 1: with it, a head can attend to one of all positions.

    >>> round(initial_query_scale(1024), 4)
    19.9986
    """
    return math.log2(seq_len**2 - seq_len)
