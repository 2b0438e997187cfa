"""The evaluations of all trials, thinned where there are many, so that a field of thousands stays a file of megabytes.

What is kept of a long curve: its first and last evaluation, the first hit, and of each stretch of evaluations between
them the least and the largest, so that a picture as wide as a page looks the same.
"""

import math
from collections.abc import Sequence

from scoring.results import EvaluationLog, Trial

MOST = 60
"""Evaluations kept of a curve."""
LEAST = 12
ALL_TOGETHER = 60_000
"""Evaluations kept of a field, where there are more curves than this allows `MOST` for."""
DIGITS = 6
"""Significant ones of metrics: pictures show fewer, and times and targets are told apart elsewhere."""


def content(trials: Sequence[Trial]) -> list[dict[str, list[float | None]] | None]:
    """For each trial seconds, updates and metric of its evaluations; None where they are not known."""
    known = sum(trial.log is not None for trial in trials)
    most = max(LEAST, min(MOST, ALL_TOGETHER // max(known, 1)))
    return [None if trial.log is None else one(trial, trial.log, most) for trial in trials]


def one(trial: Trial, log: EvaluationLog, most: int) -> dict[str, list[float | None]]:
    """One curve of about `most` evaluations.

    Args:
      trial: whose hit is kept.
      log: its evaluations.
      most: evaluations to keep.
    """
    kept = thinned(log.validation, most, {trial.hit.evaluation} if trial.hit else set())
    factor = trial.clock_factor
    return {
        "time_sec": [round(factor * log.submission_time_sec[index], 2) for index in kept],
        "step": [_whole(log.global_step[index]) for index in kept],
        "metric": [_short(log.validation[index]) for index in kept],
    }


def thinned(values: Sequence[float], most: int, wanted: set[int]) -> list[int]:
    """Places of the values to keep: ends, `wanted`, and least and largest of every stretch.

    Args:
      values: of a curve; NaN is neither least nor largest.
      most: values to keep, beside the wanted ones.
      wanted: places that are kept in any case.

    >>> thinned([5.0, 4.0, 4.5, 3.0, 3.5, 2.0, 2.5, 1.0], 6, {6})
    [0, 2, 3, 4, 5, 6, 7]
    """
    count = len(values)
    if count <= most:
        return list(range(count))
    kept = {0, count - 1, *wanted}
    stretches = (most - 2) // 2
    for number in range(stretches):
        places = range(1 + number * (count - 2) // stretches, 1 + (number + 1) * (count - 2) // stretches)
        known = [place for place in places if not math.isnan(values[place])]
        if known:
            kept.add(min(known, key=values.__getitem__))
            kept.add(max(known, key=values.__getitem__))
    return sorted(kept)


def _whole(step: float) -> float | None:
    return int(step) if math.isfinite(step) else None


def _short(value: float) -> float | None:
    return float(f"{value:.{DIGITS}g}") if math.isfinite(value) else None
