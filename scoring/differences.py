"""What the clean rules change against the official procedure, quirk by quirk and submission by submission.

The quirks are repaired one after the other, in the order in which the rules apply, and the field is scored
after each; the changes add up exactly to the whole difference. Where two quirks change the same result, the effect is
attributed to the later one.
"""

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

from scoring.leaderboard import Leaderboard, Settings, make_leaderboard
from scoring.procedure import OFFICIAL, Quirk, official_to_clean
from scoring.results import Results


@dataclass(frozen=True)
class Step:
    """The effect of repairing one quirk."""

    quirk: Quirk
    changes: np.ndarray
    """(submissions,) change of the score; own times or, through the ratios, somebody else's."""
    notes: tuple[str, ...]
    """Own changes: which workload time became what."""


@dataclass(frozen=True)
class Differences:
    """The way from the official scores to the clean ones."""

    submissions: tuple[str, ...]
    official: np.ndarray
    clean: np.ndarray
    steps: tuple[Step, ...]
    """Those with an effect only."""


def compare_with_official(results: Results, settings: Settings) -> Differences:
    """Scores a field officially and then with one quirk after the other repaired."""
    before = make_leaderboard(results, dataclasses.replace(settings, procedure=OFFICIAL))
    official = before.scores
    steps = []
    for quirk, procedure in official_to_clean():
        after = make_leaderboard(results, dataclasses.replace(settings, procedure=procedure))
        step = Step(quirk, after.scores - before.scores, tuple(changed_times(before, after)))
        if step.changes.any() or step.notes:
            steps.append(step)
        before = after
    return Differences(before.submissions, official, before.scores, tuple(steps))


def changed_times(before: Leaderboard, after: Leaderboard) -> list[str]:
    """One sentence per workload time that differs; absent counts as infinite."""
    notes = []
    for submission in after.submissions:
        for column in after.table.columns:
            old, new = before.table.cells.get((submission, column)), after.table.cells[submission, column]
            if old and known(old.value) != known(new.value):
                notes.append(f"{submission}: {column} {old.value:,.2f} -> {new.value:,.2f}")
    return notes


def known(time: float) -> float:
    """`time`, infinite where there are no results."""
    return math.inf if math.isnan(time) else time
