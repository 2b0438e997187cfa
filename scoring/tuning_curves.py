"""What n trials of tuning achieve: chance of a hit, expected and median time to target, with intervals that hold.

A run of one point takes T seconds to its target; T is infinite for a miss. With survival S(t) = P(T > t), the best of n
independent draws from the search space has

    chance of a hit      1 - S(budget)^n
    expected time        integral of S(t)^n over t from 0 to the budget, a miss counted as the budget
    median time          the t at which S(t)^n = 1/2; infinite if the chance is below one half

Estimates come from N runs. Where all ran to their ends S(t)^n is replaced by C(m, n) / C(N, n), m runs above t: the
mean over all subsets of n runs, which is not biased. Where some were stopped early it is that of Kaplan and Meier 1958
(https://doi.org/10.2307/2281868), to the n-th power.

Intervals assume nothing but independent draws:

- chance: 1 - (1 - p)^n rises with the chance p of one draw, whose interval is Clopper and Pearson's (1934,
  https://doi.org/10.1093/biomet/26.4.404). It holds for all n at once.
- expected time: a band that the distribution of T leaves nowhere with 95 %, of equal local level: order statistic i of
  N uniform numbers has the distribution Beta(i, N + 1 - i). It holds for all n at once, too. (Lourie, He and Cho 2023,
  https://arxiv.org/abs/2311.09480, have such bands for tuning curves.)
- median time: two order statistics of T, by the binomial distribution. The lower one exists up to n of about N / 5.3;
  beyond, the best of n is a matter of the few best runs, and no finite number of runs bounds its median from below.

A run that was stopped early may have hit right after it was stopped, or never. Of each interval the lower end takes one
and the upper end the other.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
TAIL = (1 - CONFIDENCE) / 2
SIMULATED = 2_000_000
"""Uniform numbers behind the level of a band."""
MAX_SIMULATIONS = 20_000


@dataclass(frozen=True, eq=False)
class Runs:
    """N runs of one submission on one workload, each of another draw from the search space."""

    times: np.ndarray
    """(N,) seconds to the target; infinite where it was not reached."""
    stopped_at: np.ndarray
    """(N,) seconds at which a run without a hit was stopped early; NaN for others."""
    budget_sec: float

    @classmethod
    def make(cls, times: Sequence[float], stopped_at: Sequence[float], budget_sec: float) -> "Runs":
        return cls(np.asarray(times, float), np.asarray(stopped_at, float), budget_sec)

    @property
    def is_stopped(self) -> np.ndarray:
        """(N,) whether a run was stopped early."""
        return ~np.isnan(self.stopped_at)

    def pessimistic(self) -> np.ndarray:
        """(N,) sorted times, had all runs that were stopped missed."""
        return np.sort(self.times)

    def optimistic(self) -> np.ndarray:
        """(N,) sorted times, had all runs that were stopped hit right then."""
        return np.sort(np.where(self.is_stopped, self.stopped_at, self.times))

    def resolved(self, how: str) -> "Runs":
        """All runs as if they had gone on: `optimistic` or `pessimistic`."""
        times = self.optimistic() if how == "optimistic" else self.pessimistic()
        return Runs(times, np.full(len(times), np.nan), self.budget_sec)

    def survival(self, num_trials: int) -> tuple[np.ndarray, np.ndarray]:
        """(m,) ascending times, and (m + 1,) the share of bests of so many trials above none, one, ... of them."""
        if self.is_stopped.any():
            at, share = _kaplan_meier(self)
            return at, share**num_trials
        at = self.pessimistic()
        return at, subsets_above(len(at), num_trials)


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % interval; NaN for an end that nothing bounds."""

    value: float
    low: float
    high: float


def chance(runs: Runs, num_trials: int) -> Estimate:
    """That one of so many trials reaches the target."""
    at, above = runs.survival(num_trials)
    value = float(1 - above[np.isfinite(at).sum()])
    total = len(runs.times)
    low, _ = proportion_interval(float(np.isfinite(runs.pessimistic()).sum()), total)
    _, high = proportion_interval(float(np.isfinite(runs.optimistic()).sum()), total)
    return Estimate(value, 1 - (1 - low) ** num_trials, 1 - (1 - high) ** num_trials)


def expected(runs: Runs, num_trials: int) -> Estimate:
    """Seconds to the target of the best of so many trials, the budget for a miss."""
    value = area(*runs.survival(num_trials), runs.budget_sec)
    least, most = band(len(runs.times))
    # Least and most of the distribution before each order statistic, and after the last.
    high = area(runs.pessimistic(), (1 - np.concatenate([[0.0], least])) ** num_trials, runs.budget_sec)
    low = area(runs.optimistic(), (1 - np.concatenate([most, [1.0]])) ** num_trials, runs.budget_sec)
    return Estimate(value, low, high)


def median(runs: Runs, num_trials: int) -> Estimate:
    """Median seconds to the target of the best of so many trials; infinite if less than half of them hit."""
    at, above = runs.survival(num_trials)
    value = _middle(at, above[1:])
    first, last = quantile_places(len(runs.times), 1 - 0.5 ** (1 / num_trials))
    low = float(runs.optimistic()[first]) if first is not None else np.nan
    high = float(runs.pessimistic()[last]) if last is not None else np.inf
    return Estimate(value, low, high)


def subsets_above(total: int, num_trials: int) -> np.ndarray:
    """(total + 1,) share of the subsets of so many runs whose best is behind the i first, for i = 0 ... total.

        C(total - i, n) / C(total, n);   0 for n > total - i

    >>> subsets_above(3, 2).round(4)
    array([1.    , 0.3333, 0.    , 0.    ])
    """
    left = np.arange(total, -1, -1, dtype=float)[:, None]
    drawn = np.arange(num_trials, dtype=float)[None, :]
    return np.prod(np.maximum(left - drawn, 0.0) / np.maximum(total - drawn, 1.0), axis=1)


def _kaplan_meier(runs: Runs) -> tuple[np.ndarray, np.ndarray]:
    """(hits,) times, and (hits + 1,) the share that is above none, one, ... of them."""
    hits = np.sort(runs.times[np.isfinite(runs.times)])
    ends = np.where(runs.is_stopped, runs.stopped_at, runs.times)
    share = [1.0]
    for time in np.unique(hits):
        at_risk, hit = int((ends >= time).sum()), int((hits == time).sum())
        share += [share[-1] * (1 - (i + 1) / at_risk) for i in range(hit)]
    return hits, np.asarray(share)


def _middle(at: np.ndarray, above: np.ndarray) -> float:
    """The first time with no more than half of the share above it; infinite if there is none."""
    reached = np.flatnonzero(above <= 0.5 + 1e-12)
    return float(at[reached[0]]) if len(reached) else np.inf


def area(at: np.ndarray, above: np.ndarray, end: float) -> float:
    """Integral of a step function from 0 to `end`: `above[i]` from `at[i - 1]` to `at[i]`, with 0 before the first."""
    edges = np.concatenate([[0.0], np.minimum(at, end), [end]])
    return float(np.diff(edges) @ above)


def proportion_interval(hits: float, total: int) -> tuple[float, float]:
    """Clopper and Pearson's 95 % interval of a chance, from so many hits in all; fractions of hits are allowed.

    >>> [round(end, 4) for end in proportion_interval(0, 10)]
    [0.0, 0.3085]
    """
    from scipy.special import betaincinv

    low = betaincinv(hits, total - hits + 1, TAIL) if hits > 0 else 0.0
    high = betaincinv(hits + 1, total - hits, 1 - TAIL) if hits < total else 1.0
    return float(low), float(high)


def quantile_places(total: int, level: float) -> tuple[int | None, int | None]:
    """Places (from 0) of the order statistics between which a quantile lies with 95 %; None where none is far enough.

    The number of runs at or below the quantile has the distribution Bin(total, level).

    >>> quantile_places(15, 0.5), quantile_places(5, 0.5)
    ((3, 11), (None, None))
    """
    from scipy.special import bdtr, bdtrc

    counts = np.arange(1, total + 1)
    low = counts[bdtrc(counts - 1, total, level) >= 1 - TAIL]  # P(at least r below it)
    high = counts[bdtr(counts - 1, total, level) >= 1 - TAIL]  # P(fewer than r below it)
    return (int(low[-1]) - 1 if len(low) else None), (int(high[0]) - 1 if len(high) else None)


@functools.cache
def band(total: int) -> tuple[np.ndarray, np.ndarray]:
    """(total,) least and most of a distribution at the order statistics of so many draws; 95 % for all at once.

    Every order statistic leaves its own interval with the same chance, which is found by simulation.
    """
    from scipy.special import betainc, betaincinv

    i = np.arange(1, total + 1)
    rng = np.random.default_rng(0)
    draws = np.sort(rng.random((min(MAX_SIMULATIONS, SIMULATED // total), total)), axis=1)
    below = betainc(i, total + 1 - i, draws)
    # Of each simulation the level at which its worst order statistic is just inside.
    level = np.quantile(2 * np.minimum(below, 1 - below).min(axis=1), 1 - CONFIDENCE)
    return betaincinv(i, total + 1 - i, level / 2), betaincinv(i, total + 1 - i, 1 - level / 2)


def of_list(studies: Sequence[Runs], num_trials: int) -> tuple[Estimate, Estimate, Estimate]:
    """`chance`, `expected` and `median` where every study ran the same list of points, and n of the list are tried.

    Studies are the independent draws here: what n points of the list achieve in one is averaged over them. The interval
    of the chance is Clopper and Pearson's with a fraction of hits, because no number between 0 and 1 varies more than a
    hit does. Times have none: five studies bound neither their mean nor their median with 95 % without assumptions.
    """

    def hits(all_runs: Sequence[Runs]) -> float:
        return sum(chance(runs, num_trials).value for runs in all_runs)

    total, value = len(studies), hits(studies) / len(studies)
    low, _ = proportion_interval(hits([runs.resolved("pessimistic") for runs in studies]), total)
    _, high = proportion_interval(hits([runs.resolved("optimistic") for runs in studies]), total)
    seconds = float(np.mean([expected(runs, num_trials).value for runs in studies]))
    curves = [runs.survival(num_trials) for runs in studies]
    grid = np.unique(np.concatenate([at for at, _ in curves]))
    above = np.mean([share[np.searchsorted(at, grid, side="right")] for at, share in curves], axis=0)
    return (
        Estimate(value, low, high),
        Estimate(seconds, np.nan, np.nan),
        Estimate(_middle(grid, above), np.nan, np.nan),
    )


def mean_of(estimates: Sequence[Estimate]) -> Estimate:
    """The mean over workloads. Their runs share points, so errors may add up: the ends are averaged, as if they did."""
    return Estimate(
        *(float(np.mean([getattr(one, end) for one in estimates])) for end in ("value", "low", "high"))
    )
