"""Times of one machine, carried over to another by an algorithm that ran on both.

Seconds per update compare machines (and frameworks) apart from the luck of a run; seconds to a target do not.
"""

import collections
import dataclasses
import math
import statistics
from collections.abc import Mapping

from algoperf.spec import UsageError
from scoring.records import Results, Trial


def machine_factors(own: Results, published: Results, reference: str, prefix: str) -> dict[str, float]:
    """What own seconds are multiplied by, per workload.

    It is the reference's median seconds per update there over those here, of trials that reached the target. A
    workload where it did not, here or there, takes the geometric mean of the others.

    Args:
      own: results of this machine, with those of the reference.
      published: results of the other machine.
      reference: name of the submission in `own`.
      prefix: before its name in `published`.

    Raises:
      UsageError: if the reference did not run here, or reached no target.
    """
    if reference not in own.submissions:
        raise UsageError(
            f"--calibrate needs results of {reference!r} from this machine beside yours "
            f"({', '.join(own.submissions)}): run reference_algorithms/{reference} too (run_benchmark.py --calibrate "
            "does), or leave out --calibrate."
        )
    here = _seconds_per_update(own.trials, reference)
    there = _seconds_per_update(published.trials, f"{prefix}/{reference}")
    factors = {workload: there[workload] / here[workload] for workload in sorted(there) if workload in here}
    if not factors:
        raise UsageError(
            f"--calibrate: {reference} reached no target here that it reached in {prefix}; leave out --calibrate, or "
            "score by --axis=steps."
        )
    typical = math.exp(statistics.fmean(map(math.log, factors.values())))
    workloads = sorted({trial.workload for trial in own.trials})
    return {workload: factors.get(workload, typical) for workload in workloads}


def _seconds_per_update(trials: tuple[Trial, ...], submission: str) -> dict[str, float]:
    """Workload -> median over the trials with a hit."""
    found: dict[str, list[float]] = collections.defaultdict(list)
    for trial in trials:
        if trial.submission == submission and trial.hit and trial.hit.global_step > 0:
            found[trial.workload].append(trial.hit.submission_time_sec / trial.hit.global_step)
    return {workload: statistics.median(values) for workload, values in found.items()}


def carried_over(results: Results, factors: Mapping[str, float]) -> Results:
    """`results` with all seconds multiplied by the factor of their workload."""

    def changed(trial: Trial) -> Trial:
        factor = factors[trial.workload]
        hit = trial.hit and dataclasses.replace(
            trial.hit, submission_time_sec=factor * trial.hit.submission_time_sec
        )
        return dataclasses.replace(trial, hit=hit, last_time_sec=factor * trial.last_time_sec)

    return dataclasses.replace(results, trials=tuple(changed(trial) for trial in results.trials))
