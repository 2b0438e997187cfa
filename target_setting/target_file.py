"""The target file: the targets as a suite file has them (`algoperf.suites`), and beside them how they were made.

    {"targets": {<workload>: {metric_name, higher_is_better, validation_target, …}},
     "provenance": {<workload>: {algorithm, point, reruns with seeds and results, spread, probability, versions}}}

`targets` is what a file in `algoperf/suites/` holds under that name, entry for entry, and the path of the file can be
given instead of a suite's name.
"""

import dataclasses
import math
from collections.abc import Collection, Mapping
from typing import Any

from algoperf import registry
from algoperf.spec import UsageError, no_such
from algoperf.suites import WorkloadTargets
from target_setting.results import best_validation, metric_of
from target_setting.sweep import SweepTrial
from target_setting.targets import Hit, Rerun, Spread, TargetSetting

BUDGETS = ("workload", "measured")
BUDGET_FACTOR = 4 / 3  # Target setting gets 3/4 of a submission's budget: arXiv 2306.07179, section 4.1.
SOURCE = "https://arxiv.org/abs/2306.07179, section 4.1"
SUMMARY_NAMES = ("minimum", "first_quartile", "median", "third_quartile", "maximum")


def check_budget(name: str) -> None:
    """Raises UsageError for what is none of `BUDGETS`."""
    if name not in BUDGETS:
        raise no_such("runtime budget", name, BUDGETS)


def workload_targets(setting: TargetSetting, budget: str = "workload") -> WorkloadTargets:
    """The entry of a suite.

    Args:
      setting: the targets.
      budget: 'workload' keeps budget and step hint of the workload; 'measured' takes 4/3 of the reruns' median
        time and updates, which therefore have to have run for the whole target-setting budget.

    Raises:
      UsageError: if measured values are wanted and the reruns do not have them.
    """
    check_budget(budget)
    spec = registry.get(setting.workload)
    seconds, step_hint = spec.max_allowed_runtime_sec, spec.step_hint
    if budget == "measured":
        early = [r.trial for r in setting.reruns if r.trial.status not in ("max_steps", "budget_exhausted")]
        if early or not math.isfinite(setting.target_setting_sec + setting.target_setting_steps):
            why = f"{early[0].place()} ended with {early[0].status!r}" if early else "they lack a summary"
            raise UsageError(
                f"--runtime_budget=measured needs reruns of {setting.workload} that use the whole "
                f"target-setting budget; {why}."
            )
        seconds = math.ceil(BUDGET_FACTOR * setting.target_setting_sec)
        step_hint = int(BUDGET_FACTOR * setting.target_setting_steps)
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
    settings: Collection[TargetSetting], trials: Collection[SweepTrial], budget: str = "workload"
) -> dict[str, Any]:
    """The target file of several workloads; `trials` are those of the sweep."""
    return {
        "description": "Targets set by set_targets.py from reruns of the best point of a sweep.",
        "source": SOURCE,
        "targets": {one.workload: dataclasses.asdict(workload_targets(one, budget)) for one in settings},
        "provenance": {one.workload: provenance(one, trials) for one in settings},
    }


def provenance(setting: TargetSetting, trials: Collection[SweepTrial]) -> dict[str, Any]:
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


def sweep_content(trials: Collection[SweepTrial]) -> dict[str, Any]:
    """Per algorithm every point with its result: the distribution behind the choice."""
    algorithms: dict[str, list[dict[str, Any]]] = {}
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


def seeds_of(trial: SweepTrial) -> Mapping[str, Any]:
    return {"rng_seed": trial.facts.get("rng_seed"), **(trial.facts.get("seeds") or {})}


def rerun_content(rerun: Rerun) -> dict[str, Any]:
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
    return None if hit is None else dataclasses.asdict(hit)


def spread_content(spread: Spread) -> dict[str, Any]:
    return {
        "count": spread.count,
        **dict(zip(SUMMARY_NAMES, spread.quantiles)),
        "interquartile_range_over_median": spread.relative,
    }
