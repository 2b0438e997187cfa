"""The best point of a sweep, and targets from its reruns. Source: https://arxiv.org/abs/2306.07179, section 4.1."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from algoperf import registry
from algoperf.direction import METRIC_RANGES
from algoperf.spec import UsageError, no_such
from target_setting.selection import Selection
from target_setting.sweep import SweepTrial
from target_setting.sweep_tables import (
    Metric,
    best_test,
    best_validation,
    metric_of,
    names,
    on,
    point_key,
    steps_to_best,
)

RUNTIME_BUDGETS = ("workload", "measured")
CONFIDENCE = 0.95
QUANTILES = (0.0, 0.25, 0.5, 0.75, 1.0)


class NoResultError(UsageError):
    """One workload has no finite metric; others may have."""


def check_runtime_budget(name: str) -> None:
    """Raises UsageError for what is none of `RUNTIME_BUDGETS`."""
    if name not in RUNTIME_BUDGETS:
        raise no_such("runtime budget", name, RUNTIME_BUDGETS)


def check_min_reruns(number: int) -> None:
    """Raises UsageError for fewer reruns than one."""
    if number < 1:
        raise UsageError(f"--min_reruns must be at least 1, got {number}.")


def best(trials: Sequence[SweepTrial]) -> SweepTrial:
    """The trial with the best validation metric, over all algorithms and points of one workload.

    `(a*, h*) = argbest m_w(h)`, with m_w the best metric at any evaluation of the run: a run that diverged later
    counts with what it had reached, a run that failed does not count. Ties go to fewer updates, then to the
    algorithm's name and the point's number.

    Raises:
      NoResultError: if no trial has a finite validation metric.
    """
    workloads = {trial.workload for trial in trials}
    assert len(workloads) == 1, workloads
    metric = metric_of(workloads.pop())
    # The index comes last: it decides nothing, and finds the trial again.
    cost, _, name, number, index = min(
        (
            float(metric.costs(best_validation(trial, metric))),
            steps_to_best(trial, metric),
            trial.algorithm,
            trial.trial,
            index,
        )
        for index, trial in enumerate(trials)
    )
    if not np.isfinite(cost):
        raise NoResultError(
            f"None of the {len(trials)} trials on {trials[0].workload} has a finite {metric.name}, so there is no "
            f"best point (first: {name}, trial {number}, {trials[index].status})."
        )
    return trials[index]


@dataclass(frozen=True)
class Hit:
    """The first evaluation that met a target."""

    submission_time_sec: float
    global_step: float


@dataclass(frozen=True, eq=False)
class Rerun:
    """One run of the best point with a new seed, seen from the targets."""

    trial: SweepTrial
    best_validation: float
    best_test: float
    validation_hit: Hit | None
    both_hit: Hit | None
    """When validation and test target had both been met, each at some evaluation: the end of a run."""


@dataclass(frozen=True)
class Spread:
    """How a quantity varies over the reruns that have it."""

    count: int
    quantiles: tuple[float, ...]
    """Minimum, quartiles, maximum; NaN where no rerun has it."""
    relative: float
    """(third - first quartile) / median."""


@dataclass(frozen=True, eq=False)
class TargetSetting:
    """Targets of one workload, and what is known about them."""

    workload: str
    framework: str
    metric: Metric
    validation_target: float
    test_target: float | None
    """None where the workload has no test split: both targets are then the one."""
    reruns: tuple[Rerun, ...]
    probability_validation: float
    """Share of the reruns that met the validation target. A median is met by at least half by construction."""
    probability_both: float
    """Share that met both."""
    probability_interval: tuple[float, float]
    """Exact binomial (Clopper-Pearson) interval of `probability_both`, 95 %."""
    probability_left_out: float
    """Share that meets both targets where these are set from the other reruns: what a new run may expect."""
    validation: Spread
    test: Spread
    time_to_validation: Spread
    steps_to_validation: Spread
    time_to_both: Spread
    steps_to_both: Spread
    target_setting_sec: float
    """Median submission time at the end of the reruns."""
    target_setting_steps: float
    """Median number of updates at the end of the reruns."""


def targets_of(validation: np.ndarray, test: np.ndarray | None, metric: Metric) -> tuple[float, float | None]:
    """Validation and test target.

        V = median(v_1 … v_K)        T = worst { t_i : v_i at least as good as V }

    Args:
      validation: (K,) best validation metric of each rerun, NaN where there is none (it counts as worst).
      test: (K,) best test metric of each rerun; None for a workload without test split.
      metric: their direction.

    Returns:
      The two; the first is NaN where at least half of the reruns have no result, the second where none of the
      runs that met the first has a test metric, and None where there is no test split.

    Source: https://arxiv.org/abs/2306.07179, section 4.1. With an even K the median is the mean of the two middle
    values, and half of the runs are at least as good. "Test error of a run" is its best, as for validation.

    >>> targets_of(np.array([0.1, 0.2, 0.3, 0.4]), np.array([0.15, 0.25, 0.1, 0.1]), Metric("loss", False))
    (0.25, 0.25)
    """
    # A median of infinite costs, of reruns without a result, is no warning: it means that there is no target.
    with np.errstate(invalid="ignore"):
        target = float(metric.values(np.median(metric.costs(validation))))
    if test is None:
        return target, None
    if not np.isfinite(target):
        return np.nan, np.nan
    # The worst of the runs that met the validation target: every one of them then meets the test target as well.
    reached = metric.costs(test[metric.meets(validation, target)])
    return target, float(metric.values(np.max(reached[np.isfinite(reached)], initial=-np.inf)))


def set_targets(reruns: Sequence[SweepTrial], *, min_reruns: int = 5) -> TargetSetting:
    """Targets of one workload from reruns of one point with different seeds.

    Raises:
      UsageError: if there are fewer than `min_reruns`, they mix algorithms or points, or two have the same seeds.
      NoResultError: if too many of them have no result.
    """
    check_reruns(reruns, min_reruns)
    metric = metric_of(reruns[0].workload)
    validation = np.array([best_validation(run, metric) for run in reruns])
    test = np.array([best_test(run, metric) for run in reruns])
    has_test_split = registry.get(reruns[0].workload).has_test_split
    of_test = test if has_test_split else None
    target, test_target = targets_of(validation, of_test, metric)
    if not _are_set(target, test_target):
        num_failed = int(np.sum(~np.isfinite(validation)))
        what = f"{num_failed} of {len(reruns)} have no finite validation {metric.name}"
        if np.isfinite(target):
            what = f"those that meet the validation target {target:.6g} have no finite test {metric.name}"
        raise NoResultError(f"No target for {reruns[0].workload} from these reruns: {what}.")
    seen = [
        Rerun(run, v, t, *hits(run, metric, target, test_target))
        for run, v, t in zip(reruns, validation.tolist(), test.tolist())
    ]
    num_both = sum(run.both_hit is not None for run in seen)
    return TargetSetting(
        workload=reruns[0].workload,
        framework=reruns[0].framework,
        metric=metric,
        validation_target=target,
        test_target=test_target,
        reruns=tuple(seen),
        probability_validation=float(np.mean(metric.meets(validation, target))),
        probability_both=num_both / len(seen),
        probability_interval=binomial_interval(num_both, len(seen)),
        probability_left_out=left_out_probability(validation, of_test, metric),
        validation=spread(validation),
        test=spread(test),
        time_to_validation=spread([r.validation_hit.submission_time_sec for r in seen if r.validation_hit]),
        steps_to_validation=spread([r.validation_hit.global_step for r in seen if r.validation_hit]),
        time_to_both=spread([r.both_hit.submission_time_sec for r in seen if r.both_hit]),
        steps_to_both=spread([r.both_hit.global_step for r in seen if r.both_hit]),
        target_setting_sec=spread([run.end_time_sec for run in reruns]).quantiles[2],
        target_setting_steps=spread([run.end_step for run in reruns]).quantiles[2],
    )


def check_reruns(reruns: Sequence[SweepTrial], min_reruns: int) -> None:
    """Raises UsageError if these runs are not `min_reruns` repetitions of one thing."""
    if len(reruns) < min_reruns:
        where = f" of {reruns[0].workload}" if reruns else ""
        raise UsageError(
            f"Too few reruns{where}: {len(reruns)} finished, at least {min_reruns} wanted (--min_reruns). "
            "Run the best point again with new seeds."
        )
    first = reruns[0]
    seeds: dict[str, SweepTrial] = {}
    for run in reruns:
        if (run.algorithm, point_key(run.point)) != (first.algorithm, point_key(first.point)):
            raise UsageError(
                f"Reruns of {run.workload} are not of one point: {first.place()} and {run.place()} differ in "
                "algorithm or hyperparameters."
            )
        # Two copies of one run would make the targets look surer than they are.
        if run.facts.get("seeds"):
            other = seeds.setdefault(point_key(run.facts["seeds"]), run)
            if other is not run:
                raise UsageError(f"{other.place()} and {run.place()} have the same seeds: one run, not two.")


def _are_set(target: float, test_target: float | None) -> bool:
    return bool(np.isfinite(target) and (test_target is None or np.isfinite(test_target)))


def hits(
    run: SweepTrial, metric: Metric, validation_target: float, test_target: float | None
) -> tuple[Hit | None, Hit | None]:
    """First evaluation that met the validation target, and the first by which both were met.

    Without test target, the two are the same.
    """
    if run.status == "failed":
        return None, None
    met = metric.meets(run.validation, validation_target)
    if test_target is None:
        return _first(run, met), _first(run, met)
    # A run ends once both targets have been met, even if the first is missed again when the second is met.
    both = np.logical_or.accumulate(met) & np.logical_or.accumulate(metric.meets(run.test, test_target))
    return _first(run, met), _first(run, both)


def _first(run: SweepTrial, met: np.ndarray) -> Hit | None:
    if not met.any():
        return None
    index = int(np.argmax(met))
    return Hit(float(run.submission_time_sec[index]), float(run.step[index]))


def left_out_probability(validation: np.ndarray, test: np.ndarray | None, metric: Metric) -> float:
    """Share of reruns that meet both targets set from the others; NaN if the others give none, or there are none."""
    if len(validation) < 2:
        return np.nan
    # Targets are medians and worst values of the very runs that are counted, which flatters the plain share.
    num_met = 0
    for index in range(len(validation)):
        others = np.arange(len(validation)) != index
        target, test_target = targets_of(validation[others], None if test is None else test[others], metric)
        if not _are_set(target, test_target):
            return np.nan
        met_test = test is None or test_target is None or metric.meets(test[index], test_target)
        num_met += bool(metric.meets(validation[index], target) and met_test)
    return num_met / len(validation)


def binomial_interval(num_hits: int, num_runs: int) -> tuple[float, float]:
    """Clopper-Pearson interval for a probability, 95 %.

    >>> tuple(round(end, 4) for end in binomial_interval(5, 5))
    (0.4782, 1.0)
    """
    from scipy import stats

    found = stats.binomtest(num_hits, num_runs).proportion_ci(CONFIDENCE, method="exact")
    return float(found.low), float(found.high)


def spread(values: np.ndarray | Sequence[float]) -> Spread:
    """Quantiles of the finite values (linear interpolation)."""
    values = np.asarray(values, float)
    finite = values[np.isfinite(values)]
    if not len(finite):
        return Spread(0, (np.nan,) * len(QUANTILES), np.nan)
    quantiles = tuple(np.quantile(finite, QUANTILES).tolist())
    middle = abs(quantiles[2])  # Metrics may be negative, spreads not.
    relative = (quantiles[3] - quantiles[1]) / middle if middle else np.nan
    return Spread(len(finite), quantiles, relative)


def notes_on(setting: TargetSetting, best_trial: SweepTrial | None) -> list[str]:
    """What a reader of the targets must know, in sentences.

    Args:
      setting: the targets.
      best_trial: of the sweep on this workload; None where the sweep has no trials on it.
    """
    notes = _notes_on_separation(setting)
    runs = [rerun.trial for rerun in setting.reruns]
    if best_trial is not None and (best_trial.algorithm, point_key(best_trial.point)) != (
        runs[0].algorithm,
        point_key(runs[0].point),
    ):
        notes.append(
            f"{setting.workload}: the reruns are not of the sweep's best point, {best_trial.algorithm} trial "
            f"{best_trial.trial}."
        )
    for name in ("submission_hash", "workload_config", "git_commit_hash", "package_versions", "device"):
        if len({point_key({"": run.facts.get(name)}) for run in runs}) > 1:
            notes.append(f"{setting.workload}: reruns differ in {name}.")
    return notes


def _notes_on_separation(setting: TargetSetting) -> list[str]:
    """A warning about targets that no longer separate good runs from very good ones."""
    metric = setting.metric
    perfect = METRIC_RANGES.get(metric.name, (0.0, np.inf))[metric.higher_is_better]
    where, count = f"Warning: {setting.workload}: ", setting.validation.count
    if setting.validation_target == perfect:
        return [
            f"{where}the validation target is {perfect:g}, the best {metric.name} there can be: runs that are better "
            "than others cannot be told apart. Make the task harder, or its runs shorter."
        ]
    if count > 1 and setting.validation.quantiles[0] == setting.validation.quantiles[-1]:
        return [
            f"{where}all {count} reruns have the same best {metric.name}, {setting.validation_target:.6g}: the steps "
            "of the metric are coarser than the noise between runs. Use more validation examples, or a harder task."
        ]
    return []


def set_all(
    selection: Selection, min_reruns: int
) -> tuple[list[TargetSetting], dict[str, SweepTrial], list[str]]:
    """Targets of all workloads with reruns (or of those named), best trials by workload, and notes on both.

    A workload without a finite metric in the sweep (and not rerun all the same), or in its reruns, is left out.

    Raises:
      UsageError: if named workloads have no reruns, or nothing remains.
    """
    sweep, workloads = selection.sweep, selection.workloads
    swept_on, rerun_on = names(sweep.trials)[1], names(sweep.reruns)[1]
    found: dict[str, SweepTrial] = {}
    without: dict[str, NoResultError] = {}
    for name in swept_on:
        try:
            found[name] = best(on(name, sweep.trials))
        except NoResultError as error:
            if name not in rerun_on:
                without[name] = error
    missing = [name for name in workloads or swept_on if name not in (*rerun_on, *without)]
    if missing and (workloads or not rerun_on):
        best_trial = found.get(missing[0])
        advice = f" Its best point is that of {best_trial.place()}." if best_trial else ""
        raise UsageError(
            f"Too few reruns of {missing[0]}: none finished, at least {min_reruns} wanted.{advice}"
        )
    notes = [f"{name}: no reruns, so no targets." for name in missing]
    settings = []
    for workload in workloads or rerun_on:
        if workload in without:
            continue
        try:
            setting = set_targets(on(workload, sweep.reruns), min_reruns=min_reruns)
        except NoResultError as error:
            without[workload] = error
            continue
        settings.append(setting)
        notes += notes_on(setting, found.get(workload))
    if not settings:
        raise next(iter(without.values()))
    return settings, found, [*notes, *(f"{name}: left out. {error}" for name, error in without.items())]
