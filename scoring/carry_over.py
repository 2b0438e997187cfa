"""Times of one machine, carried over to another by an algorithm that ran on both.

The ratio is that of seconds per update, which depend on machine and framework only. Seconds to a target also depend on
the number of updates, which varies with the seed.

A run ends when its budget is spent on its own clock: on a machine half as fast as the other, that is after half as many
updates. `cut_short` finds the misses that may be due to this.
"""

import collections
import dataclasses
import itertools
import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

from algoperf.spec import UsageError
from scoring.endings import USED_UP
from scoring.leaderboard import Leaderboard
from scoring.results import Reason, Results, Trial


def machine_factors(
    own: Results, beside: Results, published: Results, reference: str, prefix: str
) -> dict[str, float]:
    """Workload -> factor that converts seconds of this machine to those of the other.

    It is the reference's median seconds per update on the other machine over those on this one, of trials that reached
    the target. A workload where it did not, on either, takes the geometric mean of the others.

    Args:
      own: results of this machine that are scored.
      beside: results of this machine with those of the reference; may be `own`.
      published: results of the other machine.
      reference: name of the submission in `beside`.
      prefix: before its name in `published`.

    Raises:
      UsageError: if the reference did not run here, or reached no target.
    """
    if reference not in beside.submissions:
        raise UsageError(
            f"--calibrate needs results of {reference!r} from this machine beside yours "
            f"({', '.join(beside.submissions)}): run reference_algorithms/{reference} too (run_benchmark.py "
            "--calibrate does), or leave out --calibrate."
        )
    here = _seconds_per_update(beside.trials, reference)
    there = _seconds_per_update(published.trials, f"{prefix}/{reference}")
    factors = {workload: there[workload] / here[workload] for workload in sorted(there) if workload in here}
    if not factors:
        raise UsageError(
            f"--calibrate: {reference} reached no target here that it reached in {prefix}; leave out --calibrate, or "
            "score by --axis=steps."
        )
    # Geometric, because factors multiply: a machine twice as fast on one workload and half as fast on another is equal.
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
    """`results` with the seconds to each target multiplied by the factor of their workload.

    `last_time_sec` stays: it is compared with the budget, which the run had on its own clock.
    """

    def changed(trial: Trial) -> Trial:
        factor = factors[trial.workload]
        hit = trial.hit and dataclasses.replace(
            trial.hit, submission_time_sec=factor * trial.hit.submission_time_sec
        )
        return dataclasses.replace(trial, hit=hit, clock_factor=factor)

    return dataclasses.replace(results, trials=tuple(changed(trial) for trial in results.trials))


@dataclass(frozen=True)
class CutShort:
    """Trials that used up their own budget without a hit, with budget left on the other machine's clock."""

    submission: str
    workload: str
    clock_factor: float
    """Below 1."""
    last_sec: float
    """Last evaluation of the longest of them, on the other machine's clock."""
    budget_sec: float


def cut_short(results: Results, board: Leaderboard) -> list[CutShort]:
    """The misses that a larger budget here might have turned into hits there.

    Args:
      results: carried over to the other machine.
      board: the field they are scored in.
    """
    settings = board.settings
    found = []
    for submission, workload in itertools.product(results.submissions, board.table.columns):
        miss = board.table.cells[submission, workload].miss
        if miss is None or miss.reason is not Reason.TARGET_NOT_REACHED:
            continue
        budget_sec = settings.suite.budget_sec(workload, settings.ruleset_name)
        used_up = [
            trial
            for trial in results.trials
            if (trial.submission, trial.workload) == (submission, workload)
            and not trial.hit
            # '' of AlgoPerf's logs, which have no status. A run that ended for another reason was not cut short.
            and trial.status in ("", "budget_exhausted")
            and trial.last_time_sec >= USED_UP * budget_sec
        ]
        if not used_up:
            continue
        longest = max(used_up, key=lambda trial: trial.last_time_sec)
        factor, last_sec = longest.clock_factor, longest.last_time_sec
        next_sec = last_sec + settings.suite.targets(workload).eval_period_sec
        if factor < 1 and factor * next_sec <= budget_sec:  # One more evaluation would have counted.
            found.append(CutShort(submission, workload, factor, factor * last_sec, budget_sec))
    return found
