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


MAX_TRIALS = 10_000
MAX_SAMPLES = 1_000_000
"""Beyond these a typing error would keep the machine busy for hours."""


def check_num_samples(num_samples: int) -> None:
    """Raises UsageError for fewer samples than one, or more than anybody needs."""
    if not 1 <= num_samples <= MAX_SAMPLES:
        raise UsageError(f"--num_samples must be at least 1 and at most {MAX_SAMPLES}, got {num_samples}.")


def check_num_trials(flag: str, num_trials: int) -> None:
    """Raises UsageError for a number of trials that cannot be meant; `flag` without its dashes."""
    if not 1 <= num_trials <= MAX_TRIALS:
        raise UsageError(f"--{flag} must be at least 1 and at most {MAX_TRIALS}, got {num_trials}.")


def check_seed(seed: int) -> None:
    """Raises UsageError for a seed of the sampling that numpy does not take."""
    if seed < 0:
        raise UsageError(f"--seed must be 0 or more, got {seed}.")
