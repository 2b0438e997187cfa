"""The field scored by updates and by examples beside seconds: what is fast, and what needs few updates."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from scoring import output
from scoring.leaderboard import Leaderboard, make_leaderboard
from scoring.results import STEPS, SUBMISSION_TIME, Results, Trial

EXAMPLES = "examples"
UNITS = {SUBMISSION_TIME: "seconds", STEPS: "updates", EXAMPLES: "examples"}


def content(board: Leaderboard, trials: Sequence[Trial]) -> dict[str, dict[str, Any]]:
    """Axis -> unit, scores, ranks and ratios; axes that some hit does not know are left out."""
    found = {board.settings.axis: _scores(board)}
    for axis in (SUBMISSION_TIME, STEPS, EXAMPLES):
        if axis not in found and (other := scored_by(axis, board, trials)):
            found[axis] = _scores(other)
    return {axis: {"unit": UNITS[axis], **found[axis]} for axis in UNITS if axis in found}


def scored_by(axis: str, board: Leaderboard, trials: Sequence[Trial]) -> Leaderboard | None:
    """The same field by seconds, updates or examples; None where some hit does not say."""
    if board.settings.medians:
        return None
    if axis == EXAMPLES:
        counted = [_in_examples(trial) for trial in trials]
        trials = [trial for trial in counted if trial is not None]
        if len(trials) < len(counted):
            return None
    if axis != SUBMISSION_TIME and any(
        math.isnan(trial.hit.global_step) for trial in trials if trial.hit is not None
    ):
        return None
    settings = dataclasses.replace(
        board.settings, axis=axis if axis == SUBMISSION_TIME else STEPS, reference=None
    )
    return make_leaderboard(Results(board.submissions, tuple(trials)), settings)


def _in_examples(trial: Trial) -> Trial | None:
    """The trial with examples for updates; None where a hit has no batch size."""
    if trial.hit is None:
        return trial
    if trial.summary is None or not trial.summary.global_batch_size:
        return None
    examples = trial.hit.global_step * trial.summary.global_batch_size
    return dataclasses.replace(trial, hit=dataclasses.replace(trial.hit, global_step=examples))


def _scores(board: Leaderboard) -> dict[str, Any]:
    ranks = board.ranks()
    return {
        "submissions": {
            name: {
                "score": float(board.scores[row]),
                "rank": int(ranks[row]) if board.has_ranks else None,
                "times": {
                    column: output.finite(board.table.cells[name, column].value)
                    for column in board.table.columns
                },
                "ratios": {
                    workload: output.finite(board.ratios.values[row, column])
                    for column, workload in enumerate(board.workloads)
                },
            }
            for row, name in enumerate(board.submissions)
        }
    }
