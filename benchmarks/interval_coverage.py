"""What the intervals of scores and ranks cover, on simulated fields whose truth is known.

    python benchmarks/interval_coverage.py --fields=300

Truth: the score that a field would get from infinitely many studies, that is from the true median of every submission
on every workload (infinite where half of the studies or more miss), by all rules, held-out ones included. Fields are
made after measured ones: the official v0.5 logs (11 submissions, 14 workloads and variants, five studies), and the mini
suite's archive (8 submissions, 8 workloads, three studies). For every cell of a field a chance to reach the target is
drawn from a Beta distribution around the measured share (Beta(hits + 0.2, misses + 0.07)), a spread around the measured
one, and a mean log time around the measured one; studies then scatter around it as those of the logs do
(--noise=normal: as a normal distribution). None of this is the model that makes the intervals.

Columns: share of the intervals that contain the truth, over all submissions and of the one that is covered worst, and
their mean width; the same for the bootstrap over studies; share of fields in which all rank intervals contain the true
ranks at once; in which all claims "A is above B" are right at once; share of the pairs about which there is a claim;
what the intervals of the restricted speedup cover.
"""

import argparse
import math
from dataclasses import dataclass

import numpy as np

from algoperf import suites
from scoring import absolute, intervals, published, text, uncertainty
from scoring.intervals import Scorers
from scoring.leaderboard import Leaderboard, Settings, limits, make_leaderboard, ratios_of, scores_of
from scoring.procedure import CLEAN
from scoring.results import SUBMISSION_TIME
from scoring.uncertainty import Studies

FIELDS = {"v0.5 logs": ("algoperf_v05", "external"), "mini": ("mini", "self")}
BETA = (0.2, 0.07)
"""What is added to hits and misses: the mean of the logs, with little weight."""
SPREAD_FREEDOM = 3.0
"""Degrees of freedom by which a cell's measured variance is drawn to the workload's."""


@dataclass(frozen=True)
class Measured:
    """A measured field that others are made after."""

    board: Leaderboard
    studies: Studies
    limits: np.ndarray
    mean: np.ndarray
    """(submissions, columns) log times; late in the budget where no study reached the target."""
    variance: np.ndarray
    residuals: np.ndarray
    """Sorted, of log times, with standard deviation 1."""


@dataclass(frozen=True)
class Truth:
    """One field; (submissions, columns) each."""

    chance: np.ndarray
    mean: np.ndarray
    deviation: np.ndarray


def measured(name: str) -> Measured:
    """The field called so in `FIELDS`."""
    suite_name, ruleset = FIELDS[name]
    suite = suites.load(suite_name)
    entries = published.load(suite_name, ruleset, suite, SUBMISSION_TIME)
    settings = Settings(suite=suite, ruleset_name=ruleset, procedure=CLEAN, axis=SUBMISSION_TIME)
    board = make_leaderboard(entries.results, settings)
    studies, budget = uncertainty.studies_in(board.table), limits(board.table, settings)
    reached, hits = np.isfinite(studies.values), studies.hits
    logs = np.log(np.where(reached, studies.values, 1.0))
    mean = np.where(reached, logs, 0.0).sum(axis=-1) / np.maximum(hits, 1)
    deviations = np.where(reached, logs - mean[..., None], 0.0)
    squares, freedom = (deviations**2).sum(axis=-1), np.maximum(hits - 1, 0)
    workload = squares.sum(axis=0) / np.maximum(freedom.sum(axis=0), 1)
    variance = (SPREAD_FREEDOM * workload + squares) / (SPREAD_FREEDOM + freedom)
    # Residuals of k studies around their own mean are too small by the root of (k - 1) / k.
    scale = np.sqrt(variance * np.maximum(hits - 1, 1) / np.maximum(hits, 1))
    residuals = np.sort((deviations / scale[..., None])[reached & (hits > 1)[..., None]])
    mean = np.where(hits > 0, mean, np.log(0.8 * budget))
    return Measured(board, studies, budget, mean, variance, residuals / residuals.std())


def make_truth(field: Measured, rng: np.random.Generator) -> Truth:
    """A field around the measured one."""
    hits, counts = field.studies.hits, field.studies.counts
    chance = np.where(counts > 0, rng.beta(hits + BETA[0], counts - hits + BETA[1]), 0.0)
    freedom = SPREAD_FREEDOM + np.maximum(hits - 1, 0)
    variance = field.variance * freedom / rng.chisquare(freedom)
    mean = field.mean + np.sqrt(variance / np.maximum(hits, 1)) * rng.standard_normal(hits.shape)
    return Truth(chance, mean, np.sqrt(variance))


def true_times(truth: Truth, noise: np.ndarray, budget: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(submissions, columns) medians over infinitely many studies, and means of min(time, budget).

    Args:
      truth: the field.
      noise: sorted values that stand for the distribution of the deviations.
      budget: (columns,)
    """
    quantile = np.quantile(noise, 0.5 / np.maximum(truth.chance, 0.5))
    medians = np.minimum(np.exp(truth.mean + truth.deviation * quantile), budget)
    late = np.minimum(np.exp(truth.mean[..., None] + truth.deviation[..., None] * noise), budget[:, None])
    restricted = truth.chance * late.mean(axis=-1) + (1 - truth.chance) * budget
    return np.where(truth.chance > 0.5, medians, np.inf), restricted


def run_studies(
    truth: Truth, noise: np.ndarray, budget: np.ndarray, number: int, rng: np.random.Generator
) -> np.ndarray:
    """(submissions, columns, studies) times; infinite where missed."""
    shape = (*truth.chance.shape, number)
    logs = truth.mean[..., None] + truth.deviation[..., None] * rng.choice(noise, shape)
    is_hit = rng.random(shape) < truth.chance[..., None]
    return np.where(is_hit, np.minimum(np.exp(logs), budget[:, None]), np.inf)


def medians_of(times: np.ndarray) -> np.ndarray:
    """Over the last axis, infinity taking part."""
    ordered = np.sort(times, axis=-1)
    low, high = ordered[..., (times.shape[-1] - 1) // 2], ordered[..., times.shape[-1] // 2]
    return np.where(low == high, low, (low + high) / 2)


def resampled(times: np.ndarray, num_samples: int, rng: np.random.Generator) -> np.ndarray:
    """(samples, submissions, columns) medians of studies drawn with replacement."""
    picks = rng.integers(times.shape[-1], size=(num_samples, *times.shape))
    return medians_of(np.take_along_axis(np.broadcast_to(times, picks.shape), picks, axis=-1))


def simulate(field: Measured, number: int, arguments: argparse.Namespace) -> list[str]:
    """The cells of one row of the table."""
    rng = np.random.default_rng([arguments.seed, number])
    table, settings, budget = field.board.table, field.board.settings, field.limits
    reference = absolute.pinned(settings.suite, settings.ruleset_name)
    assert reference is not None
    noise = field.residuals if arguments.noise == "logs" else np.sort(rng.standard_normal(2000))

    def score(times: np.ndarray) -> np.ndarray:
        return scores_of(ratios_of(times, table, settings), settings)

    def restricted(times: np.ndarray) -> np.ndarray:
        return absolute.restricted_speedup(times, reference)

    rows = []
    for _ in range(arguments.fields):
        truth = make_truth(field, rng)
        medians, means = true_times(truth, noise, budget)
        exact, exact_restricted = score(medians), restricted(means)
        times = run_studies(truth, noise, budget, number, rng)
        counts = np.where(field.studies.counts > 0, number, 0)
        studies = Studies(
            np.where(counts[..., None] > 0, times, np.nan), counts, np.zeros(counts.shape, bool)
        )
        found = intervals.estimate(
            studies,
            budget,
            Scorers(score, None, restricted),
            score(medians_of(times)),
            num_samples=arguments.samples,
            seed=int(rng.integers(2**31)),
        )
        assert found.restricted is not None
        low, high = np.quantile(score(resampled(times, arguments.samples, rng)), [0.025, 0.975], axis=0)
        true_ranks = intervals.ranks(exact)
        is_right = (exact[:, None] > exact[None, :] - 1e-12) | ~found.clear
        rows.append(
            (
                holds(found.score.low, exact, found.score.high),
                found.score.high - found.score.low,
                holds(low, exact, high),
                high - low,
                holds(found.rank.low, true_ranks, found.rank.high).all(),
                is_right.all(),
                found.clear.sum() / math.comb(len(exact), 2),
                holds(found.restricted.low, exact_restricted, found.restricted.high),
            )
        )
    covered, width, old, old_width, ranks, claims, clear, absolutes = (np.array(c) for c in zip(*rows))
    if arguments.entries:
        print({one: round(float(share), 2) for one, share in zip(table.submissions, covered.mean(axis=0))})
    return [
        str(number),
        *(f"{value:.3f}" for value in (covered.mean(), covered.mean(axis=0).min(), width.mean())),
        *(f"{value:.3f}" for value in (old.mean(), old.mean(axis=0).min(), old_width.mean())),
        *(f"{value:.3f}" for value in (ranks.mean(), claims.mean(), clear.mean())),
        f"{absolutes.mean():.3f}",
    ]


def holds(low: np.ndarray, value: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Whether values lie in their intervals, up to rounding."""
    return (low - 1e-9 <= value) & (value <= high + 1e-9)


def parser() -> argparse.ArgumentParser:
    """Of the command's arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--studies", default="1,2,3,5", help="studies per cell, a row each")
    parser.add_argument("--fields", type=int, default=300, help="simulated fields behind each row")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=1000, help="draws behind each interval")
    parser.add_argument("--noise", choices=("logs", "normal"), default="logs")
    parser.add_argument("--entries", action="store_true", help="also print the coverage of each submission")
    return parser


def main() -> None:
    arguments = parser().parse_args()
    header = ["studies", "covered", "worst", "width", "bootstrap", "worst", "width"]
    header += ["ranks", "claims", "clear pairs", "restricted"]
    rows = []
    for name in FIELDS:
        field = measured(name)
        for number in map(int, arguments.studies.split(",")):
            rows.append([name, *simulate(field, number, arguments)])
    print(text.table(["field", *header], rows))


if __name__ == "__main__":
    main()
