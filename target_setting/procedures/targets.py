"""Validation and test targets from reruns of the best point, with provenance.

`targets.json` has the targets as a suite file has them (`algoperf.suites`), and beside them how they were made:

    {"targets": {<workload>: {metric_name, higher_is_better, validation_target, …}},
     "provenance": {<workload>: {algorithm, point, reruns with seeds and results, spread, probability, versions}}}

`targets` is what a file in `algoperf/suites/` holds under that name, entry for entry, and the path of the file can be
given instead of a suite's name. The rules are in `target_rules.py`.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import ModuleType

import numpy as np

from algoperf import registry
from algoperf.spec import UsageError
from algoperf.suites import WorkloadTargets
from scoring.text import table as text_table
from target_setting import plots
from target_setting.outcome import Outcome
from target_setting.selection import Selection
from target_setting.sweep import SweepTrial
from target_setting.sweep_tables import best_validation, metric_of, on
from target_setting.tables import metric_value, percent
from target_setting.target_rules import (
    Hit,
    Rerun,
    Spread,
    TargetSetting,
    check_min_reruns,
    check_runtime_budget,
    set_all,
)

RUNTIME_BUDGET_FACTOR = 4 / 3  # Target setting gets 3/4 of a submission's: arXiv 2306.07179, section 4.1.
SOURCE = "https://arxiv.org/abs/2306.07179, section 4.1"
SUMMARY_NAMES = ("minimum", "first_quartile", "median", "third_quartile", "maximum")


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags."""

    min_reruns: int = 5
    """Fewest reruns that targets are set from."""
    runtime_budget: str = "workload"
    """workload keeps budget and step hint of the workload; measured takes 4/3 of the reruns' medians."""

    def __post_init__(self) -> None:
        check_runtime_budget(self.runtime_budget)
        check_min_reruns(self.min_reruns)


def analyse(selection: Selection, options: Options) -> Outcome:
    """The target file, from the reruns; without named workloads, of those that have reruns."""
    settings, best, notes = set_all(selection, options.min_reruns)
    text = report(settings)
    on_both = [one for one in settings if one.workload in best]
    if on_both:
        text = f"{report_best_points(on_both, best, selection.sweep.trials)}\n\n{text}"
    return Outcome(
        table=text,
        content=content(settings, selection.sweep.trials, options.runtime_budget),
        panels=panels(settings),
        title="Reruns of the best point, and the targets set from them",
        notes=tuple(notes),
    )


def workload_targets(setting: TargetSetting, runtime_budget: str = Options.runtime_budget) -> WorkloadTargets:
    """The entry of a suite.

    Args:
      setting: the targets.
      runtime_budget: 'workload' keeps budget and step hint of the workload; 'measured' takes 4/3 of the reruns' median
        time and updates, which therefore have to have run for the whole target-setting budget.

    Raises:
      UsageError: if measured values are wanted and the reruns do not have them.
    """
    check_runtime_budget(runtime_budget)
    spec = registry.get(setting.workload)
    seconds, step_hint = spec.max_allowed_runtime_sec, spec.step_hint
    if runtime_budget == "measured":
        early = [r.trial for r in setting.reruns if r.trial.status not in ("max_steps", "budget_exhausted")]
        if early or not math.isfinite(setting.target_setting_sec + setting.target_setting_steps):
            why = f"{early[0].place()} ended with {early[0].status!r}" if early else "they lack a summary"
            raise UsageError(
                f"--runtime_budget=measured needs reruns of {setting.workload} that use the whole "
                f"target-setting budget; {why}."
            )
        seconds = math.ceil(RUNTIME_BUDGET_FACTOR * setting.target_setting_sec)
        step_hint = int(RUNTIME_BUDGET_FACTOR * setting.target_setting_steps)
    return WorkloadTargets(
        metric_name=setting.metric.name,
        higher_is_better=setting.metric.higher_is_better,
        validation_target=setting.validation_target,
        test_target=setting.test_target,
        runtime_budget_sec=seconds,
        step_hint=step_hint,
        eval_period_sec=spec.eval_period_time_sec,
    )


def content(
    settings: Collection[TargetSetting],
    trials: Collection[SweepTrial],
    runtime_budget: str = Options.runtime_budget,
) -> dict[str, object]:
    """The target file of several workloads; `trials` are those of the sweep."""
    return {
        "description": "Targets set by set_targets.py from reruns of the best point of a sweep.",
        "source": SOURCE,
        "targets": {one.workload: asdict(workload_targets(one, runtime_budget)) for one in settings},
        "provenance": {one.workload: provenance(one, trials) for one in settings},
    }


def provenance(setting: TargetSetting, trials: Collection[SweepTrial]) -> dict[str, object]:
    """How the targets of one workload came about, as plain JSON types."""
    first = setting.reruns[0].trial
    return {
        "framework": setting.framework,
        "algorithm": first.algorithm,
        "point": dict(first.point),
        "sweep": sweep_content([trial for trial in trials if trial.workload == setting.workload]),
        "reruns": [rerun_content(rerun) for rerun in setting.reruns],
        "probability_of_hitting": {
            "validation": setting.probability_validation,
            "validation_and_test": setting.probability_both,
            "interval_95": list(setting.probability_interval),
            "validation_and_test_set_from_the_other_reruns": setting.probability_left_out,
        },
        "spread": {
            "best_validation": spread_content(setting.validation),
            "best_test": spread_content(setting.test),
            "seconds_to_validation_target": spread_content(setting.time_to_validation),
            "steps_to_validation_target": spread_content(setting.steps_to_validation),
            "seconds_to_both_targets": spread_content(setting.time_to_both),
            "steps_to_both_targets": spread_content(setting.steps_to_both),
        },
        "target_setting_sec": setting.target_setting_sec,
        "target_setting_steps": setting.target_setting_steps,
        **{name: first.facts.get(name) for name in ("package_versions", "git_commit_hash", "git_dirty")},
        **{name: first.facts.get(name) for name in ("device", "submission_hash", "workload_config")},
    }


def sweep_content(trials: Collection[SweepTrial]) -> dict[str, object]:
    """Per algorithm every point with its result: the distribution behind the choice."""
    algorithms: dict[str, list[dict[str, object]]] = {}
    for trial in trials:
        algorithms.setdefault(trial.algorithm, []).append(
            {
                "trial": trial.trial,
                "best_validation": best_validation(trial, metric_of(trial.workload)),
                "status": trial.status,
                "rng_seed": trial.facts.get("rng_seed"),
                "point": dict(trial.point),
            }
        )
    return {"num_points": {name: len(points) for name, points in algorithms.items()}, "points": algorithms}


def seeds_of(trial: SweepTrial) -> dict[str, object]:
    return {"rng_seed": trial.facts.get("rng_seed"), **(trial.facts.get("seeds") or {})}


def rerun_content(rerun: Rerun) -> dict[str, object]:
    return {
        "study": rerun.trial.study,
        "seeds": seeds_of(rerun.trial),
        "status": rerun.trial.status,
        "best_validation": rerun.best_validation,
        "best_test": rerun.best_test,
        "validation_target_reached": hit_content(rerun.validation_hit),
        "both_targets_reached": hit_content(rerun.both_hit),
        "end": {"submission_time_sec": rerun.trial.end_time_sec, "global_step": rerun.trial.end_step},
    }


def hit_content(hit: Hit | None) -> dict[str, float] | None:
    return None if hit is None else asdict(hit)


def spread_content(spread: Spread) -> dict[str, object]:
    return {
        "count": spread.count,
        **dict(zip(SUMMARY_NAMES, spread.quantiles)),
        "interquartile_range_over_median": spread.relative,
    }


def report(settings: Collection[TargetSetting]) -> str:
    """One row per workload; then the distributions behind it."""
    header = ["workload", "algorithm", "metric", "validation target", "test target", "reruns", "hit both"]
    header += ["interval", "left out"]
    rows, spreads = [], []
    for one in settings:
        low, high = one.probability_interval
        rows.append(
            [
                one.workload,
                one.reruns[0].trial.algorithm,
                one.metric.name,
                metric_value(one.validation_target),
                metric_value(one.test_target),
                str(len(one.reruns)),
                percent(one.probability_both),
                f"{low:.2f} - {high:.2f}",
                percent(one.probability_left_out),
            ]
        )
        spreads += [
            [one.workload, f"best validation {one.metric.name}", *spread_cells(one.validation)],
            [one.workload, f"best test {one.metric.name}", *spread_cells(one.test)],
            [one.workload, "seconds to validation target", *spread_cells(one.time_to_validation)],
            [one.workload, "steps to validation target", *spread_cells(one.steps_to_validation)],
            [one.workload, "seconds to both targets", *spread_cells(one.time_to_both)],
            [one.workload, "steps to both targets", *spread_cells(one.steps_to_both)],
        ]
    names = ["workload", "over the reruns", "number", "min", "25 %", "median", "75 %", "max", "IQR / median"]
    return (
        "Targets: median best validation, worst best test among the reruns that reach it\n"
        + text_table(header, rows, num_left=3)
        + "\n\nSpread\n"
        + text_table(names, spreads, num_left=2)
    )


def spread_cells(spread: Spread) -> list[str]:
    """Of a row, after what varies."""
    return [str(spread.count), *map(metric_value, spread.quantiles), percent(spread.relative)]


def report_best_points(
    settings: Collection[TargetSetting], best: Mapping[str, SweepTrial], trials: Sequence[SweepTrial]
) -> str:
    """The best trial of every workload among all trials of the sweep on it."""
    rows = [
        [
            one.workload,
            best[one.workload].algorithm,
            str(best[one.workload].trial),
            metric_value(best_validation(best[one.workload], one.metric)),
            str(len(on(one.workload, trials))),
        ]
        for one in settings
    ]
    return "Best points of the sweep\n" + text_table(
        ["workload", "algorithm", "trial", "best validation", "of trials"], rows, num_left=2
    )


def panels(settings: Collection[TargetSetting]) -> list[plots.Panel]:
    """Best validation and test metric of each rerun, and the two targets as lines.

    Without test split, the number of the rerun takes the place of its test metric.
    """

    def panel(setting: TargetSetting) -> plots.Panel:
        x = np.array([rerun.best_validation for rerun in setting.reruns])
        target, name = setting.test_target, setting.metric.name
        y = np.array([rerun.trial.study if target is None else rerun.best_test for rerun in setting.reruns])
        labels = [f"study {rerun.trial.study}" for rerun in setting.reruns]
        met = np.array([rerun.both_hit is not None for rerun in setting.reruns])

        def traces(go: ModuleType) -> list[plots.Trace]:
            groups = [("meets both targets", met, "#2ca02c"), ("does not", ~met, "#d62728")]
            points = [
                go.Scatter(
                    x=x[keep].tolist(),
                    y=y[keep].tolist(),
                    text=[label for label, kept in zip(labels, keep) if kept],
                    mode="markers",
                    name=name,
                    marker={"color": color, "size": 9},
                )
                for name, keep, color in groups
            ]
            line = {"mode": "lines", "line": plots.DASHED}
            vertical = go.Scatter(x=[setting.validation_target] * 2, y=_ends(y, target), **line)
            if target is None:
                return [*points, vertical]
            horizontal = go.Scatter(x=_ends(x, setting.validation_target), y=[target] * 2, **line)
            return [*points, vertical, horizontal]

        of_y = "rerun" if target is None else f"best test {name}"
        return setting.workload, f"best validation {name}", of_y, traces

    return [panel(setting) for setting in settings]


def _ends(values: np.ndarray, target: float | None) -> list[float]:
    known = [*values[np.isfinite(values)].tolist(), *([] if target is None else [target])]
    return [min(known), max(known)]
