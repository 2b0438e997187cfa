"""Confidence intervals of scores by the bootstrap: resample the studies, score the field again, take percentiles.

For each submission and each workload (held-out variants too) the studies are drawn with replacement, as many
as there are; then all rules apply as usual. Five studies give a rough interval, one gives none. It covers the
variation due to tuning and random seeds, not the choice of workloads or hardware.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from algoperf.spec import UsageError

CONFIDENCE = 0.95
MAX_DRAWS = 200_000_000
"""Of studies, at 18 bytes each."""


@dataclass(frozen=True)
class Interval:
    """Percentile interval per submission, (submissions,) each."""

    low: np.ndarray
    high: np.ndarray


@dataclass(frozen=True)
class Bootstrap:
    """What resampling says about a field."""

    num_samples: int
    seed: int
    score: Interval
    rank: Interval
    speedup: Interval | None


def resampled_medians(
    study_values: np.ndarray, counts: np.ndarray, num_samples: int, rng: np.random.Generator
) -> np.ndarray:
    """Medians of studies drawn with replacement.

    Args:
      study_values: (submissions, columns, studies); the first `counts` of each are study times (infinite ones
        allowed), the rest is ignored.
      counts: (submissions, columns); where 0, the result is NaN.
      num_samples: number of resamples.
      rng: source of the draws; the same generator state gives the same result.

    Returns:
      (num_samples, submissions, columns)
    """
    if num_samples * study_values.size > MAX_DRAWS:
        raise UsageError(
            f"--bootstrap_samples={num_samples} for {study_values.size} study times are more draws than fit into "
            f"memory: give {MAX_DRAWS // study_values.size} at most."
        )
    ordered = np.sort(study_values, axis=-1)  # so that sorting drawn positions sorts the drawn times
    width = ordered.shape[-1]
    draws = rng.random((num_samples, *ordered.shape))
    # 16 bits: what limits the number of samples is memory for samples x submissions x columns x studies picks.
    picks = np.minimum((draws * counts[..., None]).astype(np.int16), np.maximum(counts[..., None] - 1, 0))
    # Positions beyond the number of studies sort to the end and never reach the middle.
    picks = np.sort(np.where(np.arange(width) < counts[..., None], picks, width), axis=-1)
    # The median of sorted draws needs the one or two middle ones only.
    middles = [np.maximum(counts - 1, 0) // 2, np.minimum(counts // 2, width - 1)]
    low, high = (take(ordered, take(picks, np.broadcast_to(m, picks.shape[:-1]))) for m in middles)
    with np.errstate(invalid="ignore"):
        medians = np.where(low == high, low, (low + high) / 2)
    return np.where(counts > 0, medians, np.nan)


def take(values: np.ndarray, index: np.ndarray) -> np.ndarray:
    """values[..., index], index without the last axis; an index past the end takes the last value."""
    values = np.broadcast_to(values, (*index.shape, values.shape[-1]))
    clipped = np.minimum(index, values.shape[-1] - 1)
    return np.take_along_axis(values, clipped[..., None].astype(np.intp), axis=-1)[..., 0]


def ranks(scores: np.ndarray) -> np.ndarray:
    """(..., submissions) 1 + number of submissions with a strictly higher score; ties share the better rank.

    >>> ranks(np.array([0.5, 0.9, 0.5, 0.1]))
    array([2, 1, 2, 4])
    """
    return 1 + np.sum(scores[..., None, :] > scores[..., :, None], axis=-1)


def interval(samples: np.ndarray, *, whole: bool = False) -> Interval:
    """Central 95 % of (num_samples, submissions); `whole` keeps to values that occur, for ranks."""
    tail = (1 - CONFIDENCE) / 2
    method: Literal["inverted_cdf", "linear"] = "inverted_cdf" if whole else "linear"
    # A rank between two ranks does not exist, so for ranks the quantile is one of the samples.
    low, high = np.quantile(samples, [tail, 1 - tail], axis=0, method=method)
    return Interval(low, high)


def bootstrap(
    study_values: np.ndarray,
    counts: np.ndarray,
    score_field: Callable[[np.ndarray], np.ndarray],
    speedup_field: Callable[[np.ndarray], np.ndarray] | None,
    *,
    num_samples: int,
    seed: int,
) -> Bootstrap:
    """Intervals for scores, ranks and speedups.

    Args:
      study_values, counts: see `resampled_medians`.
      score_field: (samples, submissions, columns) times -> (samples, submissions) scores.
      speedup_field: the same for speedups; None where no reference is named.
      num_samples: at least 1.
      seed: of the draws.
    """
    # Times of one sample belong together: a resampled rival moves everybody's ratios, so each sample is a whole field.
    times = resampled_medians(study_values, counts, num_samples, np.random.default_rng(seed))
    scores = score_field(times)
    return Bootstrap(
        num_samples=num_samples,
        seed=seed,
        score=interval(scores),
        rank=interval(ranks(scores), whole=True),
        speedup=interval(speedup_field(times)) if speedup_field else None,
    )
