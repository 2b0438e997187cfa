"""Why a submission has the result that it has on a workload: one line in words for its author."""

import math
import statistics
from collections.abc import Sequence

from scoring import explained
from scoring.document import trials as rows
from scoring.explained import Explanation
from scoring.leaderboard import Leaderboard
from scoring.results import Reason, Trial

FAR = 1.5
"""Factor beside the field from which a speed or a number of updates is worth a word."""
LONG_START = 0.2
"""Share of the time to target that the first update takes, likewise."""
MUCH_EVALUATION = 0.5
"""Share of evaluation in a whole run, likewise."""


def content(board: Leaderboard, trials: Sequence[Trial]) -> dict[str, dict[str, str]]:
    """Submission -> workload -> sentence."""
    grouped: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        grouped.setdefault((trial.submission, trial.workload), []).append(trial)
    found: dict[str, dict[str, str]] = {name: {} for name in board.submissions}
    for column, workload in enumerate(board.workloads):
        behind = {name: explained.of_cell(board.table.cells[name, workload]) for name in board.submissions}
        speeds = {name: speed(grouped.get((name, workload), ())) for name in board.submissions}
        usual = _median(list(speeds.values()))
        for row, name in enumerate(board.submissions):
            own = grouped.get((name, workload), [])
            parts = [result(board, row, column, behind)]
            parts += speed_words(speeds[name], usual)
            parts += start_words(behind[name])
            parts += machine_words(own)
            found[name][workload] = " ".join(parts)
    return found


def speed(trials: Sequence[Trial]) -> float:
    """Median updates a second over trials, reached or not; NaN where they do not say."""
    return _median([1 / one for trial in trials if (one := rows.seconds_per_update(trial)) > 0])


def result(board: Leaderboard, row: int, column: int, behind: dict[str, Explanation | None]) -> str:
    """What the score says: a miss and its reason, or how far behind the fastest and why."""
    name, workload = board.submissions[row], board.workloads[column]
    cell = board.table.cells[name, workload]
    miss = board.misses.get((name, workload))
    studies = sum(study.miss is None for study in cell.studies)
    reach = f"{studies} of {len(cell.studies)} studies" if cell.studies else ""
    if miss is not None:
        return f"{MISSES[miss.reason]}: {miss.detail}."
    ratio = float(board.ratios.values[row, column])
    among = f" ({reach} reached the target)" if reach and studies < len(cell.studies) else ""
    fastest = [other for other in range(len(board.submissions)) if board.ratios.values[other, column] == 1.0]
    if ratio == 1.0:
        return (
            f"Fastest of the field{among}." if len(board.submissions) > 1 else f"Reached the target{among}."
        )
    best = board.submissions[fastest[0]] if fastest else ""
    own, other = behind[name], behind.get(best)
    why = ""
    if own and other and own.updates > 0 and other.updates > 0 and own.updates_per_sec > 0:
        why = (
            f", by {own.updates / other.updates:.2f} x the updates "
            f"and {other.updates_per_sec / own.updates_per_sec:.2f} x the time for each"
        )
    return f"{ratio:.2f} x the time of {best}{why}{among}."


MISSES = {
    Reason.TARGET_NOT_REACHED: "Target never reached",
    Reason.OVER_BUDGET: "Target reached, but after the budget",
    Reason.TRIAL_FAILED: "Trials failed",
    Reason.ENDED_EARLY: "Runs broke off, and no status says why",
    Reason.NO_EVALUATION: "The budget ended before the first evaluation",
    Reason.STUDY_MISSING: "Too few studies were run",
    Reason.WORKLOAD_MISSING: "Not run",
    Reason.HELD_OUT_MISSING: "Reached, but its held-out variant was not run",
    Reason.HELD_OUT_TARGET_NOT_REACHED: "Reached, but not on its held-out variant",
    Reason.HELD_OUT_TOO_SLOW: "Reached, but too slowly on its held-out variant",
    Reason.BASE_NOT_REACHED: "The workload that it guards was not reached",
    Reason.TOO_SLOW: "Reached, but too slowly to count",
}


def speed_words(own: float, usual: float) -> list[str]:
    """Where updates are much slower or faster than the field's median."""
    if not (own > 0 and usual > 0) or 1 / FAR < own / usual < FAR:
        return []
    word = "Slow" if own < usual else "Fast"
    return [f"{word} updates: {_rate(own, usual)}, the field's median {_rate(usual, own)}."]


def _rate(per_sec: float, beside: float) -> str:
    """Updates a second; the seconds of one where it, or what it stands beside, takes longer than that."""
    if min(per_sec, beside) < 1:
        return f"{1 / per_sec:,.2f} s each"
    return f"{per_sec:,.0f} a second" if min(per_sec, beside) >= 10 else f"{per_sec:,.1f} a second"


def start_words(one: Explanation | None) -> list[str]:
    """Where the first update, mostly compilation, or evaluation takes much of the time."""
    if one is None:
        return []
    words = []
    share = one.first_update_sec / one.seconds if one.seconds > 0 else math.nan
    if share > LONG_START:
        words.append(f"The first update, mostly compilation, took {share:.0%} of the time to target.")
    if one.evaluation_share > MUCH_EVALUATION:
        words.append(f"Evaluation, off the clock, took {one.evaluation_share:.0%} of the runs.")
    return words


def machine_words(trials: Sequence[Trial]) -> list[str]:
    """Trials beside other processes, and how they ended where that was no target and no budget."""
    words = []
    loaded = sum(any(fact.was_loaded for fact in trial.facts) for trial in trials)
    if loaded:
        words.append(f"{loaded} of {len(trials)} trials ran on a busy machine.")
    for status in ("diverged", "failed", "stopped"):
        count = sum(trial.status == status for trial in trials)
        if count:
            words.append(f"{count} of {len(trials)} trials {ENDS[status]}.")
    return words


ENDS = {"diverged": "diverged", "failed": "failed", "stopped": "were stopped early"}


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if math.isfinite(value)]
    return statistics.median(known) if known else math.nan
