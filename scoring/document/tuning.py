"""What n trials of tuning achieve, over n: chance of a hit, and expected time as a share of the budget.

Definitions and intervals: `scoring.tuning_curves`, docs/tuning.md. Here are the values alone, for a picture: intervals
need simulations that take longer than scoring, and `python -m scoring.tuning` gives them.
"""

import json
from collections.abc import Sequence
from typing import Any

import numpy as np

from scoring import tuning_curves, tuning_runs
from scoring.document.trials import Point
from scoring.leaderboard import Leaderboard
from scoring.results import Trial
from scoring.tuning_curves import Runs


def content(
    board: Leaderboard, trials: Sequence[Trial], points: Sequence[Point]
) -> dict[str, dict[str, Any]] | None:
    """Submission -> workload -> `trials`, `chance` and `expected` for 1, 2, ... trials; None where nothing is tuned."""
    if board.settings.ruleset.num_trials < 2 or board.settings.medians:
        return None
    cells: dict[tuple[str, str], list[tuple[Trial, Point]]] = {}
    for trial, point in zip(trials, points):
        cells.setdefault((trial.submission, trial.workload), []).append((trial, point))
    found: dict[str, dict[str, Any]] = {}
    for (submission, workload), own in cells.items():
        if workload in board.workloads:
            budget_sec = board.settings.suite.budget_sec(workload, board.settings.ruleset_name)
            found.setdefault(submission, {})[workload] = curve(own, budget_sec)
    return found


def curve(tried: Sequence[tuple[Trial, Point]], budget_sec: float) -> dict[str, Any]:
    """The curve of one submission on one workload, up to as many trials as its smallest group has.

    Args:
      tried: trials of all studies with their points.
      budget_sec: a miss counts as this.
    """
    groups = [_runs(group, budget_sec) for group in grouped(tried)]
    numbers = range(1, min(len(group.times) for group in groups) + 1)
    chances, expected = [], []
    for number in numbers:
        parts = [_at(group, number) for group in groups]
        chances.append(round(float(np.mean([chance for chance, _ in parts])), 6))
        expected.append(round(float(np.mean([sec for _, sec in parts])) / budget_sec, 6))
    return {"trials": list(numbers), "chance": chances, "expected_budget_share": expected}


def grouped(tried: Sequence[tuple[Trial, Point]]) -> list[list[Trial]]:
    """Runs that are draws of one sample: all of them, or where studies repeat a list of points those of each study."""
    studies_of: dict[str, set[int]] = {}
    for trial, point in tried:
        if point:
            rounded = {name: tuning_runs.rounded(value) for name, value in point.items()}
            studies_of.setdefault(json.dumps(rounded, sort_keys=True), set()).add(trial.study)
    if all(len(studies) == 1 for studies in studies_of.values()):
        return [[trial for trial, _ in tried]]
    numbers = sorted({trial.study for trial, _ in tried})
    return [[trial for trial, _ in tried if trial.study == number] for number in numbers]


def _runs(trials: Sequence[Trial], budget_sec: float) -> Runs:
    found = [tuning_runs.run_of(trial, 0, budget_sec) for trial in trials]
    return Runs.make([one.time_sec for one in found], [one.stopped_sec for one in found], budget_sec)


def _at(runs: Runs, number: int) -> tuple[float, float]:
    """(chance of a hit, expected seconds) of the best of so many runs."""
    at, above = runs.survival(number)
    return float(1 - above[np.isfinite(at).sum()]), tuning_curves.area(at, above, runs.budget_sec)
