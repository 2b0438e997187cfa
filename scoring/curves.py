"""The stored evaluations of a field, and its hits at other targets than the suite's.

Relaxing a target by a share moves it by that share of its distance to the nearer end of its metric's range: an error
rate of 0.2257 and an accuracy of 0.7743 move alike, BLEU 30.8 by a tenth to 27.8, a loss of 0.124 by a tenth to 0.136.
A run ends when it has reached its targets, so a tightened target may lie beyond the end of what is stored; such a hit
is put at the last evaluation, which is a lower bound.
"""

import dataclasses
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from algoperf import direction, files, records
from algoperf.suites import Suite, WorkloadTargets
from scoring import evaluations
from scoring.results import Hit, Results, Trial


@dataclass(frozen=True)
class Curve:
    """One trial with its evaluations; None where they cannot be read."""

    trial: Trial
    log: evaluations.EvaluationLog | None


@dataclass(frozen=True)
class HitAt:
    """One trial at another target."""

    trial: Trial
    """With the hit there."""
    is_lower_bound: bool


def read(roots: Sequence[Path], trials: Sequence[Trial], suite: Suite, prefix: str = "") -> list[Curve]:
    """The evaluations of trials.

    Args:
      roots: folders of submissions; a trial is in one of them.
      trials: that were read from them.
      suite: names the metrics.
      prefix: before the names of submissions in `trials`, not in the folder.
    """
    found = []
    for trial in trials:
        workload = f"{trial.workload}_{trial.framework}"
        place = f"{trial.submission.removeprefix(prefix)}/study_{trial.study}/{workload}/trial_{trial.trial}"
        paths = [f"{root}/{place}/{records.EVAL_MEASUREMENTS}" for root in roots]
        try:
            content = files.read_regular(next(filter(os.path.isfile, paths), paths[0]))
            log = evaluations.parse(content, suite.targets(trial.workload).metric_name)
        except (OSError, evaluations.UnreadableError):
            log = None
        found.append(Curve(trial, log))
    return found


def relaxed(targets: WorkloadTargets, share: float) -> WorkloadTargets:
    """Targets that are easier to meet by a share; below 0, harder. See the head of this module.

    >>> from algoperf import suites
    >>> suite = suites.load("algoperf_v05")
    >>> [round(relaxed(suite.targets(name), 0.1).validation_target, 4) for name in ("wmt", "imagenet_vit", "criteo1tb")]
    [27.7642, 0.7504, 0.1361]
    """
    low, high = direction.range_of(targets.metric_name)
    target = targets.validation_target
    step = share * min(target - low, high - target)
    return dataclasses.replace(
        targets, validation_target=target - step if targets.higher_is_better else target + step
    )


def at_targets(curves: Sequence[Curve], suite: Suite, share: float) -> list[HitAt]:
    """Every trial with its first hit of its workload's target, relaxed by a share."""
    targets = {name: relaxed(suite.targets(name), share) for name in {one.trial.workload for one in curves}}
    return [_at_target(one, targets[one.trial.workload]) for one in curves]


def _at_target(curve: Curve, targets: WorkloadTargets) -> HitAt:
    trial, log = curve.trial, curve.log
    if log is None:
        return HitAt(trial, False)
    index = None
    best = direction.best(log.validation, targets.higher_is_better)
    if targets.is_met_by(best):
        index = evaluations.first_hit(log.validation, targets)
    # Who reached the suite's target and stopped there could have reached this one later.
    is_lower_bound = index is None and trial.hit is not None
    if is_lower_bound:
        index = len(log.submission_time_sec) - 1
    hit = None
    if index is not None:
        time_sec = trial.clock_factor * log.submission_time_sec[index]
        hit = Hit(index, time_sec, log.global_step[index])
    return HitAt(dataclasses.replace(trial, hit=hit), is_lower_bound)


def results_with(submissions: Sequence[str], hits: Sequence[HitAt]) -> Results:
    """A field of these hits."""
    return Results(tuple(submissions), tuple(one.trial for one in hits))
