"""What was to be reached: targets, budgets, guards; and for each submission what it says of itself, and every time."""

from collections.abc import Mapping
from typing import Any

from algoperf import direction
from algoperf.submission_info import SubmissionInfo
from scoring import curves, explained, output
from scoring.document.hits import FURTHEST
from scoring.leaderboard import Leaderboard


def content(board: Leaderboard) -> dict[str, dict[str, Any]]:
    """Workload or held-out variant -> its numbers."""
    suite, ruleset = board.settings.suite, board.settings.ruleset_name
    guards = {
        board.table.columns[board.table.num_workloads + position]: board.table.columns[base]
        for position, base in enumerate(board.table.bases)
    }
    found = {}
    for column in board.table.columns:
        targets = suite.targets(column)
        easiest = curves.relaxed(targets, FURTHEST).validation_target
        found[column] = {
            "guards": guards.get(column),
            "metric": targets.metric_name,
            "higher_is_better": targets.higher_is_better,
            "validation_target": targets.validation_target,
            # What a share of 1 would move the target by; see `curves.relaxed`.
            "target_range": _range(targets.metric_name, targets.validation_target),
            "slack": direction.ROUNDING if targets.metric_name in direction.COUNTED_METRICS else 0.0,
            "easiest_target": easiest,
            "budget_sec": suite.budget_sec(column, ruleset),
            "eval_period_sec": targets.eval_period_sec,
            "step_hint": targets.step_hint,
        }
    return found


def _range(metric: str, target: float) -> float:
    low, high = direction.range_of(metric)
    return min(target - low, high - target)


def times(board: Leaderboard) -> dict[str, dict[str, dict[str, Any]]]:
    """Submission -> column -> what `time_to_target.json` says, and medians behind it."""
    base = output.times_content(board)["submissions"]
    budgets = {
        column: board.settings.suite.budget_sec(column, board.settings.ruleset_name)
        for column in board.table.columns
    }
    for name in board.submissions:
        for column in board.table.columns:
            cell, known = base[name][column], board.table.cells[name, column]
            found = explained.of_cell(known)
            cell["explained"] = found and {key: output.finite(value) for key, value in vars(found).items()}
            # On another axis the budget stays in seconds.
            seconds = known.value if board.absolute else (found.seconds if found else float("inf"))
            cell["budget_share"] = output.finite(seconds / budgets[column])
    return base


def infos(found: Mapping[str, SubmissionInfo]) -> dict[str, dict[str, str]]:
    """Submission -> name, authors and description, of those that say so."""
    return {name: {key: text for key, text in vars(info).items() if text} for name, info in found.items()}
