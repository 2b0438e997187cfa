"""How often a batch is used."""

ECHO_FACTOR = 2
"""Updates per batch of the queue. Choi et al. find that 2 to 4 repeat almost as well as fresh data."""


def is_fresh(global_step: int) -> bool:
    """Whether the update after `global_step` others takes a new batch.

    >>> [is_fresh(step) for step in range(5)]
    [True, False, True, False, True]
    """
    return global_step % ECHO_FACTOR == 0
