"""The best of k trials, drawn with replacement from n results: the exact distribution, by order statistics."""

from collections.abc import Sequence

import numpy as np

from algoperf.spec import UsageError


def best_of_k_weights(num_results: int, k: int) -> np.ndarray:
    """(num_results,) probability that the best of k draws with replacement is result i, sorted best first.

        P(best is result i) = ((n - i + 1) / n)^k - ((n - i) / n)^k,   i = 1 … n

    >>> best_of_k_weights(2, 2)
    array([0.75, 0.25])
    """
    survival = (np.arange(num_results, -1, -1) / num_results) ** k
    return survival[:-1] - survival[1:]


def exact_quantiles(sorted_costs: np.ndarray, k: int, levels: Sequence[float]) -> np.ndarray:
    """(levels,) quantiles of the best of k draws: the first value at which the distribution reaches a level.

    Level 0.05 is good luck and 0.95 bad luck, whatever the metric: costs are sorted best first.
    """
    reached = 1 - (np.arange(len(sorted_costs) - 1, -1, -1) / len(sorted_costs)) ** k
    positions = np.searchsorted(reached, np.asarray(levels) - 1e-12)
    return sorted_costs[np.minimum(positions, len(sorted_costs) - 1)]


def check_num_samples(num_samples: int) -> None:
    """Raises UsageError for fewer samples than one."""
    if num_samples < 1:
        raise UsageError(f"--num_samples must be at least 1, got {num_samples}.")


def check_seed(seed: int) -> None:
    """Raises UsageError for a seed of the sampling that numpy does not take."""
    if seed < 0:
        raise UsageError(f"--seed must be 0 or more, got {seed}.")
