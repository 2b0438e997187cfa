"""When a study reached any target from much easier to much harder: enough to score the field again elsewhere.

At each target the time of a study is that of one trial's evaluation, so all of them together are a short list: the
evaluations that no faster one equals. `curves.at_targets` with `times.study_time` gives the same for one target.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from algoperf import direction
from algoperf.suites import WorkloadTargets
from scoring import curves
from scoring.leaderboard import Leaderboard
from scoring.procedure import Procedure
from scoring.results import Trial

FURTHEST = 0.2
"""Share by which targets may be relaxed and tightened in the report."""


@dataclass(frozen=True, slots=True)
class Point:
    """An evaluation that is the first of its study to meet some target."""

    metric: float | None
    """None meets every target: the last evaluation of a run that ended at the suite's, a bound for harder ones."""
    submission_time_sec: float
    global_step: float
    trial: int


def front(
    trials: Sequence[Trial],
    targets: WorkloadTargets,
    *,
    budget_sec: float,
    num_trials: int,
    procedure: Procedure,
) -> list[Point]:
    """The first evaluations of a study, from the easiest target to the hardest.

    Args:
      trials: of one study on one workload, with their evaluations.
      targets: of the suite; easier ones than by `FURTHEST` need not be told apart, nor harder ones.
      budget_sec: evaluations after it do not count, except officially.
      num_trials: of the ruleset.
      procedure: see `times.study_time`.
    """
    trials = sorted(trials, key=lambda trial: trial.trial)
    if procedure.ruleset_counts:
        trials = trials[:num_trials]
    sign = 1.0 if targets.higher_is_better else -1.0
    easiest, hardest = (curves.relaxed(targets, share) for share in (FURTHEST, -FURTHEST))
    found: list[tuple[tuple[float, ...], float, Point]] = []
    for place, trial in enumerate(trials):
        for index, value, time_sec, step in _records(trial, targets, easiest):
            if procedure.check_budget and time_sec > budget_sec:
                break
            key = (time_sec, place) if procedure.fastest_trial else (index, time_sec, place)
            point = Point(None if math.isinf(value) else value, time_sec, step, trial.trial)
            found.append((key, sign * value if point.metric is not None else math.inf, point))
    best, kept = -math.inf, []
    for _, value, point in sorted(found, key=lambda one: one[:2]):
        if value > best:
            kept.append(point)
            best = value
        if point.metric is None or hardest.is_met_by(point.metric):
            break
    return kept


def _records(
    trial: Trial, targets: WorkloadTargets, easiest: WorkloadTargets
) -> list[tuple[int, float, float, float]]:
    """(index, value, seconds, updates) of the evaluations that were better than all before, from the easiest target on.

    Then the last evaluation with an infinite value, if the run had reached the suite's target: it might have gone on.
    """
    if trial.log is None:
        return []
    times, steps, values = trial.log.submission_time_sec, trial.log.global_step, trial.log.validation
    best = direction.best(values, targets.higher_is_better)
    if not easiest.is_met_by(best):
        return []
    sign = 1.0 if targets.higher_is_better else -1.0
    found, seen = [], -math.inf
    for index, value in enumerate(values):
        if sign * value > seen and math.isfinite(value):
            seen = sign * value
            if easiest.is_met_by(value):
                found.append((index, value, trial.clock_factor * times[index], steps[index]))
    if trial.hit is not None:
        last = len(times) - 1
        found.append((last, sign * math.inf, trial.clock_factor * times[last], steps[last]))
    return found


def has_all(trials: Sequence[Trial]) -> bool:
    """Whether the evaluations behind every hit are known."""
    return all(trial.log is not None for trial in trials if trial.hit is not None)


def content(board: Leaderboard, trials: Sequence[Trial]) -> dict[str, object] | None:
    """Submission -> column -> studies with their points; None where the evaluations of a field are not known."""
    if board.settings.medians or not has_all(trials):
        return None
    grouped: dict[tuple[str, str, int], list[Trial]] = {}
    for trial in trials:
        grouped.setdefault((trial.submission, trial.workload, trial.study), []).append(trial)
    return {
        "furthest": FURTHEST,
        "columns": ["metric", "submission_time_sec", "global_step", "trial"],
        "submissions": {
            name: {column: _cell(board, grouped, name, column) for column in board.table.columns}
            for name in board.submissions
        },
    }


def _cell(
    board: Leaderboard, grouped: Mapping[tuple[str, str, int], Sequence[Trial]], name: str, column: str
) -> list[dict[str, object]]:
    settings = board.settings
    ruleset, targets = settings.ruleset, settings.suite.targets(column)
    budget_sec = targets.runtime_budget_sec * ruleset.budget_factor
    studies = []
    for study in board.table.cells[name, column].studies:
        own = grouped.get((name, column, study.study), ())
        points = front(
            own,
            targets,
            budget_sec=budget_sec,
            num_trials=ruleset.num_trials,
            procedure=settings.procedure,
        )
        rows = [
            [
                one.metric,
                one.submission_time_sec,
                one.global_step if one.global_step == one.global_step else None,
                one.trial,
            ]
            for one in points
        ]
        studies.append({"study": study.study, "was_run": study.was_run, "points": rows})
    return studies
