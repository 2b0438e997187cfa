"""Ranks by updates beside those by time, for suites whose times say less than their updates.

On mini workloads a target is reached within seconds, evaluations are seconds apart, and the machine has other things to
do: two studies agree less in their ranks by time than by updates (docs/mini_leaderboard.md).
"""

import dataclasses

from algoperf.suites import Suite
from scoring.leaderboard import Leaderboard, make_leaderboard
from scoring.results import STEPS, SUBMISSION_TIME, Results

MINI = "_mini"


def is_mini(suite: Suite) -> bool:
    """Whether all workloads are mini versions.

    >>> from algoperf import suites
    >>> is_mini(suites.load("mini_quick")), is_mini(suites.load("algoperf_v06"))
    (True, False)
    """
    return all(name.endswith(MINI) for name in suite.workloads)


def notes(board: Leaderboard, field: Results) -> list[str]:
    """A sentence with the ranks on both axes; none for other suites, or where there is nothing to rank by updates."""
    settings = board.settings
    hits = [trial.hit for trial in field.trials if trial.hit]
    knows_updates = all(hit.global_step == hit.global_step for hit in hits)  # NaN where a log has none.
    if not is_mini(settings.suite) or settings.axis != SUBMISSION_TIME or len(board.submissions) < 2:
        return []
    if not (hits and knows_updates) or settings.medians:
        return []
    other = make_leaderboard(field, dataclasses.replace(settings, axis=STEPS, reference=None))
    by_time = dict(zip(board.submissions, board.ranks()))
    ranks = other.ranks()
    shown = ", ".join(
        f"{other.submissions[row]} {ranks[row]} ({by_time[other.submissions[row]]})" for row in other.order()
    )
    return [
        f"Ranks by updates, in brackets by time: {shown}. On mini workloads those by updates repeat themselves better "
        "from study to study (docs/mini_leaderboard.md); --axis=steps scores them."
    ]
