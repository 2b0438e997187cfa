"""Expected best result as a function of the number of trials (expected validation performance).

Sources: Dodge et al. 2019, https://arxiv.org/abs/1909.03004 (draws with replacement); Tang et al. 2020,
https://arxiv.org/abs/2004.13705 (that estimate is biased; subsets without replacement are not).
"""

from dataclasses import dataclass

import numpy as np

from algoperf.spec import UsageError
from target_setting.budgets import best_of_k_weights, exact_quantiles

CONFIDENCE = 0.95
LUCK = (0.05, 0.5, 0.95)


@dataclass(frozen=True, eq=False)
class ExpectedBest:
    """Curves over 1 … max_trials, as costs; (max_trials,) each unless said otherwise."""

    num_trials: np.ndarray
    expected: np.ndarray
    """Mean of the best of k draws with replacement."""
    unbiased: np.ndarray
    """Mean over subsets of k different results; NaN beyond their number."""
    low: np.ndarray
    high: np.ndarray
    """Bootstrap interval (95 %) of `expected`: what another sweep of the same size could have said."""
    luck: np.ndarray
    """(3, max_trials) exact 5, 50 and 95 % quantiles of the best of k draws: what one tuner may meet."""
    num_failed: int
    """Results that do not exist; in the means they count as the worst that does."""


def weights_with_replacement(num_results: int, max_trials: int) -> np.ndarray:
    """(max_trials, num_results) P(best of k is result i), sorted best first; see `budgets.best_of_k_weights`."""
    return np.stack([best_of_k_weights(num_results, k) for k in range(1, max_trials + 1)])


def weights_without_replacement(num_results: int, max_trials: int) -> np.ndarray:
    """(max_trials, num_results) the same for subsets of k different results.

        P(best is result i) = C(n - i, k - 1) / C(n, k),   i = 1 … n;   NaN for k > n

    >>> weights_without_replacement(3, 2)[1].round(4)
    array([0.6667, 0.3333, 0.    ])
    """
    from scipy.special import gammaln

    k = np.arange(1, max_trials + 1)[:, None]
    rest = np.arange(num_results - 1, -1, -1)[None, :]  # Results that are worse than result i.

    def log_choose(n: np.ndarray | int, of: np.ndarray) -> np.ndarray:
        return gammaln(n + 1.0) - gammaln(of + 1.0) - gammaln(n - of + 1.0)

    with np.errstate(invalid="ignore", divide="ignore"):
        weights = np.exp(log_choose(rest, k - 1) - log_choose(num_results, k))
    weights = np.where(k - 1 <= rest, weights, 0.0)
    return np.where(k <= num_results, weights, np.nan)


def expected_best(
    costs: np.ndarray, max_trials: int | None = None, *, num_samples: int = 1000, seed: int = 0
) -> ExpectedBest:
    """Curves of the best of k trials for k = 1 … max_trials.

        E[best of k] = sum over i of v_(i) (((n - i + 1) / n)^k - ((n - i) / n)^k),   v_(1) best … v_(n) worst

    Args:
      costs: (n,) results of the sweep, lower is better; infinite where a trial has none.
      max_trials: the last k; the number of results by default.
      num_samples: bootstrap resamples of the n results behind the interval.
      seed: of the resampling.

    Raises:
      UsageError: if `max_trials` or `num_samples` is below 1.
    """
    if max_trials is not None and max_trials < 1:
        raise UsageError(f"--max_trials must be at least 1, got {max_trials}.")
    if num_samples < 1:
        raise UsageError(f"--num_samples must be at least 1, got {num_samples}.")
    n = len(costs)
    k = max_trials or n
    finite = np.isfinite(costs)
    ordered = np.sort(np.where(finite, costs, costs[finite].max()))
    weights = weights_with_replacement(n, k)
    rng = np.random.default_rng(seed)
    samples = np.sort(ordered[rng.integers(n, size=(num_samples, n))], axis=1) @ weights.T
    tail = (1 - CONFIDENCE) / 2
    low, high = np.quantile(samples, [tail, 1 - tail], axis=0)
    all_ordered = np.sort(costs)
    return ExpectedBest(
        num_trials=np.arange(1, k + 1),
        expected=weights @ ordered,
        unbiased=weights_without_replacement(n, k) @ ordered,
        low=low,
        high=high,
        luck=np.stack([exact_quantiles(all_ordered, each, LUCK) for each in range(1, k + 1)], axis=1),
        num_failed=int(np.sum(~finite)),
    )
