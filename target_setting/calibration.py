"""Whether a workload tells good choices from bad ones: its targets seen from the whole sweep and from a weak choice.

A point hits when its run meets both targets. Gaps are in units of the noise, the standard deviation of the best
validation metric over reruns of one point, and are positive where something is worse than the median rerun.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from target_setting.results import Metric, best_validation
from target_setting.sweep import SweepTrial
from target_setting.targets import Hit, TargetSetting, hits

CLEAR = 2.0
"""Gap, in units of the noise, from which a choice counts as told apart."""


@dataclass(frozen=True)
class Choice:
    """One algorithm's points, or the runs of the weak choice, against the targets; `best` is over the runs."""

    name: str
    values: tuple[float, ...]
    """Best validation metric of each run; NaN where there is none."""
    hits: tuple[Hit, ...]
    best: float
    gap: float
    """Of `best`."""
    median_gap: float
    """Of the median run; infinite where at least half have no result."""

    @property
    def num_runs(self) -> int:
        return len(self.values)


@dataclass(frozen=True, eq=False)
class Calibration:
    """What the sweep says about one workload."""

    setting: TargetSetting
    noise: float
    algorithms: tuple[Choice, ...]
    weak: Choice | None
    """None without such runs."""

    @property
    def num_points(self) -> int:
        return sum(one.num_runs for one in self.algorithms)

    @property
    def num_hits(self) -> int:
        return sum(len(one.hits) for one in self.algorithms)


def calibrate(
    setting: TargetSetting, trials: Sequence[SweepTrial], weak_runs: Sequence[SweepTrial]
) -> Calibration:
    """Targets of a workload against the sweep's trials on it and runs of its weak choice."""
    values = np.array([rerun.best_validation for rerun in setting.reruns])
    noise = float(np.std(values[np.isfinite(values)], ddof=1)) if np.isfinite(values).sum() > 1 else np.nan
    algorithms = sorted({trial.algorithm for trial in trials})
    groups = [(name, [trial for trial in trials if trial.algorithm == name]) for name in algorithms]
    return Calibration(
        setting=setting,
        noise=noise,
        algorithms=tuple(_choice(name, group, setting, noise) for name, group in groups),
        weak=_choice("weak", weak_runs, setting, noise) if weak_runs else None,
    )


def _choice(name: str, runs: Sequence[SweepTrial], setting: TargetSetting, noise: float) -> Choice:
    metric = setting.metric
    values = np.array([best_validation(run, metric) for run in runs])
    both = [hits(run, metric, setting.validation_target, setting.test_target)[1] for run in runs]
    best = metric.best(values)
    middle = float(np.median(metric.costs(values)))
    return Choice(
        name=name,
        values=tuple(values.tolist()),
        hits=tuple(hit for hit in both if hit is not None),
        best=best,
        gap=_gap(float(metric.costs(best)), setting, metric, noise),
        median_gap=_gap(middle, setting, metric, noise),
    )


def _gap(cost: float, setting: TargetSetting, metric: Metric, noise: float) -> float:
    difference = cost - float(metric.costs(setting.validation_target))
    return difference / noise if noise else np.copysign(np.inf, difference) if difference else 0.0


def notes_on(one: Calibration) -> list[str]:
    """What speaks against the workload as it is, in sentences."""
    name, notes = one.setting.workload, []
    if one.num_points and one.num_hits > one.num_points / 2:
        notes.append(
            f"Warning: {name}: {one.num_hits} of {one.num_points} points reach the targets: they are too easy."
        )
    middle = [choice.median_gap for choice in one.algorithms]
    if middle and max(middle) < CLEAR:
        notes.append(
            f"Warning: {name}: the median point of no algorithm is {CLEAR:g} standard deviations of reruns behind the "
            "best one: noise hides what points differ by. Make runs longer, or evaluate on more examples."
        )
    if one.weak and len(one.weak.hits) > one.weak.num_runs / 2:
        notes.append(
            f"Warning: {name}: a tenth of the best learning rate reaches the targets in {len(one.weak.hits)} of "
            f"{one.weak.num_runs} runs: the learning rate does not matter."
        )
    return notes
