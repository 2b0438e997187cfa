"""Geometric-mean speedup over a named reference; above 1 is faster than the reference."""

import math

import numpy as np

from algoperf.suites import Ruleset, Suite
from scoring.results import STEPS


def geometric_mean_speedup(times: np.ndarray, reference: int, penalties: np.ndarray) -> np.ndarray:
    """Geometric mean over workloads of reference time over own time.

    Neither the held-out nor the r_max rule applies. An infinite time is replaced by the workload's penalty,
    in the reference too, so a workload that neither reached cancels out.

    Args:
      times: (..., submissions, workloads); NaN makes a result NaN, as officially a missing workload does.
      reference: row of the reference submission.
      penalties: (workloads,) finite replacement for infinite times.

    Returns:
      (..., submissions)

    >>> times = np.array([[10.0, 40.0], [20.0, 20.0], [np.inf, 40.0]])
    >>> geometric_mean_speedup(times, 0, np.array([90.0, 90.0]))
    array([1.        , 1.        , 0.33333333])
    """
    # A time of 0, as published numbers may have, is infinitely fast: exp(inf); beside another one it is no number.
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(np.isinf(times), penalties, times))
        return np.exp(np.mean(logs[..., [reference], :] - logs, axis=-1))


def common_speedup(times: np.ndarray, reference: int) -> tuple[np.ndarray, np.ndarray]:
    """The same over the workloads that both reached, with how many there are; NaN where there is none.

    No penalty enters, but a submission gains by failing on the workloads where it is slow: read it beside
    `geometric_mean_speedup`, not instead.

    >>> common_speedup(np.array([[10.0, 40.0], [20.0, np.inf]]), 0)
    (array([1. , 0.5]), array([2, 1]))
    """
    both = np.isfinite(times) & np.isfinite(times[..., [reference], :])
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(np.where(both, times, 1.0))
        reference_logs = np.where(both, logs[..., [reference], :], 0.0)
        sums = (reference_logs - logs).sum(axis=-1)
    counts = both.sum(axis=-1)
    return np.exp(np.where(counts > 0, sums / np.maximum(counts, 1), math.nan)), counts


def penalties(suite: Suite, ruleset: Ruleset, axis: str, times: np.ndarray) -> np.ndarray:
    """What an infinite time counts as in `geometric_mean_speedup`.

    On submission time: the budget plus one second (AlgoPerf's choice). On steps there is no budget: the step
    hint times the budget factor, or the most steps that anybody needed if that is more, plus one.

    Args:
      suite, ruleset: give budgets and step hints.
      axis: 'submission_time' or 'steps'.
      times: (submissions, workloads) of the field.

    Returns:
      (workloads,)
    """
    targets = [suite.targets(name) for name in suite.workloads]
    if axis == STEPS:
        hints = np.array([target.step_hint or 0 for target in targets]) * ruleset.budget_factor
        most = np.max(np.where(np.isfinite(times), times, 0.0), axis=0, initial=0.0)
        return np.maximum(hints, most) + 1
    return np.array([target.runtime_budget_sec for target in targets]) * ruleset.budget_factor + 1
