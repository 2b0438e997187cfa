"""The part of the report that says why times are infinite.

Most misses say no more than which metric was the best. In a large field they are one paragraph per workload, the best
first; what says more (runs that failed or broke off, studies that are missing) keeps its sentence.
"""

import math

from algoperf import direction
from scoring import text
from scoring.endings import not_reached
from scoring.leaderboard import Leaderboard
from scoring.results import Reason

MANY = 24
"""Misses from which on those that say no more than the best metric are gathered."""


def part(board: Leaderboard, width: int) -> str:
    """Every infinite time on a fixed workload with its reason."""
    cells = [
        (name, workload)
        for name in board.submissions
        for workload in board.workloads
        if (name, workload) in board.misses
    ]
    if not cells:
        return ""
    plain = {cell for cell in cells if _is_plain(board, *cell)} if len(cells) >= MANY else set()
    lines = ["Why times are infinite"]
    for workload in board.workloads:
        names = [name for name in board.submissions if (name, workload) in plain]
        if names:
            lines.append(text.paragraph(_gathered(board, workload, names), width))
    rows = [
        [name, workload, str(board.misses[name, workload].reason), board.misses[name, workload].detail]
        for name, workload in cells
        if (name, workload) not in plain
    ]
    if rows:
        lines += [""] if plain else []
        lines.append(
            text.table(["submission", "workload", "reason", "detail"], rows, num_left=4, width=width)
        )
    return "\n".join(lines)


def _best(board: Leaderboard, submission: str, workload: str) -> float:
    """The best metric of the studies that missed the target."""
    studies = board.table.cells[submission, workload].studies
    higher = board.settings.suite.targets(workload).higher_is_better
    return direction.best([study.best for study in studies if study.miss], higher)


def _reached(board: Leaderboard, submission: str, workload: str) -> tuple[int, int]:
    """(studies that reached the target, all studies)."""
    studies = board.table.cells[submission, workload].studies
    return sum(study.miss is None for study in studies), len(studies)


def _is_plain(board: Leaderboard, submission: str, workload: str) -> bool:
    """Whether a miss says no more than how many studies reached the target, and what the others' best metric is."""
    miss = board.misses[submission, workload]
    best = _best(board, submission, workload)
    if miss.reason is not Reason.TARGET_NOT_REACHED or math.isnan(best):
        return False
    reached, number = _reached(board, submission, workload)
    targets = board.settings.suite.targets(workload)
    end = not_reached(best, targets, " of the others" if reached else "")
    return miss.detail == f"{reached} of {number} studies reached it, {number // 2 + 1} needed; {end}"


def _gathered(board: Leaderboard, workload: str, names: list[str]) -> str:
    """For example 'wmt: bleu >= 30.8491 not reached in enough studies; best: a 30.7515, b 28.9 (1 of 3 reached it)'."""
    targets = board.settings.suite.targets(workload)
    sign = -1 if targets.higher_is_better else 1
    shown = []
    for name in sorted(names, key=lambda name: sign * _best(board, name, workload)):
        reached, number = _reached(board, name, workload)
        others = f" ({reached} of {number} reached it)" if reached else ""
        shown.append(f"{name} {_best(board, name, workload):.6g}{others}")
    target = (
        f"{targets.metric_name} {direction.sign(targets.higher_is_better)} {targets.validation_target:.6g}"
    )
    return f"{workload}: {target} not reached in enough studies; best: {', '.join(shown)}"
