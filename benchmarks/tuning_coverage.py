"""Coverage of the intervals of `scoring.tuning`, on searches whose truth is known.

    python benchmarks/tuning_coverage.py --samples=1000

A run takes the budget times exp(z) to its target, z normal with a standard deviation of 0.6 and a mean that makes a
given share of runs hit; so chance, expected and median time of the best of n are known. The table has, for each number
of runs and of trials, the least coverage over the hit rates: of the three intervals, of the same where two in five runs
were stopped early, and of the percentile bootstrap of the expected best (draws with replacement) that many papers
print. Below it: the mean over eight workloads whose runs share their points, and lists of five points that every study
repeats.
"""

import argparse
import functools
import math

import numpy as np
from scipy.special import ndtr, ndtri

from scoring import text, tuning_curves
from scoring.tuning_curves import Runs

SPREAD = 0.6
HIT_RATES = (0.25, 0.6, 0.95)
NUM_RUNS = (8, 15, 25, 75)
NUM_WORKLOADS = 8
SHARED_PART = 0.7
"""Correlation of z between two workloads for the same point."""
LIST_LENGTH = 5
RESAMPLES = 300
GRID = np.linspace(0, 1, 4001)


def centre(hit_rate: float) -> float:
    """The mean of z with which so many runs hit."""
    return -SPREAD * float(ndtri(hit_rate))


@functools.cache
def truth(hit_rate: float, n: int) -> tuple[float, float, float]:
    """Chance, expected and median time of the best of n; the budget is 1."""
    with np.errstate(divide="ignore"):
        above = ndtr(-(np.log(GRID) - centre(hit_rate)) / SPREAD) ** n
    middle = math.exp(centre(hit_rate) + SPREAD * float(ndtri(1 - 0.5 ** (1 / n))))
    return 1 - (1 - hit_rate) ** n, float(np.trapezoid(above, GRID)), middle if middle <= 1 else math.inf


def draw(rng: np.random.Generator, hit_rate: float, num_runs: int, stopped_share: float = 0.0) -> Runs:
    """One search."""
    return runs_of(rng, np.exp(centre(hit_rate) + SPREAD * rng.standard_normal(num_runs)), stopped_share)


def runs_of(rng: np.random.Generator, times: np.ndarray, stopped_share: float = 0.0) -> Runs:
    """Runs with a budget of 1; a share of them is stopped at a random time, unless they hit before."""
    stop = np.where(rng.random(len(times)) < stopped_share, rng.random(len(times)), np.inf)
    is_hit = times <= np.minimum(stop, 1.0)
    stopped = np.where(is_hit | np.isinf(stop), np.nan, stop)
    return Runs(np.where(is_hit, times, np.inf), stopped, 1.0)


def bootstrap(rng: np.random.Generator, runs: Runs, n: int) -> tuple[float, float]:
    """Percentile interval of the expected best of n draws with replacement."""
    costs = np.minimum(runs.times, 1.0)
    total = len(costs)
    samples = np.sort(costs[rng.integers(total, size=(RESAMPLES, total))], axis=1)
    survival = (np.arange(total, -1, -1) / total) ** n
    low, high = np.quantile(samples @ (survival[:-1] - survival[1:]), [0.025, 0.975])
    return float(low), float(high)


def covers(low: float, high: float, value: float) -> bool:
    """Whether an interval holds the truth; an end that does not exist bounds nothing."""
    return (math.isnan(low) or low <= value + 1e-12) and (math.isnan(high) or value <= high + 1e-12)


OF = (tuning_curves.chance, tuning_curves.expected, tuning_curves.median)


def one_workload(samples: int, rng: np.random.Generator) -> str:
    """The first table."""
    rows = []
    for num_runs in NUM_RUNS:
        for n in dict.fromkeys((1, 2, 5, num_runs)):
            held = np.zeros((len(HIT_RATES), 7))
            for row, hit_rate in enumerate(HIT_RATES):
                known = truth(hit_rate, n)
                for _ in range(samples):
                    whole, cut = draw(rng, hit_rate, num_runs), draw(rng, hit_rate, num_runs, 0.4)
                    for column, runs in ((0, whole), (3, cut)):
                        for offset, (of, value) in enumerate(zip(OF, known)):
                            found = of(runs, n)
                            held[row, column + offset] += covers(found.low, found.high, value)
                    held[row, 6] += covers(*bootstrap(rng, whole, n), known[1])
            least = held.min(axis=0) / samples
            rows.append([str(num_runs), str(n), *(f"{value:.3f}" for value in least)])
    header = ["runs", "trials", "chance", "expected", "median"]
    header += ["stopped: chance", "expected", "median", "bootstrap of expected"]
    return text.table(header, rows, num_left=0)


def many_workloads(samples: int, rng: np.random.Generator) -> str:
    """Means over workloads that share their points."""
    rows = []
    rates = np.resize(HIT_RATES, NUM_WORKLOADS)
    centres = np.array([centre(rate) for rate in rates])
    for num_runs in NUM_RUNS[:3]:
        for n in (1, 5, num_runs):
            known = [np.mean([truth(rate, n)[kind] for rate in rates]) for kind in (0, 1)]
            held = np.zeros(2)
            for _ in range(samples):
                own = rng.standard_normal((num_runs, NUM_WORKLOADS))
                z = (
                    math.sqrt(SHARED_PART) * rng.standard_normal((num_runs, 1))
                    + math.sqrt(1 - SHARED_PART) * own
                )
                found = [runs_of(rng, column) for column in np.exp(centres + SPREAD * z).T]
                for kind, of in enumerate(OF[:2]):
                    mean = tuning_curves.mean_of([of(runs, n) for runs in found])
                    held[kind] += covers(mean.low, mean.high, float(known[kind]))
            rows.append([str(num_runs), str(n), *(f"{value:.3f}" for value in held / samples)])
    return text.table(["runs", "trials", "mean chance", "mean share of budget"], rows, num_left=0)


def lists(samples: int, rng: np.random.Generator) -> str:
    """The chance of n points of a list; every point has its own chance, equal in all studies."""
    rows = []
    for num_studies in (1, 3, 5):
        for n in (1, 2, LIST_LENGTH):
            least = 1.0
            for rates in ((0.0, 0.0, 0.1, 0.2, 0.9), (0.05,) * 5, (0.5,) * 5, (0.0, 0.0, 0.0, 0.0, 0.5)):
                known = chance_of_list(rates, n)
                held = 0
                for _ in range(samples):
                    hit = rng.random((num_studies, LIST_LENGTH)) < rates
                    studies = [
                        Runs(np.where(row, 0.5, np.inf), np.full(len(row), np.nan), 1.0) for row in hit
                    ]
                    found, _, _ = tuning_curves.of_list(studies, n)
                    held += covers(found.low, found.high, known)
                least = min(least, held / samples)
            rows.append([str(num_studies), str(n), f"{least:.3f}"])
    return text.table(["studies", "points", "chance"], rows, num_left=0)


def chance_of_list(rates: tuple[float, ...], n: int) -> float:
    """That one of n different points hits, mean over the choices."""
    # The mean product of n different misses, by elementary symmetric polynomials.
    polynomial = np.array([1.0])
    for rate in rates:
        polynomial = np.convolve(polynomial, [1.0, 1 - rate])
    return 1 - float(polynomial[n]) / math.comb(len(rates), n)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--samples", type=int, default=1000, help="searches per cell")
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    rng = np.random.default_rng(arguments.seed)
    print("Least coverage over hit rates " + ", ".join(f"{rate:.0%}" for rate in HIT_RATES))
    print(one_workload(arguments.samples, rng))
    print(f"\nMean over {NUM_WORKLOADS} workloads that share their points")
    print(many_workloads(arguments.samples, rng))
    print(f"\nLists of {LIST_LENGTH} points, repeated in every study: least over four lists")
    print(lists(arguments.samples, rng))


if __name__ == "__main__":
    main()
