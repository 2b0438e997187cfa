"""Whether a verdict hangs on how a target was set: few reruns of one point put it somewhere in a range.

A validation target is the median of the best metrics of some reruns (`set_targets.py targets`). How far that median may
be off follows from their order statistics: the range between two of them that holds the true median with at least
`CONFIDENCE`; with five reruns that is from the worst to the best. A miss that the easier end would have made a
hit, or a hit that has not shown the harder end, says little about the submission.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from algoperf.suites import WorkloadTargets
from scoring.leaderboard import Leaderboard
from scoring.results import Reason
from scoring.times import WorkloadTime

CONFIDENCE = 0.9
USUAL_RERUNS = 20
"""Of the AlgoPerf paper, https://arxiv.org/abs/2306.07179, section 4.1."""


@dataclass(frozen=True)
class Decided:
    """Entries whose verdict on a workload lies within the uncertainty of its target."""

    workload: str
    num_reruns: int
    low: float
    high: float
    missed: tuple[str, ...]
    reached: tuple[str, ...]
    num_reached: int
    """All that reached it."""


def median_range(values: Sequence[float]) -> tuple[float, float]:
    """The two order statistics between which the true median lies with at least `CONFIDENCE`, else the extremes.

    >>> median_range([3.0, 1.0, 2.0, 5.0, 4.0]), median_range(range(1, 21))
    ((1.0, 5.0), (6, 15))
    """
    ordered, n = sorted(values), len(values)
    rank, outside = 1, 2 * 0.5**n
    while (
        2 * (rank + 1) <= n and (next_outside := outside + 2 * math.comb(n, rank) * 0.5**n) <= 1 - CONFIDENCE
    ):
        rank, outside = rank + 1, next_outside
    return ordered[rank - 1], ordered[n - rank]


def decided(board: Leaderboard) -> list[Decided]:
    """Of each workload whose suite says what its target was set from, if any verdict hangs on that."""
    found = []
    for workload in board.table.columns:
        origin = board.settings.suite.origins.get(workload)
        if origin is None:
            continue
        targets = board.settings.suite.targets(workload)
        low, high = median_range(origin.reruns)
        easier, harder = (low, high) if targets.higher_is_better else (high, low)
        cells = {name: board.table.cells[name, workload] for name in board.submissions}
        hits = [name for name, cell in cells.items() if cell.value < math.inf]
        missed = tuple(
            name for name in cells if name not in hits and would_be_reached(cells[name], targets, easier)
        )
        reached = tuple(name for name in hits if not is_shown(cells[name], targets, harder))
        if missed or reached:
            found.append(Decided(workload, len(origin.reruns), low, high, missed, reached, len(hits)))
    return found


def meets(value: float, targets: WorkloadTargets, target: float) -> bool:
    """Whether a metric is at least as good as another target; NaN is not."""
    return value >= target if targets.higher_is_better else value <= target


def would_be_reached(cell: WorkloadTime, targets: WorkloadTargets, easier: float) -> bool:
    """Whether enough studies of a miss came to the easier target."""
    if cell.miss is None or cell.miss.reason is not Reason.TARGET_NOT_REACHED:
        return False
    there = [one.value < math.inf or meets(one.best, targets, easier) for one in cell.studies]
    return sum(there) > len(there) // 2


def is_shown(cell: WorkloadTime, targets: WorkloadTargets, harder: float) -> bool:
    """Whether enough studies came to the harder target; runs end soon after the one that is set."""
    known = [one.run for one in cell.studies if one.run is not None]
    if not known:  # A published median.
        return True
    return sum(meets(run.best, targets, harder) for run in known) > len(cell.studies) // 2


def notes(board: Leaderboard) -> list[str]:
    """One sentence on each workload with a miss that hangs on its target, one on all where only hits do."""
    found = decided(board)
    texts = [sentence(one) for one in found if one.missed]
    only_hits = [one for one in found if not one.missed]
    if only_hits:
        where = ", ".join(f"{one.workload} {len(one.reached)} of {one.num_reached}" for one in only_hits)
        texts.append(f"Of those that reached a target, not beyond what few reruns leave open of it: {where}.")
    if texts:
        few = min(one.num_reruns for one in found)
        texts.insert(0, f"Some targets were set from {few} reruns (the AlgoPerf paper takes {USUAL_RERUNS}).")
    return [" ".join(texts)] if texts else []


def sentence(one: Decided) -> str:
    """On a workload where somebody missed the target by less than it is known."""
    text = (
        f"{one.workload}: {one.num_reruns} reruns put the target between {one.low:.4g} and {one.high:.4g}, and "
        f"{', '.join(one.missed)} missed it within that"
    )
    if one.reached:
        text += f"; {len(one.reached)} of {one.num_reached} that reached it are within it, too"
    return text + "."
