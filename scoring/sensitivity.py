"""What a ranking hangs on: the field scored again without each entry and workload, with other r_max and targets.

Nothing is resampled here: the times stay those that were measured. Relaxed and tightened targets need the stored
evaluations (`curves`); everything else works from the workload times.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring import curves, intervals, profiles, rules
from scoring.leaderboard import Leaderboard, make_leaderboard

R_MAX_VALUES = (2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
TARGET_CHANGES = (-0.05, -0.02, -0.01, 0.01, 0.02, 0.05, 0.1, 0.15, 0.2)
"""Shares by which targets are relaxed (above 0) or tightened; see `curves.relaxed`."""


MAX_BOUNDS = 0.1
"""Share of the hits that may be bounds: beyond it, ranks would say when runs ended."""


@dataclass(frozen=True)
class Variation:
    """The field under one change; submissions in the order of the field, without the one left out."""

    kind: str
    """'entry', 'workload', 'r_max' or 'target'."""
    what: str
    """What was left out, or the new value."""
    submissions: tuple[str, ...]
    scores: np.ndarray
    ranks: np.ndarray
    ranks_before: np.ndarray
    """Among the same submissions, without the change."""
    note: str = ""

    @property
    def first(self) -> tuple[str, ...]:
        """Who is first."""
        return self._at_rank_one(self.ranks)

    @property
    def first_before(self) -> tuple[str, ...]:
        return self._at_rank_one(self.ranks_before)

    def _at_rank_one(self, ranks: np.ndarray) -> tuple[str, ...]:
        return tuple(name for name, rank in zip(self.submissions, ranks) if rank == 1)

    def moves(self) -> list[tuple[str, int, int]]:
        """(submission, rank before, rank after) of all whose rank changes, by rank before."""
        found = zip(self.submissions, self.ranks_before, self.ranks)
        return sorted(
            ((name, int(old), int(new)) for name, old, new in found if old != new), key=lambda one: one[1:]
        )


def left_out(board: Leaderboard) -> list[Variation]:
    """Without each entry, then without each workload."""
    names, workloads = board.submissions, board.workloads
    everybody = list(range(len(names)))
    found = []
    for row, name in enumerate(names if len(names) > 1 else ()):
        rows = [other for other in everybody if other != row]
        found.append(_variation(board, "entry", name, rows, scores_of(board, rows=rows)))
    for column, workload in enumerate(workloads if len(workloads) > 1 else ()):
        kept = [other for other in range(len(workloads)) if other != column]
        found.append(_variation(board, "workload", workload, everybody, scores_of(board, workloads=kept)))
    return found


def of_r_max(board: Leaderboard) -> list[Variation]:
    """With other limits on ratios."""
    everybody = list(range(len(board.submissions)))
    return [
        _variation(board, "r_max", f"{value:g}", everybody, scores_of(board, r_max=value))
        for value in R_MAX_VALUES
        if value != board.settings.suite.r_max
    ]


def of_targets(board: Leaderboard, stored: Sequence[curves.Curve]) -> tuple[list[Variation], list[str]]:
    """With relaxed and tightened targets; and sentences on those that the records do not reach.

    Args:
      board: the field.
      stored: the evaluations of all its trials.
    """
    suite, everybody = board.settings.suite, list(range(len(board.submissions)))
    found: list[Variation] = []
    notes: list[str] = []
    for change in TARGET_CHANGES:
        hits = curves.at_targets(stored, suite, change)
        changed = make_leaderboard(curves.results_with(board.submissions, hits), board.settings)
        ended = sum(one.is_lower_bound for one in hits)
        reached = sum(one.trial.hit is not None for one in hits)
        what = f"{'relaxed' if change > 0 else 'tightened'} by {abs(change):.0%}"
        if ended > MAX_BOUNDS * reached:
            notes.append(
                f"Targets {what} are not ranked: {ended} of {reached} hits are runs that ended at the suite's target, "
                "and so before this one."
            )
            continue
        note = ""
        if ended:
            note = f"{ended} of {reached} hits are runs that ended at the suite's target, taken as hits at their end"
        found.append(_variation(board, "target", what, everybody, changed.scores, note))
    return found, notes


def scores_of(
    board: Leaderboard,
    *,
    rows: Sequence[int] | None = None,
    workloads: Sequence[int] | None = None,
    r_max: float | None = None,
) -> np.ndarray:
    """Scores of some submissions on some workloads (positions; None for all), under another r_max."""
    table, settings = board.table, board.settings
    rows = range(len(board.submissions)) if rows is None else rows
    workloads = range(table.num_workloads) if workloads is None else workloads
    r_max = settings.suite.r_max if r_max is None else r_max
    guards = [position for position, base in enumerate(table.bases) if base in workloads]
    bases = tuple(list(workloads).index(table.bases[position]) for position in guards)
    columns = [*workloads, *(table.num_workloads + position for position in guards)]
    times = table.values()[np.ix_(list(rows), columns)]
    procedure = settings.procedure
    ratios = rules.performance_ratios(times, len(workloads), bases, r_max, one_best=procedure.one_best)
    return profiles.score(ratios.values, r_max, exact=procedure.exact_integral)


def _variation(
    board: Leaderboard, kind: str, what: str, rows: Sequence[int], scores: np.ndarray, note: str = ""
) -> Variation:
    return Variation(
        kind,
        what,
        tuple(board.submissions[row] for row in rows),
        scores,
        intervals.ranks(scores),
        intervals.ranks(board.scores[list(rows)]),
        note,
    )


def changes_of_first(board: Leaderboard) -> list[Variation]:
    """The entries and workloads without which somebody else is first; leaving out the first itself is none."""
    return [
        one
        for one in left_out(board)
        if one.first_before
        and one.first != one.first_before
        and not (one.kind == "entry" and _is_first(board, one.what))
    ]


def _is_first(board: Leaderboard, name: str) -> bool:
    return bool(board.ranks()[board.submissions.index(name)] == 1)
