"""Results of external tuning -> for each submission its points, and what became of each of them on each workload.

All trials of all studies count, also those beyond the ruleset's numbers; held-out variants do not. A run without a hit
is a miss if it used up its budget, diverged, failed or ended itself. One that was stopped (because a sibling had been
faster, or by hand), that made no more than a given number of updates, or that broke off, might have hit later: it is
*stopped early*.
"""

import json
import math
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from algoperf import files, records
from algoperf.spec import UsageError
from algoperf.suites import Suite
from scoring import reading
from scoring.endings import USED_UP
from scoring.results import Trial
from scoring.tuning_curves import Runs

FINAL = ("target_reached", "budget_exhausted", "diverged", "failed", "submission_ended")
"""Statuses of runs that nothing outside of them ended."""

Point = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Run:
    """One trial."""

    point: int
    """Its place in `Tuned.points`."""
    study: int
    time_sec: float
    """To the target; infinite if not reached within the budget."""
    stopped_sec: float
    """When it was stopped early without a hit; NaN for others."""
    used_sec: float
    """Until its last evaluation; NaN if there was none."""
    best: float
    """Best validation metric; NaN if there was none."""


@dataclass(frozen=True)
class Tuned:
    """One submission."""

    submission: str
    points: tuple[Point, ...]
    """All that were tried, each once."""
    is_list: bool
    """Whether studies repeat the same points, rather than draw their own."""
    runs: dict[str, tuple[Run, ...]]
    """Workload -> its trials."""
    budgets: dict[str, float]
    """Workload -> seconds."""

    def groups(self, workload: str) -> list[Runs]:
        """What curves are made of: one sample of all runs, or where points are a list one for each study."""
        runs = self.runs[workload]
        studies = sorted({run.study for run in runs}) if self.is_list else [None]
        return [
            Runs.make(
                [run.time_sec for run in runs if study in (None, run.study)],
                [run.stopped_sec for run in runs if study in (None, run.study)],
                self.budgets[workload],
            )
            for study in studies
        ]

    def max_trials(self, workload: str) -> int:
        """The last number of trials of a curve."""
        return min(len(group.times) for group in self.groups(workload))

    def used_sec(self, workload: str) -> float:
        """Mean seconds on the clock of one trial; NaN where no trial says."""
        known = [run.used_sec for run in self.runs[workload] if not math.isnan(run.used_sec)]
        return float(np.mean(known)) if known else math.nan

    def num_stopped(self) -> int:
        """Trials that were stopped early."""
        return sum(not math.isnan(run.stopped_sec) for runs in self.runs.values() for run in runs)


def read(root: Path, suite: Suite, ruleset: str, include: Collection[str] = ()) -> list[Tuned]:
    """All submissions of a folder that ran workloads of the suite.

    Raises:
      UsageError: if there are none, or nothing was tuned.
    """
    targets = {name: suite.targets(name) for name in suite.workloads}
    results = reading.read_submissions(root, targets, include=include)
    if not results.trials:
        raise UsageError(
            f"No trial ran a workload of suite {suite.name!r} ({', '.join(targets)}): name another with --suite."
        )
    found = []
    for submission in results.submissions:
        trials = [trial for trial in results.trials if trial.submission == submission]
        if trials:
            found.append(tuned(root, trials, {name: suite.budget_sec(name, ruleset) for name in targets}))
    return found


def tuned(root: Path, trials: Collection[Trial], budgets: dict[str, float]) -> Tuned:
    """One submission from its trials.

    Raises:
      UsageError: if a trial has no hyperparameters.
    """
    place_of: dict[str, int] = {}
    points: list[Point] = []
    runs: dict[str, list[Run]] = {}
    for trial in trials:
        point = read_point(root, trial)
        key = json.dumps({name: rounded(value) for name, value in point.items()}, sort_keys=True)
        if key not in place_of:
            place_of[key] = len(points)
            points.append(point)
        runs.setdefault(trial.workload, []).append(run_of(trial, place_of[key], budgets[trial.workload]))
    return Tuned(
        submission=next(iter(trials)).submission,
        points=tuple(points),
        is_list=any(
            len({run.study for run in own if run.point == place}) > 1
            for own in runs.values()
            for place in range(len(points))
        ),
        runs={name: tuple(runs[name]) for name in budgets if name in runs},
        budgets={name: budgets[name] for name in budgets if name in runs},
    )


def read_point(root: Path, trial: Trial) -> Point:
    """The hyperparameters beside a trial."""
    path = (
        root
        / trial.submission
        / f"study_{trial.study}"
        / f"{trial.workload}_{trial.framework}"
        / f"trial_{trial.trial}"
        / records.HPARAMS
    )
    point = files.read_json_or_none(path)
    if not isinstance(point, dict) or not point:
        raise UsageError(
            f"{path.relative_to(root)} is missing or holds no hyperparameters: this is about external tuning, where "
            "each trial has a point. Leave the submission out with --include=<others>."
        )
    return point


def rounded(value: Any) -> Any:
    """A hyperparameter for comparison; the last digits of a float depend on who wrote it."""
    return float(f"{value:.9g}") if isinstance(value, float) else value


def run_of(trial: Trial, point: int, budget_sec: float) -> Run:
    """What a trial says about its point."""
    hit_sec = trial.hit.submission_time_sec if trial.hit else math.inf
    last_sec = 0.0 if math.isnan(trial.last_time_sec) else trial.last_time_sec
    # AlgoPerf's logs have no status. There a run that ended early broke off.
    is_final = trial.hit or trial.status in FINAL or (not trial.status and last_sec >= USED_UP * budget_sec)
    return Run(
        point=point,
        study=trial.study,
        time_sec=hit_sec if hit_sec <= budget_sec else math.inf,
        stopped_sec=math.nan if is_final else min(last_sec, budget_sec),
        used_sec=trial.last_time_sec,
        best=trial.best,
    )
