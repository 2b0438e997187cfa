"""Seconds per update of each entry, beside those of the others in its framework.

A time to target is updates times seconds per update, and seconds per update are of the algorithm and of the framework
that carries it: on one machine the same model may take three times as long in JAX as in PyTorch. So the seconds stand
here beside their median over the entries of the same framework, which takes the framework out, and the medians of the
frameworks beside each other. Nothing of this enters a score.

Seconds per update are the median over the intervals between evaluations, the one before the first evaluation among
them, of all trials of an entry on a workload, as AlgoPerf's tables have them, on the submission clock.
"""

import collections
import math
import statistics
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from algoperf import frameworks
from scoring import text
from scoring.leaderboard import Leaderboard
from scoring.results import Trial

UNSTEADY = 1.5
"""Ratio of the upper to the lower quartile of the intervals from which on one number says little.

AlgoPerf's entries of 2026 on fastMRI wait for data until the page cache holds them: 1.1 s per update, then 0.11 s.
"""
TELLING = 1.5
"""Ratio of two frameworks' medians from which on a report shows them unasked."""
ENOUGH = 2
"""Entries of a framework whose median says something about the framework."""


@dataclass(frozen=True)
class StepTime:
    """Of one entry on one workload."""

    framework: str
    seconds: float
    """Per update."""
    is_steady: bool
    """Whether the middle half of the intervals lies within a factor of `UNSTEADY`."""


@dataclass(frozen=True)
class StepTimes:
    """Of a field."""

    cells: Mapping[tuple[str, str], StepTime]
    """(submission, workload) -> what is known; nothing of entries whose evaluations are not."""
    medians: Mapping[tuple[str, str], float]
    """(framework, workload) -> median over its entries."""
    counts: Mapping[tuple[str, str], int]
    """(framework, workload) -> its entries."""
    unsteady: Collection[tuple[str, str]]
    """(framework, workload) of which one number does not say much: at least half of its entries have no steady pace."""

    def relative(self, submission: str, workload: str) -> float:
        """Seconds per update over the median of the entries in the same framework; NaN where they are not known."""
        cell = self.cells.get((submission, workload))
        return math.nan if cell is None else cell.seconds / self.medians[cell.framework, workload]

    def frameworks_of(self, submission: str) -> list[str]:
        """Those that it ran in: one, or another one on some workloads (R2.3)."""
        return sorted({cell.framework for (name, _), cell in self.cells.items() if name == submission})

    def effect(self, workload: str) -> float:
        """The slowest framework's median over the fastest's; NaN where there are not two that say enough."""
        known = [
            seconds
            for key, seconds in self.medians.items()
            if key[1] == workload and self.counts[key] >= ENOUGH and key not in self.unsteady
        ]
        return max(known) / min(known) if len(known) > 1 else math.nan


def measure(trials: Collection[Trial], workloads: Collection[str]) -> StepTimes:
    """The seconds per update of a field.

    Args:
      trials: of all entries.
      workloads: those to look at.
    """
    grouped: dict[tuple[str, str], list[Trial]] = collections.defaultdict(list)
    for trial in trials:
        if trial.workload in workloads and trial.end is not None and len(trial.end.times_sec):
            grouped[trial.submission, trial.workload].append(trial)
    cells = {key: found for key, own in grouped.items() if (found := _of_entry(own)) is not None}
    of_framework: dict[tuple[str, str], list[StepTime]] = collections.defaultdict(list)
    for (_, workload), cell in cells.items():
        of_framework[cell.framework, workload].append(cell)
    return StepTimes(
        cells,
        {key: statistics.median(one.seconds for one in own) for key, own in of_framework.items()},
        {key: len(own) for key, own in of_framework.items()},
        {key for key, own in of_framework.items() if 2 * sum(one.is_steady for one in own) <= len(own)},
    )


def _of_entry(trials: Sequence[Trial]) -> StepTime | None:
    """Of the trials of one entry on one workload; None where no interval has updates."""
    ends = [one.end for one in trials if one.end is not None]
    # In a row, each trial from 0 on: going back to 0 is an interval of fewer updates than none, and is left out, as are
    # those without updates (the end of a run may be evaluated twice) and of a log without steps (NaN).
    times = np.array([value for end in ends for value in (0.0, *end.times_sec)])
    steps = np.array([value for end in ends for value in (0.0, *end.steps)])
    seconds, updates = trials[0].clock_factor * np.diff(times), np.diff(steps)
    known = updates > 0
    if not known.any():
        return None
    low, middle, high = np.percentile(seconds[known] / updates[known], (25, 50, 75))
    return StepTime(trials[0].framework, float(middle), bool(high <= UNSTEADY * low))


def is_telling(found: StepTimes, workloads: Iterable[str]) -> bool:
    """Whether two frameworks differ on any workload by enough to be shown unasked."""
    return any(found.effect(workload) >= TELLING for workload in workloads)


def parts(board: Leaderboard, found: StepTimes, width: int) -> list[str]:
    """The report's tables: frameworks beside each other, then entries beside those of their framework."""
    workloads = [name for name in board.workloads if any(place == name for _, place in found.cells)]
    if not workloads:
        return []
    shown = [_entries(board, found, workloads, width)]
    names = [name for name in frameworks.names() if any(framework == name for framework, _ in found.medians)]
    return [_frameworks(found, names, workloads, width), *shown] if len(names) > 1 else shown


def _frameworks(found: StepTimes, names: Sequence[str], workloads: Sequence[str], width: int) -> str:
    rows = []
    for workload in workloads:
        known = {name: found.medians[name, workload] for name in names if (name, workload) in found.medians}
        cells = [_median_text(found, name, workload) if name in known else "-" for name in names]
        verdict = "-"
        if len(known) > 1:
            slow, fast = max(known, key=known.__getitem__), min(known, key=known.__getitem__)
            verdict = f"{slow} {known[slow] / known[fast]:.2f} x" if known[slow] > known[fast] else "equal"
        rows.append([workload, *cells, verdict])
    title = (
        "Seconds per update by framework: median over its entries (in brackets their number), and how many times as "
        "long the slower one takes. Scores hold framework and algorithm together; where this is far from 1, ranks "
        "across frameworks say less about algorithms than ranks within one (--axis=steps scores updates)"
    )
    table = text.table(["workload", *names, "slower"], rows, width=width)
    return f"{text.paragraph(title, width, indent='')}\n{table}"


def _median_text(found: StepTimes, framework: str, workload: str) -> str:
    key = framework, workload
    mark = "~" if key in found.unsteady else ""
    return f"{mark}{seconds_text(found.medians[key])} ({found.counts[key]})"


def _entries(board: Leaderboard, found: StepTimes, workloads: Sequence[str], width: int) -> str:
    """One row per entry, by framework, the best score first."""
    ran_in = {row: "+".join(found.frameworks_of(board.submissions[row])) for row in board.order()}
    rows: list[tuple[str, Sequence[str]]] = []
    groups = sorted({where for where in ran_in.values() if where})
    for group in groups:
        if len(groups) > 1:
            rows.append((f"in {group}:", [""] * (2 + len(workloads))))
        rows += [
            (board.submissions[row], _cells(board, found, row, workloads))
            for row in board.order()
            if ran_in[row] == group
        ]
    title = (
        "Seconds per update of each entry, in brackets over the median of the entries in its framework; all: geometric "
        "mean of the latter over workloads"
    )
    if not all(cell.is_steady for (_, workload), cell in found.cells.items() if workload in workloads):
        title += f"; ~: the middle half of the intervals differs by over {UNSTEADY:g} x, as where runs wait for data"
    table = text.matrix("submission", ("score", "all", *workloads), rows, width)
    return f"{text.paragraph(title, width, indent='')}\n{table}"


def _cells(board: Leaderboard, found: StepTimes, row: int, workloads: Sequence[str]) -> list[str]:
    name, bounds = board.submissions[row], board.bounds
    score = f"{board.scores[row]:.4f}"
    if bounds is not None and bounds.is_incomplete[row]:  # No score yet (R8.16).
        low, high = f"{bounds.low[row]:.2f}", f"{bounds.high[row]:.2f}"
        score = low if low == high else f"{low}-{high}"
    relative = {workload: found.relative(name, workload) for workload in workloads}
    cells = [score, _ratio(geometric_mean(relative.values()))]
    for workload, ratio in relative.items():
        cell = found.cells.get((name, workload))
        mark = "" if cell is None or cell.is_steady else "~"
        cells.append("-" if cell is None else f"{mark}{seconds_text(cell.seconds)} ({_ratio(ratio)})")
    return cells


def geometric_mean(values: Iterable[float]) -> float:
    """Of those that are known; NaN of none."""
    known = [value for value in values if value > 0]
    return math.exp(math.fsum(map(math.log, known)) / len(known)) if known else math.nan


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.2f}"


def seconds_text(value: float) -> str:
    """Two digits, however short an update is.

    >>> seconds_text(2.5687), seconds_text(0.13804), seconds_text(41.27), seconds_text(0.0021)
    ('2.6', '0.14', '41', '0.0021')
    """
    digits = max(0, 1 - math.floor(math.log10(value))) if value > 0 else 1
    return f"{value:.{digits}f}"


def csv_rows(board: Leaderboard, found: StepTimes) -> Iterable[Sequence[Any]]:
    """Header and one row per submission: seconds per update; empty where they are not known."""
    columns = sorted(board.table.columns)
    yield ["submission", *columns]
    for name in board.submissions:
        cells = [found.cells.get((name, column)) for column in columns]
        yield [name, *("" if cell is None else cell.seconds for cell in cells)]


def cell_content(found: StepTimes, submission: str, workload: str) -> dict[str, Any] | None:
    """What is known of an entry on a workload, as JSON."""
    cell = found.cells.get((submission, workload))
    if cell is None:
        return None
    return {
        "framework": cell.framework,
        "seconds_per_update": cell.seconds,
        "over_median_of_framework": found.relative(submission, workload),
        "is_steady": cell.is_steady,
    }


def frameworks_content(found: StepTimes, workloads: Iterable[str]) -> dict[str, Any]:
    """Workload -> framework -> the median over its entries and their number, as JSON."""
    return {
        workload: {
            framework: {
                "seconds_per_update": seconds,
                "num_submissions": found.counts[framework, name],
                "is_steady": (framework, name) not in found.unsteady,
            }
            for (framework, name), seconds in sorted(found.medians.items())
            if name == workload
        }
        for workload in workloads
    }
