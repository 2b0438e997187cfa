"""A field on one workload, in a few lines: who reached the target when, and what the studies tell apart."""

import math

from scoring import intervals, text
from scoring.leaderboard import Leaderboard
from scoring.times import WorkloadTime

MAX_ROWS = 6
"""Submissions that are listed; the report has all."""
MAX_VERDICTS = 3


def lines(seconds: Leaderboard, updates: Leaderboard) -> list[str]:
    """The table, then a sentence for each of the neighbours in it.

    Args:
      seconds: the field on one workload, by submission time.
      updates: the same by updates.
    """
    (workload,) = seconds.workloads
    best_known = min(
        (seconds.table.cells[name, workload].value for name in seconds.submissions), default=math.inf
    )
    order = seconds.order()
    rows = []
    for row in order[:MAX_ROWS]:
        name = seconds.submissions[row]
        cell, steps = seconds.table.cells[name, workload], updates.table.cells[name, workload]
        reached = [study.value for study in cell.studies if math.isfinite(study.value)]
        ran = sum(study.was_run for study in cell.studies)
        ratio = cell.value / best_known if math.isfinite(cell.value) else math.nan
        rows.append(
            [
                seconds.label(row),
                _number(cell.value, ".1f"),
                f"{min(reached):.1f} - {max(reached):.1f}" if len(reached) > 1 else "-",
                _number(steps.value, ",.0f"),
                f"{len(reached)} of {ran}",
                _number(ratio, ".2f"),
                _best(cell),
            ]
        )
    header = ["submission", "seconds", "from - to", "updates", "reached", "ratio", "best"]
    found = text.table(header, rows, num_left=1, width=text.terminal_width()).split("\n")
    if len(order) > MAX_ROWS:
        found.append(f"  ... and {len(order) - MAX_ROWS} more")
    return [*found, *verdicts(seconds)]


def _number(value: float, form: str) -> str:
    return format(value, form) if math.isfinite(value) else "-"


def _best(cell: WorkloadTime) -> str:
    """The median of the studies' best metrics; '-' where none is known."""
    known = sorted(study.best for study in cell.studies if study.was_run and not math.isnan(study.best))
    return f"{known[len(known) // 2]:.4g}" if known else "-"


def verdicts(board: Leaderboard) -> list[str]:
    """A sentence for each pair of neighbours in the order of the scores: better, or cannot tell and what would."""
    spread = board.uncertainty
    if spread is None or not board.has_ranks:
        return [] if board.has_ranks else ["None of them reached the target within the budget."]
    order = board.order()
    found = []
    for high, low in list(zip(order, order[1:]))[:MAX_VERDICTS]:
        first, second = board.submissions[high], board.submissions[low]
        if spread.clear[high, low]:
            found.append(f"{first} is better than {second} here.")
        else:
            more = intervals.magnitude(spread.studies_to_tell[high, low])
            found.append(
                f"Cannot tell {first} from {second}: {spread.above[high, low]:.0%} that {first} is better; "
                f"{more} studies would tell (--num_studies)."
            )
    return found
