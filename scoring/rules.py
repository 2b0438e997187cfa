"""Workload times -> held-out rule, r_max rule, performance ratios; leading batch axes are allowed.

A submission has a finite time on a fixed workload if it (1) reached the target within the budget, (2) was
within r_max times the fastest submission, (3) reached the target of the held-out variant within its budget,
and (4) was there within r_max times the fastest of those that reached the target of the fixed workload. A
fixed workload without a held-out variant skips (3) and (4).
"""

import math
from dataclasses import dataclass

import numpy as np

from scoring.results import Miss, Reason
from scoring.times import TimeTable

VERSION = "1.0"
"""Of RULES.md, whose sections 8 and 9 these are."""


@dataclass(frozen=True)
class Ratios:
    """Performance ratios, and what made times infinite on the way."""

    values: np.ndarray
    """(..., submissions, workloads), at least 1; infinite where the time is."""
    held_out_limits: np.ndarray
    """(..., held-out columns) r_max times the fastest time that counts; infinite if nobody's does."""
    failed_guards: np.ndarray
    """(..., submissions, held-out columns) whether condition (3) or (4) failed."""
    limits: np.ndarray
    """(..., workloads) r_max times the fastest time."""
    too_slow: np.ndarray
    """(..., submissions, workloads) whether condition (2) alone made a time infinite."""


def performance_ratios(
    times: np.ndarray, num_workloads: int, bases: tuple[int, ...], r_max: float, *, one_best: bool = True
) -> Ratios:
    """Time over the fastest submission's time, after all rules.

    Args:
      times: (..., submissions, columns), fixed workloads first; NaN (no results) counts as infinite.
      num_workloads: number of fixed workloads.
      bases: for each held-out column, the fixed workload it guards.
      r_max: limit of conditions (2) and (4); exactly r_max times the fastest is still within it.
      one_best: see `Procedure`.

    >>> performance_ratios(np.array([[10.0], [25.0], [41.0]]), 1, (), 4.0).values.ravel()
    array([1. , 2.5, inf])
    """
    times = np.where(np.isnan(times), math.inf, times)
    fixed, variants = times[..., :num_workloads], times[..., num_workloads:]
    # A variant counts, and sets a pace, only for who reached the target of its fixed workload.
    reached_base = np.isfinite(fixed[..., list(bases)])
    variants = np.where(reached_base, variants, math.inf)
    held_out_limits = r_max * fastest(variants)
    # If nobody reached the variant, its limit is infinite and infinity is within it: that has to fail all the same.
    failed_guards = ~(variants <= held_out_limits[..., None, :]) | np.isinf(variants)

    qualified = fixed.copy()
    for position, base in enumerate(bases):
        failed = failed_guards[..., position]
        qualified[..., base] = np.where(failed, math.inf, qualified[..., base])
    # A submission that fails the held-out variant must not set the pace for others, except officially.
    limits = r_max * fastest(qualified if one_best else fixed)
    too_slow = np.isfinite(qualified) & (qualified > limits[..., None, :])
    remaining = np.where(too_slow, math.inf, qualified)
    # Officially the fastest by r_max may be disqualified: ratios then refer to the fastest of those that remain.
    best = fastest(remaining)[..., None, :]
    # Where nobody has a finite time, the division is by 1 and leaves infinity as it is. Beside a time of 0, as
    # published numbers may have, all others are infinitely slower.
    divisor = np.where(np.isfinite(best) & (best > 0), best, 1.0)
    values = np.where(best > 0, remaining / divisor, np.where(remaining > 0, math.inf, 1.0))
    return Ratios(values, held_out_limits, failed_guards, limits, too_slow)


def fastest(times: np.ndarray) -> np.ndarray:
    """(..., columns) smallest time over the submissions; infinite where there is no submission."""
    return np.min(times, axis=-2, initial=math.inf)


def why_infinite(table: TimeTable, ratios: Ratios, r_max: float) -> dict[tuple[str, str], Miss]:
    """(submission, column) -> reason, for every infinite ratio and every infinite held-out time.

    The first condition that fails gives the reason, so a target that was not reached is never blamed on the
    held-out variant.
    """
    misses: dict[tuple[str, str], Miss] = {}
    n = table.num_workloads
    for row, submission in enumerate(table.submissions):
        for position, base in enumerate(table.bases):
            variant, base_name = table.columns[n + position], table.columns[base]
            cell = table.cells[submission, variant]
            if cell.miss:
                misses[submission, variant] = cell.miss
            elif table.cells[submission, base_name].miss:
                detail = f"{cell.value:,.2f}, but {base_name} itself was not reached, so it does not count"
                misses[submission, variant] = Miss(Reason.BASE_NOT_REACHED, detail)
            elif ratios.failed_guards[row, position]:
                misses[submission, variant] = slow_miss(cell.value, ratios.held_out_limits[position], r_max)
        for column, workload in enumerate(table.columns[:n]):
            cell = table.cells[submission, workload]
            guards = [
                table.columns[n + position] for position, base in enumerate(table.bases) if base == column
            ]
            # Misses of the variants are known by now: the loop above has gone through all of them.
            failed = [variant for variant in guards if (submission, variant) in misses]
            if cell.miss:
                misses[submission, workload] = cell.miss
            elif failed:
                misses[submission, workload] = blame(failed[0], misses[submission, failed[0]])
            elif ratios.too_slow[row, column]:
                misses[submission, workload] = slow_miss(cell.value, ratios.limits[column], r_max)
    return misses


def slow_miss(value: float, limit: float, r_max: float) -> Miss:
    """The reason for a time beyond r_max times the fastest."""
    return Miss(Reason.TOO_SLOW, f"{value:,.2f} is over {r_max:g} x the fastest, {limit / r_max:,.2f}")


def blame(variant: str, miss: Miss) -> Miss:
    """The reason on a fixed workload for a failure on its held-out variant."""
    reason = {
        Reason.WORKLOAD_MISSING: Reason.HELD_OUT_MISSING,
        Reason.STUDY_MISSING: Reason.HELD_OUT_MISSING,
        Reason.TOO_SLOW: Reason.HELD_OUT_TOO_SLOW,
    }.get(miss.reason, Reason.HELD_OUT_TARGET_NOT_REACHED)
    return Miss(reason, f"{variant}: {miss.detail}")
