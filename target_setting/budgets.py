"""Simulated tuning budgets: from n results of a random search, how good is the best of k trials?

Source: https://arxiv.org/abs/2306.07179, section 2.3.2 (the simulation); the exact distribution follows from the
order statistics of k draws with replacement.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from algoperf.spec import UsageError

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
BATCH_BYTES = 2**27


def best_of_k_weights(num_results: int, budget: int) -> np.ndarray:
    """(num_results,) probability that the best of `budget` draws with replacement is result i, sorted best first.

        P(best is result i) = ((n - i + 1) / n)^k - ((n - i) / n)^k,   i = 1 … n

    >>> best_of_k_weights(2, 2)
    array([0.75, 0.25])
    """
    survival = (np.arange(num_results, -1, -1) / num_results) ** budget
    return survival[:-1] - survival[1:]


def exact_quantiles(sorted_costs: np.ndarray, budget: int, levels: Sequence[float]) -> np.ndarray:
    """(levels,) quantiles of the best of `budget` draws: the first value at which the distribution reaches a level.

    Level 0.05 is good luck and 0.95 bad luck, whatever the metric: costs are sorted best first.
    """
    reached = 1 - (np.arange(len(sorted_costs) - 1, -1, -1) / len(sorted_costs)) ** budget
    positions = np.searchsorted(reached, np.asarray(levels) - 1e-12)
    return sorted_costs[np.minimum(positions, len(sorted_costs) - 1)]


def simulate(costs: np.ndarray, budget: int, num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """(num_samples,) the least of `budget` costs, drawn with replacement, repeated."""
    per_batch = max(1, BATCH_BYTES // (8 * budget))
    parts = []
    for start in range(0, num_samples, per_batch):
        size = (min(per_batch, num_samples - start), budget)
        parts.append(costs[rng.integers(len(costs), size=size)].min(axis=1))
    return np.concatenate(parts)


def order_statistics(samples: np.ndarray, levels: Sequence[float]) -> np.ndarray:
    """(levels,) the samples at which the empirical distribution reaches each level; infinite ones are samples too."""
    positions = np.ceil(np.asarray(levels) * len(samples) - 1e-9).astype(int) - 1
    return np.sort(samples)[np.maximum(positions, 0)]


@dataclass(frozen=True, eq=False)
class SimulatedBudget:
    """The best of k trials, as costs."""

    budget: int
    simulated: np.ndarray
    """(quantiles,) at `QUANTILES`."""
    exact: np.ndarray
    """(quantiles,) at `QUANTILES`."""


def simulate_budgets(
    costs: np.ndarray, budgets: Sequence[int], *, num_samples: int = 10_000, seed: int = 0
) -> list[SimulatedBudget]:
    """Quantiles of the best of k trials for each budget k, simulated and exact.

    Args:
      costs: (n,) results of the sweep, lower is better; infinite where a trial has none, which is worst.
      budgets: numbers of trials; each at least 1.
      num_samples: repetitions of the simulation.
      seed: of the draws.

    Raises:
      UsageError: for a budget or a number of samples below 1.
    """
    for budget in budgets:
        if budget < 1:
            raise UsageError(f"--budgets must be 1 or more trials, got {budget}.")
    if num_samples < 1:
        raise UsageError(f"--num_samples must be at least 1, got {num_samples}.")
    rng, ordered = np.random.default_rng(seed), np.sort(costs)
    return [
        SimulatedBudget(
            budget,
            order_statistics(simulate(costs, budget, num_samples, rng), QUANTILES),
            exact_quantiles(ordered, budget, QUANTILES),
        )
        for budget in budgets
    ]
