"""How runs ended: which broke off, and why a study has no time.

A run that missed its target has used up its budget, or something says why it ended before: a status in its summary, a
metric that was not finite, or the step hint, whose updates it had all made. Where nothing does, it **broke off**, and
its miss says little. AlgoPerf's logs have no statuses, so there the evaluations decide: a run broke off if its last
evaluation lies below `USED_UP` of the budget *and* more than `FEW_EVALUATIONS` evaluations before its end, by the
longest time between two of its evaluations or the workload's evaluation period, whichever is longer.
"""

import collections
import math
from collections.abc import Iterable, Sequence

from algoperf import direction
from algoperf.suites import Suite, WorkloadTargets
from scoring import comparison
from scoring.results import Finding, Kind, Miss, Reason, Trial

USED_UP = 0.9
"""Share of the budget from which on a run counts as having used all of it.

Below 1, because what is known may be the time of the last evaluation, which may lie one period before the end.
"""
FEW_EVALUATIONS = 3
"""A run that ends with the budget misses one evaluation at most; two more are for those that took long."""
WHOLE_HINT = 0.99
"""Share of the step hint from which on a run counts as having made all its updates."""


def broke_off(trial: Trial, targets: WorkloadTargets, budget_sec: float) -> bool:
    """Whether a trial ended before its budget, and its target, and nothing says why.

    Args:
      trial: any; without `end` it is taken for whole.
      targets: of its workload.
      budget_sec: submission time that it was allowed.
    """
    end = trial.end
    if trial.hit or trial.status or end is None or not end.is_finite or has_made_all_updates(trial, targets):
        return False
    spacing = max(end.longest_gap_sec, targets.eval_period_sec)
    factor = budget_sec / targets.runtime_budget_sec
    # A budget of its own that was smaller explains the end, and is a finding of its own.
    own = [known for facts in trial.facts if (known := comparison.budget_of(facts, factor)) is not None]
    allowed_sec = min([budget_sec, *own])
    left = allowed_sec - trial.last_time_sec
    return trial.last_time_sec < USED_UP * allowed_sec and left > FEW_EVALUATIONS * spacing


def has_made_all_updates(trial: Trial, targets: WorkloadTargets) -> bool:
    """Whether a run came to its step hint, where many schedules end."""
    hint = targets.step_hint
    return hint is not None and trial.end is not None and trial.end.last_step >= WHOLE_HINT * hint


def findings(trials: Iterable[Trial], suite: Suite, ruleset: str) -> list[Finding]:
    """One line for each submission and workload of which trials broke off, with how many and where."""
    number: collections.Counter[tuple[str, str]] = collections.Counter()
    broken: dict[tuple[str, str], list[float]] = collections.defaultdict(list)
    for trial in trials:
        if trial.workload not in suite.scored_names():
            continue
        cell = (trial.submission, trial.workload)
        number[cell] += 1
        budget_sec = suite.budget_sec(trial.workload, ruleset)
        if broke_off(trial, suite.targets(trial.workload), budget_sec):
            broken[cell].append(trial.last_time_sec / budget_sec)
    return [
        Finding(
            *cell, Kind.ENDED_EARLY, "", f"{len(at)} of {number[cell]} trials, at {span(at)} of the budget"
        )
        for cell, at in broken.items()
    ]


def span(shares: Sequence[float]) -> str:
    """The least and the largest of some shares.

    >>> span([0.0012, 0.0014]), span([0.031, 0.4])
    ('0.1%', '3.1% to 40%')
    """
    low, high = (percent(end) for end in (min(shares), max(shares)))
    return low if low == high else f"{low} to {high}"


def percent(share: float) -> str:
    """A share; small ones with a decimal.

    >>> percent(0.0012), percent(0.59)
    ('0.1%', '59%')
    """
    return f"{share:.1%}" if share < 0.1 else f"{share:.0%}"


def why_no_trial_counts(
    trials: Sequence[Trial], best: float, targets: WorkloadTargets, budget_sec: float
) -> Miss:
    """The reason for an infinite study time.

    Args:
      trials: of the study, those that count.
      best: their best metric.
      targets: of the workload.
      budget_sec: submission time allowed to a trial.
    """
    # A target that was reached too late says most: the method works, but not within the budget.
    late = [(trial.hit.submission_time_sec, trial.clock_factor) for trial in trials if trial.hit]
    if late:
        return Miss(Reason.OVER_BUDGET, over_budget(*min(late), budget_sec))
    if not trials:
        return Miss(Reason.STUDY_MISSING, "no trial has evaluations")
    statuses = collections.Counter(trial.status for trial in trials if trial.status)
    ended = [f"{count} x {status}" for status, count in sorted(statuses.items())]
    others = [trial for trial in trials if trial.status not in ("failed", "unreadable")]
    if not others:
        return Miss(Reason.TRIAL_FAILED, ", ".join(ended))
    if all(trial.end is not None and not trial.end.num_evaluations for trial in others):
        first = next(trial.end for trial in others if trial.end)
        spent = f"budget of {budget_sec:,.0f} s spent before the first evaluation"
        return Miss(Reason.NO_EVALUATION, spent + (f": {first.note}" if first.note else ""))
    broken = [trial.last_time_sec / budget_sec for trial in others if broke_off(trial, targets, budget_sec)]
    if broken:
        ended.append(f"{len(broken)} of {len(trials)} trials ended early at {span(broken)} of the budget")
    if len(broken) == len(others):
        return Miss(Reason.ENDED_EARLY, f"{', '.join(ended)}; {not_reached(best, targets)}")
    ended += used_part(others, targets, budget_sec)
    return Miss(
        Reason.TARGET_NOT_REACHED, not_reached(best, targets) + (f" ({', '.join(ended)})" if ended else "")
    )


def used_part(trials: Sequence[Trial], targets: WorkloadTargets, budget_sec: float) -> list[str]:
    """How much of the budget the longest trial used, where that was not all of it; `trials` are one or more."""
    # `max` alone would return NaN or not, depending on the order.
    longest = max(trials, key=lambda trial: (not math.isnan(length_sec(trial)), length_sec(trial)))
    used = length_sec(longest)
    if not used < USED_UP * budget_sec:  # NaN, too.
        return []
    # Without a summary nobody knows how long a run went on after its last evaluation.
    is_known = longest.end is not None and not math.isnan(longest.end.run_sec)
    what = "used" if is_known else "was last evaluated at"
    text = f"longest trial {what} {percent(used / budget_sec)} of the budget"
    if has_made_all_updates(longest, targets):
        text += f", after all {targets.step_hint:,} updates of the step hint"
    return [text]


def length_sec(trial: Trial) -> float:
    """Submission time of a run: of its end where that is recorded, else of its last evaluation."""
    known = math.nan if trial.end is None else trial.end.run_sec
    return trial.last_time_sec if math.isnan(known) else known


def over_budget(time_sec: float, clock_factor: float, budget_sec: float) -> str:
    """The sentence on a target that was reached too late."""
    clock = (
        f" on the leaderboard's clock ({time_sec / clock_factor:,.0f} s here)" if clock_factor != 1 else ""
    )
    return f"reached at {time_sec:,.0f} s{clock}, after the budget of {budget_sec:,.0f} s"


def not_reached(best: float, targets: WorkloadTargets, among: str = "") -> str:
    """The sentence on a target that was not reached; `among` says whose best metric it is, with a space before."""
    known = "" if math.isnan(best) else f"best {targets.metric_name}{among} {best:.6g}, "
    return f"{known}target {direction.sign(targets.higher_is_better)} {targets.validation_target:.6g}"
