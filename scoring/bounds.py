"""What the results that are not there yet could still change: bounds of scores and ranks.

A trial that was not run lies between **never** (infinite, as it is scored) and **at once**: twice as fast as the
fastest study that anybody has on that workload. With a time of 0 everybody else's ratio would be infinite, and one
missing result would open all ranks, so "at once" has to be some time. It must be faster than all known ones, or nobody
could still be overtaken. An entry's own upper bound does not depend on it.

From these each workload time has a least and a largest value, and from those come

- the score of each entry: at most with its own times at their least and everybody else's at their largest, at least the
  other way round. Held-out rules are taken for passed or failed by whom it may concern, whichever is worse or better;
- for each pair the largest lead of one over the other. Scores add up over workloads, so leads do; on each workload the
  lead is a function of the pace that third entries set, and has its extremes at few paces. Ranks come from the leads: a
  rival that lags whatever happens is behind.

With held-out variants the bounds may be wider than need be, never too narrow.
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from algoperf.suites import Suite
from scoring.endings import broke_off, length_sec
from scoring.results import Trial
from scoring.times import TimeTable, WorkloadTime, median

HEAD_START = 2.0
"""How much faster than the fastest study that anybody has "at once" is.

In no workload of the first AlgoPerf competition is the fastest of 11 entries as far ahead of the second.
"""
TIED = 1e-9
"""Scores closer than this are equal up to rounding."""


@dataclass(frozen=True)
class Gap:
    """Trials of one submission on one workload or variant that were not run."""

    submission: str
    workload: str
    num_trials: int
    num_studies: int
    """Studies that they belong to."""
    matters: bool
    """Whether they could still change a rank, alone or with others."""
    seconds: float
    """Submission time that they may take."""


@dataclass(frozen=True)
class Bounds:
    """Of a field with results missing; arrays are (submissions,)."""

    low: np.ndarray
    high: np.ndarray
    best_rank: np.ndarray
    worst_rank: np.ndarray
    is_incomplete: np.ndarray
    """Whether trials of the entry's own were not run."""
    gaps: tuple[Gap, ...]
    """Cheapest first."""
    times: tuple[np.ndarray, np.ndarray]
    """Least and largest workload times, (submissions, columns)."""

    def is_exact(self, row: int) -> bool:
        """Whether nothing that is missing can change this entry's score."""
        return bool(self.high[row] - self.low[row] <= TIED)


def of(
    table: TimeTable, suite: Suite, ruleset: str, trials: Collection[Trial], final: Collection[str] = ()
) -> Bounds | None:
    """The bounds of a scored field; None where nothing is missing.

    Args:
      table: its times, under the clean rules; officially missing results are none.
      suite, ruleset: whose.
      trials: of the field, for what the missing ones may cost.
      final: submissions to which nothing will be added, such as published ones.
    """
    absent = {
        (row, column): studies
        for row, name in enumerate(table.submissions)
        if name not in final
        for column, workload in enumerate(table.columns)
        if (studies := [one for one in table.cells[name, workload].studies if one.num_absent])
    }
    if not absent:
        return None
    low, high = least_times(table, absent), largest_times(table)
    field = Field(table.num_workloads, table.bases, suite.r_max)
    lead = field.leads(low, high)
    expected = Expected(trials, suite, ruleset)
    gaps = []
    for (row, column), studies in absent.items():
        name, workload = table.submissions[row], table.columns[column]
        number = sum(study.num_absent for study in studies)
        matters = could_change_a_rank(field, low, high, lead, (row, column))
        seconds = number * expected.seconds(name, workload)
        gaps.append(Gap(name, workload, number, len(studies), matters, seconds))
    return Bounds(
        *field.scores(low, high),
        1 + np.sum(lead < -TIED, axis=1),
        1 + np.sum(lead > TIED, axis=0),
        np.isin(np.arange(len(table.submissions)), [row for row, _ in absent]),
        tuple(sorted(gaps, key=lambda gap: (gap.seconds, gap.submission, gap.workload))),
        (low, high),
    )


def could_change_a_rank(
    field: "Field", low: np.ndarray, high: np.ndarray, lead: np.ndarray, cell: tuple[int, int]
) -> bool:
    """Whether the time in `cell` moves the largest lead of a pair whose order is open.

    It may take other missing results besides to change the order.
    """
    open_pairs = (lead > TIED) & (lead.T > TIED)
    if low[cell] == high[cell] or not open_pairs.any():
        return False
    settled_low, settled_high = low.copy(), high.copy()
    settled_low[cell], settled_high[cell] = high[cell], low[cell]
    return any(
        (np.abs(settled - lead) > TIED)[open_pairs].any()
        for settled in (field.leads(low, settled_high), field.leads(settled_low, high))
    )


def largest_times(table: TimeTable) -> np.ndarray:
    """(submissions, columns) workload times if nothing that was not run had reached its target."""
    values = table.values()
    return np.where(np.isnan(values), math.inf, values)


def least_times(table: TimeTable, absent: Collection[tuple[int, int]]) -> np.ndarray:
    """(submissions, columns) workload times if all that was not run had reached its target at once."""
    values = largest_times(table)
    for row, column in absent:
        workload = table.columns[column]
        cells = [table.cells[name, workload] for name in table.submissions]
        values[row, column] = least_time(table.cells[table.submissions[row], workload], at_once(cells))
    return values


def at_once(cells: Sequence[WorkloadTime]) -> float:
    """`HEAD_START` times as fast as anybody's fastest study; where nobody reached the target, any time will do."""
    known = [study.value for cell in cells for study in cell.studies] + [cell.value for cell in cells]
    return min((value for value in known if math.isfinite(value)), default=1.0) / HEAD_START


def least_time(cell: WorkloadTime, fastest: float) -> float:
    """The median over studies, those with missing trials as fast as `fastest`."""
    return median([min(one.value, fastest) if one.num_absent else one.value for one in cell.studies])


@dataclass(frozen=True)
class Field:
    """The rules of scoring, on intervals of times."""

    num_workloads: int
    bases: tuple[int, ...]
    r_max: float

    def scores(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(submissions,) least and largest scores, of (submissions, columns) least and largest times."""
        low, high = self.qualified(low, high)
        return (
            self.points(high, np.minimum(high, others(low))).mean(axis=1),
            self.points(low, np.minimum(low, others(high))).mean(axis=1),
        )

    def leads(self, low: np.ndarray, high: np.ndarray) -> np.ndarray:
        """(submissions, submissions) the most by which the score of the row's entry can exceed the column's."""
        low, high = self.qualified(low, high)
        own, rival = low[:, None, :], high[None, :, :]
        slowest, fastest = without_two(high), without_two(low)
        # Between these paces the lead rises or falls all the way.
        with np.errstate(invalid="ignore"):
            kinks = [own, rival, own / self.r_max, rival / self.r_max]
            paces = [fastest, slowest, *(np.clip(kink, fastest, slowest) for kink in kinks)]
        found = []
        for third in paces:
            pace = np.minimum(np.minimum(own, rival), third)
            found.append(self.points(own, pace) - self.points(rival, pace))
        lead = np.max(found, axis=0).mean(axis=2)
        np.fill_diagonal(lead, 0.0)
        return lead

    def points(self, times: np.ndarray, pace: np.ndarray) -> np.ndarray:
        """What a time adds to a score; 0 where it is infinite."""
        is_finite = np.isfinite(times)
        # A time of 0, as published numbers may have, is infinitely faster than any other.
        pace = np.maximum(np.where(np.isfinite(pace), pace, 1.0), np.finfo(float).tiny)
        ratios = np.where(is_finite, times, 1.0) / pace
        return np.where(is_finite, np.clip((self.r_max - ratios) / (self.r_max - 1), 0, 1), 0.0)

    def qualified(self, low: np.ndarray, high: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(submissions, workloads) times after the held-out rules: least if all goes well, largest if it does not."""
        n = self.num_workloads
        least, largest = low[:, :n].copy(), high[:, :n].copy()
        for position, base in enumerate(self.bases):
            # A variant counts for who reached its workload (R9.4).
            reached = np.where(np.isfinite(low[:, base]), low[:, n + position], math.inf)
            surely = np.where(np.isfinite(high[:, base]), high[:, n + position], math.inf)
            # Its own time is within any multiple of itself, so what the others do decides.
            cannot_pass = ~(reached <= self.r_max * others(surely[:, None])[:, 0]) | np.isinf(reached)
            may_fail = ~(surely <= self.r_max * others(reached[:, None])[:, 0]) | np.isinf(surely)
            least[cannot_pass, base] = math.inf
            largest[may_fail, base] = math.inf
        return least, largest


def others(times: np.ndarray) -> np.ndarray:
    """(submissions, columns) fastest time of the other submissions; infinite where there is none.

    >>> others(np.array([[3.0], [1.0], [2.0]])).ravel()
    array([1., 2., 1.])
    """
    return np.min(
        np.where(np.eye(len(times), dtype=bool)[:, :, None], math.inf, times), axis=1, initial=math.inf
    )


def without_two(times: np.ndarray) -> np.ndarray:
    """(submissions, submissions, columns) fastest time of those that are neither the one nor the other."""
    rows = np.arange(len(times))
    fastest = np.full((len(times), *times.shape), math.inf)
    # The three fastest are enough: two of them may be the pair itself.
    for who in np.argsort(times, axis=0, kind="stable")[:3][::-1]:
        is_third = (who != rows[:, None, None]) & (who != rows[None, :, None])
        fastest = np.where(is_third, times[who, np.arange(times.shape[1])], fastest)
    return fastest


class Expected:
    """What a trial that was not run may take on the submission clock.

    Args:
      trials: those that were; the mean of the same entry and workload is taken, else of the workload. Those that broke
        off say nothing of it.
      suite, ruleset: give the budget where nobody ran.
    """

    def __init__(self, trials: Collection[Trial], suite: Suite, ruleset: str):
        self._suite, self._ruleset = suite, ruleset
        self._seen: dict[tuple[str, ...], list[float]] = {}
        facts = {
            name: (suite.targets(name), suite.budget_sec(name, ruleset)) for name in suite.scored_names()
        }
        for trial in trials:
            known = length_sec(trial)
            is_whole = trial.workload in facts and not broke_off(trial, *facts[trial.workload])
            if is_whole and not math.isnan(known):
                for key in ((trial.submission, trial.workload), (trial.workload,)):
                    self._seen.setdefault(key, []).append(known)

    def seconds(self, submission: str, workload: str) -> float:
        """Of one trial."""
        for key in ((submission, workload), (workload,)):
            if seen := self._seen.get(key):
                return sum(seen) / len(seen)
        return self._suite.budget_sec(workload, self._ruleset)
