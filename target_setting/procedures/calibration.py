"""How well targets tell good choices from bad ones, beside the noise of reruns.

The targets of a workload are seen from the whole sweep and from a weak choice. A point hits when its run meets both
targets. Gaps are in units of the noise, the standard deviation of the best validation metric over reruns of one point,
and are positive where something is worse than the median rerun.
"""

from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass
from types import ModuleType

import numpy as np

from scoring.score_report import number
from scoring.text import table as text_table
from target_setting import plots
from target_setting.outcome import Outcome
from target_setting.selection import Selection
from target_setting.sweep import WEAK_FACTOR, SweepTrial
from target_setting.sweep_tables import Metric, best_validation, on
from target_setting.tables import metric_value, percent
from target_setting.target_rules import Hit, Spread, TargetSetting, check_min_reruns, hits, set_all

CLEAR = 2.0
"""Gap, in units of the noise, from which a choice counts as told apart."""


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags."""

    min_reruns: int = 5
    """Fewest reruns that targets are set from."""

    def __post_init__(self) -> None:
        check_min_reruns(self.min_reruns)


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
    # Reruns that are all equal have no noise: any difference then is infinitely many standard deviations.
    return difference / noise if noise else np.copysign(np.inf, difference) if difference else 0.0


def notes_on(one: Calibration) -> list[str]:
    """What speaks against the workload as it is, in sentences."""
    name, notes = one.setting.workload, []
    if one.num_points and one.num_hits > one.num_points / 2:
        notes.append(
            f"Warning: {name}: {one.num_hits} of {one.num_points} points reach the targets: they are too easy."
        )
    # The median, because the best of many points is near the target in any sweep that was worth making.
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


def analyse(selection: Selection, options: Options) -> Outcome:
    """How well every workload with reruns tells choices apart."""
    settings, _, notes = set_all(selection, options.min_reruns)
    sweep = selection.sweep
    found = [calibrate(one, on(one.workload, sweep.trials), on(one.workload, sweep.weak)) for one in settings]
    without = [one.setting.workload for one in found if one.weak is None]
    if without:
        notes.append(
            f"No runs of a weak choice on {', '.join(without)}: make them with set_targets.py run … --weak_runs=2."
        )
    return Outcome(
        table=report(found),
        content=content(found),
        panels=panels(found),
        title="Best validation metric of every run, and the target",
        notes=(*notes, *(note for one in found for note in notes_on(one))),
    )


def report(found: Collection[Calibration]) -> str:
    """Targets and how surely and when they are reached; then what other choices come to."""
    header = ["workload", "metric", "targets", "hit both", "left out", "updates to both", "seconds to both"]
    names = ["workload", "choice", "runs", "hit both", "first at update", "best", "gap", "median gap"]
    rows, choices = [], []
    for one in found:
        setting = one.setting
        rows.append(
            [
                setting.workload,
                setting.metric.name,
                targets_text(setting),
                f"{round(setting.probability_both * len(setting.reruns))} of {len(setting.reruns)}",
                percent(setting.probability_left_out),
                median_and_range(setting.steps_to_both),
                median_and_range(setting.time_to_both),
            ]
        )
        choices += [[setting.workload, *choice_cells(choice)] for choice in one.algorithms]
        if one.weak:
            best = setting.reruns[0].trial.algorithm
            choices.append(
                [setting.workload, f"weak: {best}, {WEAK_FACTOR:g} x rate", *choice_cells(one.weak)[1:]]
            )
    return (
        "Reruns: median (least - most) to both targets of those that hit both\n"
        + text_table(header, rows, num_left=3)
        + "\n\nPoints of the sweep and the weak choice; gaps of best and median run to the target, in standard "
        "deviations of reruns\n" + text_table(names, choices, num_left=2)
    )


def targets_text(setting: TargetSetting) -> str:
    """For a cell: both targets, or the only one."""
    found = (setting.validation_target, setting.test_target)
    return ", ".join(metric_value(value) for value in found if value is not None)


def choice_cells(choice: Choice) -> list[str]:
    """Of a row, after the workload."""
    first = min((hit.global_step for hit in choice.hits), default=np.nan)
    return [
        choice.name,
        str(choice.num_runs),
        str(len(choice.hits)),
        "-" if np.isnan(first) else f"{first:,.0f}",
        metric_value(choice.best),
        number(choice.gap, 1),
        number(choice.median_gap, 1),
    ]


def median_and_range(spread: Spread) -> str:
    """For a cell."""
    if not spread.count:
        return "-"
    least, _, middle, _, most = spread.quantiles
    return f"{middle:,.0f} ({least:,.0f} - {most:,.0f})"


def content(found: Collection[Calibration]) -> list[dict[str, object]]:
    """The same as plain JSON types, with every hit."""
    return [
        {
            "workload": one.setting.workload,
            "framework": one.setting.framework,
            "metric_name": one.setting.metric.name,
            "validation_target": one.setting.validation_target,
            "test_target": one.setting.test_target,
            "num_reruns": len(one.setting.reruns),
            "probability_both": one.setting.probability_both,
            "probability_left_out": one.setting.probability_left_out,
            "steps_to_both": list(one.setting.steps_to_both.quantiles),
            "seconds_to_both": list(one.setting.time_to_both.quantiles),
            "noise": one.noise,
            "algorithms": {choice.name: choice_content(choice) for choice in one.algorithms},
            "weak": choice_content(one.weak) if one.weak else None,
        }
        for one in found
    ]


def choice_content(choice: Choice) -> dict[str, object]:
    """Of one algorithm, or the weak choice."""
    return {
        "num_runs": choice.num_runs,
        "hits": [asdict(hit) for hit in choice.hits],
        "best_validation": choice.best,
        "gap": choice.gap,
        "median_gap": choice.median_gap,
    }


def panels(found: Collection[Calibration]) -> list[plots.Panel]:
    """Best validation metric of each run by kind of choice, with the target as a line."""

    def panel(one: Calibration) -> plots.Panel:
        setting = one.setting
        groups = [("reruns", tuple(rerun.best_validation for rerun in setting.reruns))]
        groups += [
            (choice.name, choice.values) for choice in (*one.algorithms, *([one.weak] if one.weak else []))
        ]

        def traces(go: ModuleType) -> list[plots.Trace]:
            points = [
                go.Scatter(x=[name] * len(values), y=list(values), mode="markers", name=name)
                for name, values in groups
            ]
            target = go.Scatter(
                x=[groups[0][0], groups[-1][0]],
                y=[setting.validation_target] * 2,
                mode="lines",
                line=plots.DASHED,
            )
            return [*points, target]

        return setting.workload, "", f"best validation {setting.metric.name}", traces

    return [panel(one) for one in found]
