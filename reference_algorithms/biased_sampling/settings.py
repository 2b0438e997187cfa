"""How much `data_selection` looks at, and how strongly it prefers examples with a large loss."""

POOL_BATCHES = 2
"""Batches of the queue from which one is put together."""
EVERY_STEPS = 2
"""Selecting costs a forward pass over the pool, so it is done for every so many updates only."""
EXPONENT = 1.0
"""Odds of an example are its rank in the pool to this power: 0 is uniform."""
