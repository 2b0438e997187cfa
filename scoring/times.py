"""Trials -> study times -> workload times, and why each infinite one is infinite.

Trial time: submission clock (or step) at the first evaluation that met the validation target.
Study time: that of the fastest trial. Workload time: the median of the study times, infinity taking part as
the largest value.
"""

import collections
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from algoperf import direction
from algoperf.suites import Ruleset, Suite, WorkloadTargets
from scoring.endings import not_reached, over_budget, why_no_trial_counts
from scoring.procedure import Procedure
from scoring.results import SUBMISSION_TIME, Miss, Reason, Trial


@dataclass(frozen=True, slots=True)
class StudyTime:
    """One repetition of tuning on one workload."""

    study: int
    value: float
    """On the scored axis; infinite where no trial counts."""
    trial: int | None
    """The trial that was selected."""
    miss: Miss | None
    best: float = math.nan
    """Best validation metric of its trials; NaN where none is known."""
    run: Trial | None = field(default=None, repr=False)
    """The trial that was selected, with all that is known of it."""
    num_absent: int = 0
    """Trials of the ruleset that were not run."""

    @property
    def was_run(self) -> bool:
        """Whether there is any result; a study that was not run is infinite all the same."""
        return self.miss is None or self.miss.reason is not Reason.STUDY_MISSING


@dataclass(frozen=True, slots=True)
class WorkloadTime:
    """All studies of a submission on one workload."""

    value: float
    """The median; NaN where the official procedure sees no results at all."""
    studies: tuple[StudyTime, ...]
    miss: Miss | None
    is_median_only: bool = False
    """Published as one number, its studies unknown."""


@dataclass(frozen=True)
class TimeTable:
    """Workload times of a field; rows are submissions, columns fixed workloads and then held-out variants."""

    submissions: tuple[str, ...]
    columns: tuple[str, ...]
    num_workloads: int
    """The first `num_workloads` columns are fixed workloads."""
    bases: tuple[int, ...]
    """For each held-out column in turn, the position of the fixed workload that it guards."""
    cells: Mapping[tuple[str, str], WorkloadTime] = field(repr=False)

    def values(self) -> np.ndarray:
        """(submissions, columns) medians; infinite = not reached, NaN = officially absent."""
        return np.array([[self.cells[s, c].value for c in self.columns] for s in self.submissions])

    def study_values(self) -> tuple[np.ndarray, np.ndarray]:
        """(submissions, columns, studies) times of studies that were run, then NaN; (submissions, columns) counts."""
        rows = [
            [[study.value for study in studies_of(self.cells[s, c]) if study.was_run] for c in self.columns]
            for s in self.submissions
        ]
        shape = (len(self.submissions), len(self.columns))  # Of an empty field, too.
        counts = np.array([[len(cell) for cell in row] for row in rows], dtype=int).reshape(shape)
        values = np.full((*counts.shape, max(1, int(counts.max(initial=1)))), np.nan)
        for i, row in enumerate(rows):
            for j, cell in enumerate(row):
                values[i, j, : len(cell)] = cell
        return values, counts


def studies_of(cell: WorkloadTime) -> tuple[StudyTime, ...]:
    """The studies behind a workload time; a published median stands in for its own."""
    return (StudyTime(0, cell.value, None, cell.miss),) if cell.is_median_only else cell.studies


def median(times: Sequence[float]) -> float:
    """The middle one; of an even number the mean of the two middle ones; NaN of none.

    >>> median([3.0, 1.0, math.inf]), median([3.0, 1.0, math.inf, math.inf])
    (3.0, inf)
    """
    if not times:
        return math.nan
    ordered = sorted(times)
    low, high = ordered[(len(ordered) - 1) // 2], ordered[len(ordered) // 2]
    return low if low == high else (low + high) / 2


def study_time(
    study: int,
    trials: Sequence[Trial],
    *,
    targets: WorkloadTargets,
    budget_sec: float,
    num_trials: int,
    procedure: Procedure,
    axis: str = SUBMISSION_TIME,
) -> StudyTime:
    """The time of one study: that of the trial which reached the target first.

    The trial is selected on the submission clock on either axis; `axis` decides what is read from it. Equal
    times go to the smaller trial number, so that nothing depends on the order of `trials`.

    Args:
      study: its number.
      trials: the trials of this study on one workload.
      targets: the target they had to reach.
      budget_sec: submission time allowed to a trial.
      num_trials: trials that the ruleset gives to a study.
      procedure: clean or official rules.
      axis: 'submission_time' or 'steps'.
    """
    trials = sorted(trials, key=lambda trial: trial.trial)
    # Extra trials would be extra chances: only as many count as the ruleset gives everybody.
    if procedure.ruleset_counts:
        trials = trials[:num_trials]
    hits = [(trial, trial.hit) for trial in trials if trial.hit]
    counting = [
        (t, hit) for t, hit in hits if not procedure.check_budget or hit.submission_time_sec <= budget_sec
    ]
    if not counting:
        best = direction.best([trial.best for trial in trials], targets.higher_is_better)
        miss = why_no_trial_counts(trials, best, targets, budget_sec)
        return StudyTime(study, math.inf, None, miss, best, num_absent=max(0, num_trials - len(trials)))
    if procedure.fastest_trial:
        chosen, hit = min(counting, key=lambda pair: pair[1].submission_time_sec)
    else:
        chosen, hit = min(counting, key=lambda pair: (pair[1].evaluation, pair[1].submission_time_sec))
    absent = max(0, num_trials - len(trials))
    return StudyTime(study, hit.on(axis), chosen.trial, None, run=chosen, num_absent=absent)


def workload_time(
    trials: Sequence[Trial],
    *,
    targets: WorkloadTargets,
    ruleset: Ruleset,
    procedure: Procedure,
    axis: str = SUBMISSION_TIME,
) -> WorkloadTime:
    """The median study time of one submission on one workload."""
    by_study: dict[int, list[Trial]] = collections.defaultdict(list)
    for trial in trials:
        by_study[trial.study].append(trial)
    numbers = sorted(by_study)
    if procedure.ruleset_counts:
        numbers = numbers[: ruleset.num_studies]
    studies = [
        study_time(
            number,
            by_study[number],
            targets=targets,
            budget_sec=targets.runtime_budget_sec * ruleset.budget_factor,
            num_trials=ruleset.num_trials,
            procedure=procedure,
            axis=axis,
        )
        for number in numbers
    ]
    if procedure.pad_studies:
        # Numbers for the studies that are missing: the smallest that are free, whatever the others are called.
        absent = [number for number in range(ruleset.num_studies + len(numbers)) if number not in by_study]
        miss = Miss(Reason.STUDY_MISSING, "study missing")
        studies += [
            StudyTime(n, math.inf, None, miss, num_absent=ruleset.num_trials)
            for n in absent[: ruleset.num_studies - len(studies)]
        ]
    if not numbers:
        value = math.inf if procedure.pad_studies else math.nan
        return WorkloadTime(value, tuple(studies), Miss(Reason.WORKLOAD_MISSING, "no results"))
    value = median([study.value for study in studies])
    if value != math.inf:
        return WorkloadTime(value, tuple(studies), None)
    num_trials = ruleset.num_trials if procedure.ruleset_counts else None
    counting = {
        number: sorted(own, key=lambda trial: trial.trial)[:num_trials] for number, own in by_study.items()
    }
    budget_sec = targets.runtime_budget_sec * ruleset.budget_factor
    return WorkloadTime(value, tuple(studies), why_infinite(studies, counting, targets, budget_sec))


def why_infinite(
    studies: Sequence[StudyTime],
    trials: Mapping[int, Sequence[Trial]],
    targets: WorkloadTargets,
    budget_sec: float,
) -> Miss:
    """The commonest reason of the infinite studies (ties: first in `Reason`), and how many there were.

    Args:
      studies: on one workload.
      trials: study -> those of its trials that count.
      targets: of the workload.
      budget_sec: submission time allowed to a trial.
    """
    misses = [study.miss for study in studies if study.miss]
    counts = collections.Counter(miss.reason for miss in misses)
    reason = max(Reason, key=lambda one: counts[one])
    finite = len(studies) - len(misses)
    if reason is Reason.TARGET_NOT_REACHED:
        best = direction.best([study.best for study in studies if study.miss], targets.higher_is_better)
        # A study that reached it has a better one.
        detail = not_reached(best, targets, " of the others" if finite else "")
    elif reason is Reason.STUDY_MISSING:
        detail = next(miss.detail for miss in misses if miss.reason is reason)
    else:
        # Of all their trials together: numbers of the first study would be read as those of the workload.
        own = [study for study in studies if study.miss and study.miss.reason is reason]
        best = direction.best([study.best for study in own], targets.higher_is_better)
        together = [trial for study in own for trial in trials[study.study]]
        detail = why_no_trial_counts(together, best, targets, budget_sec).detail
    others = "".join(f"; {counts[one]} {one}" for one in Reason if counts[one] and one is not reason)
    return Miss(
        reason,
        f"{finite} of {len(studies)} studies reached it, {len(studies) // 2 + 1} needed; {detail}{others}",
    )


def make_table(
    trials: Sequence[Trial],
    submissions: Sequence[str],
    suite: Suite,
    ruleset: Ruleset,
    procedure: Procedure,
    axis: str = SUBMISSION_TIME,
    medians: Mapping[tuple[str, str], float] | None = None,
) -> TimeTable:
    """Workload times of a field.

    Args:
      trials: of all submissions, in any order.
      submissions: rows of the table, in the order wanted.
      suite: gives columns, targets and held-out variants.
      ruleset: numbers of studies and trials, budget factor.
      procedure: clean or official rules.
      axis: 'submission_time' or 'steps'.
      medians: (submission, workload) -> time, for entries that were published as medians only.
    """
    grouped: dict[tuple[str, str], list[Trial]] = collections.defaultdict(list)
    for trial in trials:
        grouped[trial.submission, trial.workload].append(trial)
    held_out = held_out_columns(suite, procedure, {trial.workload for trial in trials})
    columns = (*suite.workloads, *held_out)
    without_studies = {submission for submission, _ in medians or ()}
    cells = {}
    for submission in submissions:
        for column in columns:
            targets = suite.targets(column)
            if medians and submission in without_studies:
                cells[submission, column] = published_median(
                    medians.get((submission, column)), targets, ruleset, procedure
                )
            else:
                cells[submission, column] = workload_time(
                    grouped[submission, column],
                    targets=targets,
                    ruleset=ruleset,
                    procedure=procedure,
                    axis=axis,
                )
    bases = tuple(suite.workloads.index(base) for base in held_out.values())
    return TimeTable(tuple(submissions), columns, len(suite.workloads), bases, cells)


def published_median(
    value: float | None, targets: WorkloadTargets, ruleset: Ruleset, procedure: Procedure
) -> WorkloadTime:
    """A workload time that is known without its studies; None where the submission had no results."""
    if value is None:
        miss = Miss(Reason.WORKLOAD_MISSING, "no results")
        return WorkloadTime(math.inf if procedure.pad_studies else math.nan, (), miss)
    budget_sec = targets.runtime_budget_sec * ruleset.budget_factor
    if procedure.check_budget and budget_sec < value < math.inf:
        miss = Miss(Reason.OVER_BUDGET, over_budget(value, 1.0, budget_sec))
        return WorkloadTime(math.inf, (), miss, is_median_only=True)
    if value == math.inf:
        miss = Miss(Reason.TARGET_NOT_REACHED, "published as not reached")
        return WorkloadTime(value, (), miss, is_median_only=True)
    return WorkloadTime(value, (), None, is_median_only=True)


def held_out_columns(suite: Suite, procedure: Procedure, found: set[str]) -> dict[str, str]:
    """Held-out variant -> base.

    Officially an empty list means every variant that is found in the logs (quirk stray-variants), and its
    base is the first fixed workload whose name is part of its name (quirk substring-base).
    """
    if suite.held_out or procedure.listed_workloads_only:
        return dict(sorted(suite.held_out.items()))
    # Sorted, because the order of columns must not depend on the order of folders.
    strays = sorted(found.difference(suite.workloads))
    bases = {stray: next((base for base in suite.workloads if base in stray), None) for stray in strays}
    return {stray: base for stray, base in bases.items() if base}
