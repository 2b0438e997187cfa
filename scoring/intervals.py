"""Draws of true times -> intervals of scores and ranks, and which submissions the studies tell apart.

Truth is what infinitely many studies of the same field would give (`uncertainty`). Two things stand between its draws
and an interval:

- The fastest of many noisy times looks faster than it is, and a draw adds noise to noise: drawn scores lie too low on
  average by as much again. They are multiplied by the mean score without luck in times over the mean drawn score.
- What one study a cell leaves open the model does not know fully. `TAILS` are less than 2.5 %: with them, intervals
  cover 95 % in the simulation.

Ranks follow from claims "A is above B". Claims are made from the surest one down for as long as enough of the
draws (`CLAIMS`) agree with all of them at once, so that rank intervals hold for the whole field together.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from algoperf.spec import UsageError
from scoring import uncertainty
from scoring.uncertainty import Draws, Studies

CONFIDENCE = 0.95
TAILS = {1: 0.0075, 2: 0.01, 3: 0.015}
"""Studies per cell, or more -> share of the draws beyond either end (chosen by benchmarks/interval_coverage.py)."""
CLAIMS = {1: 0.98, 2: 0.97, 3: 0.95}
"""Studies per cell, or more -> share of the draws that have to agree with all claims at once (chosen likewise)."""
MAX_BIAS = 1.3
"""Largest factor by which drawn scores are corrected: for scores near 0 the quotient of means is luck itself."""
DEVIATIONS_TO_TELL = 2.8
"""Of a difference of scores, for a claim about it beside those about the other pairs of ten submissions."""
CHUNK_SIZE = 1_000_000
"""Times drawn at once, 8 bytes each, in about ten arrays."""
MAX_SCORES = 20_000_000
"""Scores kept: samples x submissions."""
RELATIVE_ROUNDING = 1e-12


@dataclass(frozen=True)
class Interval:
    """One interval per submission, (submissions,) each."""

    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Uncertainty:
    """What the studies of a field leave open; arrays are in the order of its submissions."""

    num_samples: int
    seed: int
    num_studies: int
    """Of a typical cell."""
    is_default_spread: bool
    """No cell has two studies that reached the target, so the spread of times is a default."""
    score: Interval
    rank: Interval
    """Simultaneous: all ranks are in their intervals at once with 95 %."""
    speedup: Interval | None
    restricted: Interval | None
    """Of the restricted speedup; see `absolute`."""
    above: np.ndarray
    """(submissions, submissions) chance that the row is above the column; equal scores count one half."""
    clear: np.ndarray
    """(submissions, submissions) whether the row is claimed to be above the column."""
    studies_to_tell: np.ndarray
    """(submissions, submissions) studies per cell that would tell the two apart, as an order of magnitude."""


@dataclass(frozen=True)
class Scorers:
    """How true times become figures; each takes (samples, submissions, columns)."""

    score: Callable[[np.ndarray], np.ndarray]
    speedup: Callable[[np.ndarray], np.ndarray] | None = None
    restricted: Callable[[np.ndarray], np.ndarray] | None = None
    """Of restricted mean times."""


def ranks(scores: np.ndarray) -> np.ndarray:
    """(..., submissions) 1 + number of higher scores; scores that are equal up to rounding share the better rank.

    >>> ranks(np.array([0.5, 0.9, 0.5 + 1e-16, 0.1]))
    array([2, 1, 2, 4])
    """
    beyond = scores[..., :, None] + RELATIVE_ROUNDING * np.abs(scores[..., :, None])
    return 1 + np.sum(scores[..., None, :] > beyond, axis=-1)


def estimate(
    studies: Studies,
    limits: np.ndarray,
    scorers: Scorers,
    points: np.ndarray,
    *,
    num_samples: int,
    seed: int,
) -> Uncertainty:
    """Intervals for a field.

    Args:
      studies: of all submissions.
      limits: (columns,) budgets on the scored axis; infinite where there is none.
      scorers: the rules, and figures beside the score.
      points: (submissions,) the scores that are reported; their intervals contain them.
      num_samples: draws, at least 1.
      seed: of the draws.

    Raises:
      UsageError: for more samples than fit into memory.
    """
    num_submissions = len(points)
    if num_samples * max(1, num_submissions) > MAX_SCORES:
        raise UsageError(
            f"--bootstrap_samples={num_samples} for {num_submissions} submissions do not fit into memory: give "
            f"{MAX_SCORES // num_submissions} at most."
        )
    model = uncertainty.fit(studies, limits)
    rng = np.random.default_rng(seed)
    size = max(1, CHUNK_SIZE // max(1, model.mean.size))
    # Times of one draw belong together: a rival's luck moves everybody's ratios, so each draw is a whole field.
    parts = [
        _figures(uncertainty.draw(model, min(size, num_samples - start), rng), scorers)
        for start in range(0, num_samples, size)
    ]
    scores, centered, speedups, restricted = (
        None if part[0] is None else np.concatenate(part) for part in zip(*parts)
    )
    assert scores is not None
    assert centered is not None
    scores = corrected(scores, centered)
    # A published median stands for studies that nobody knows, and would count as one here.
    counts = studies.counts[(studies.counts > 0) & ~studies.is_exact]
    num_studies = int(np.median(counts)) if counts.size else 0
    level = max(number for number in TAILS if number <= max(1, num_studies))
    tail = TAILS[level]
    score = _interval(scores, tail)
    score = Interval(np.minimum(score.low, points), np.maximum(score.high, points))
    above, clear, needed = tell_apart(scores, max(1, num_studies), CLAIMS[level])
    order = ranks(points)
    return Uncertainty(
        num_samples=num_samples,
        seed=seed,
        num_studies=num_studies,
        is_default_spread=not (studies.hits > 1).any(),
        score=score,
        rank=Interval(
            np.minimum(1 + clear.sum(axis=0), order), np.maximum(num_submissions - clear.sum(axis=1), order)
        ),
        speedup=None if speedups is None else _interval(speedups, tail),
        restricted=None if restricted is None else _interval(restricted, tail),
        above=above,
        clear=clear,
        studies_to_tell=needed,
    )


def _figures(draws: Draws, scorers: Scorers) -> tuple[np.ndarray | None, ...]:
    """(samples, submissions) scores, the same without luck in times, speedups, restricted speedups."""
    return (
        scorers.score(draws.medians),
        scorers.score(draws.centered),
        scorers.speedup(draws.medians) if scorers.speedup else None,
        scorers.restricted(draws.restricted) if scorers.restricted else None,
    )


def corrected(scores: np.ndarray, centered: np.ndarray) -> np.ndarray:
    """(samples, submissions) drawn scores without the bias of noise upon noise; see the head of this module."""
    mean = scores.mean(axis=0)
    factor = np.where(mean > 0, centered.mean(axis=0) / np.where(mean > 0, mean, 1.0), 1.0)
    return np.clip(scores * np.clip(factor, 1 / MAX_BIAS, MAX_BIAS), 0.0, 1.0)


def _interval(samples: np.ndarray, tail: float) -> Interval:
    low, high = np.quantile(samples, [tail, 1 - tail], axis=0)
    return Interval(low, high)


def tell_apart(
    scores: np.ndarray, num_studies: int, agreement: float = CONFIDENCE
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Which pairs the draws tell apart.

    Args:
      scores: (samples, submissions).
      num_studies: behind each cell.
      agreement: share of the draws that have to agree with all claims at once.

    Returns:
      (submissions, submissions) each: chance that the row is above the column; whether that is claimed; studies that
      would tell the two apart: the luck of scores falls with the root of their number. Infinite where draws
      do not differ on average.
    """
    num_samples, num_submissions = scores.shape
    chances = np.zeros((num_submissions, num_submissions))
    chunk = max(1, CHUNK_SIZE // max(1, num_submissions**2))
    slices = [scores[start : start + chunk] for start in range(0, num_samples, chunk)]
    for part in slices:
        above = part[:, :, None] > part[:, None, :]
        chances += above.sum(axis=0) + 0.5 * (~above & ~above.swapaxes(1, 2)).sum(axis=0)
    chances /= max(1, num_samples)
    row, column = np.nonzero(chances > 0.5)
    surest = np.argsort(-chances[row, column], kind="stable")
    row, column = row[surest], column[surest]
    # A draw agrees with all claims before the first one that it contradicts.
    first_wrong = np.concatenate([_first_true(part[:, row] <= part[:, column]) for part in slices])
    agreeing = num_samples - np.cumsum(np.bincount(first_wrong, minlength=len(row) + 1))
    number = int((agreeing[: len(row)] >= agreement * num_samples).sum())
    clear = np.zeros_like(chances, dtype=bool)
    clear[row[:number], column[:number]] = True
    mean = scores.mean(axis=0)
    centered = scores - mean
    covariance = centered.T @ centered / max(1, num_samples)
    own = np.diag(covariance)
    variance = np.maximum(own[:, None] + own[None, :] - 2 * covariance, 0.0)
    difference = mean[:, None] - mean[None, :]
    with np.errstate(divide="ignore", invalid="ignore"):
        needed = np.where(
            variance > 0, num_studies * DEVIATIONS_TO_TELL**2 * variance / difference**2, np.inf
        )
    return chances, clear, np.maximum(needed, num_studies + 1)


def _first_true(wrong: np.ndarray) -> np.ndarray:
    """(samples,) index of the first true value of each row; its length where there is none."""
    return (
        np.where(wrong.any(axis=1), wrong.argmax(axis=1), wrong.shape[1])
        if wrong.shape[1]
        else np.zeros(len(wrong), dtype=int)
    )


def tie_groups(clear: np.ndarray, order: list[int]) -> np.ndarray:
    """(submissions,) number of each submission's tie group, from 1.

    A group is led by its best; whoever is not told apart from the leader belongs to it, down to the first who is.

    Args:
      clear: see `Uncertainty`.
      order: rows from best to worst score.
    """
    groups = np.zeros(len(order), dtype=int)
    leader, number = None, 0
    for row in order:
        if leader is None or clear[leader, row]:
            leader, number = row, number + 1
        groups[row] = number
    return groups


def magnitude(studies: float) -> str:
    """A number of studies in words.

    >>> magnitude(7.0), magnitude(40.0), magnitude(float("inf"))
    ('a few', 'tens of', 'more than thousands of')
    """
    for limit, words in ((10, "a few"), (100, "tens of"), (1000, "hundreds of"), (10_000, "thousands of")):
        if studies < limit:
            return words
    return "more than thousands of"
