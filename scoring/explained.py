"""What explains a time: updates, updates per second, the first update with its compilation, evaluation.

A time is long because many updates were needed, because each took long, or because compilation did; whoever reads a
ranking of seconds wants to know which. All comes from the trials that were selected, one for each study that reached
the target: `StudyTime.run`.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from scoring import text
from scoring.leaderboard import Leaderboard
from scoring.results import Trial
from scoring.times import WorkloadTime

MAX_LINES = 24


@dataclass(frozen=True)
class Explanation:
    """Behind one time, or the medians behind several; NaN where the records do not say."""

    seconds: float
    """Submission time to the target; with `--calibrate`, as the others here, on the leaderboard's clock."""
    updates: float
    updates_per_sec: float
    first_update_sec: float
    """Clock at the evaluation after the first update: mostly compilation."""
    evaluation_share: float
    """Seconds of evaluation over those and the submission's, in the whole run."""


def of_trial(trial: Trial) -> Explanation | None:
    """Behind the time of a trial; None of one without a hit."""
    if trial.hit is None:
        return None
    seconds, updates = trial.hit.submission_time_sec, trial.hit.global_step
    first, share = math.nan, math.nan
    if trial.end is not None:
        first, share = trial.clock_factor * trial.end.first_update_sec, trial.end.evaluation_share
    return Explanation(seconds, updates, updates / seconds if seconds > 0 else math.nan, first, share)


def of_cell(cell: WorkloadTime) -> Explanation | None:
    """Medians over the studies that reached the target; None where none did, or trials are not known."""
    found = [one for study in cell.studies if study.run and (one := of_trial(study.run))]
    if not found:
        return None
    return Explanation(
        *(_median([getattr(one, name) for one in found]) for name in Explanation.__annotations__)
    )


def _median(values: Sequence[float]) -> float:
    known = [value for value in values if not math.isnan(value)]
    return statistics.median(known) if known else math.nan


def part(board: Leaderboard, width: int) -> str:
    """A table of own results; logs without summaries, as AlgoPerf's, are in the JSON files only."""
    rows = []
    own = [
        name for name in board.submissions if "/" not in name
    ]  # Published entries carry their leaderboard's name.
    for workload in board.table.columns:
        for name in own:
            cell = board.table.cells[name, workload]
            one = of_cell(cell)
            if one is not None and any(study.run and study.run.status for study in cell.studies):
                number_hit = sum(study.run is not None for study in cell.studies)
                rows.append([workload, name, f"{number_hit}/{len(cell.studies)}", *cells(one)])
    if not rows:
        return ""
    header = [
        "workload",
        "submission",
        "studies",
        "seconds",
        "updates",
        "per s",
        "first",
        "eval",
    ]
    hidden = len(rows) - MAX_LINES
    more = f"\n  ... and {hidden} more lines; --output_dir writes all." if hidden > 0 else ""
    title = (
        "What explains the times: medians over the studies that reached the target (first: seconds until after the "
        "first update, mostly compilation; eval: share of evaluation)"
    )
    table = text.table(header, rows[:MAX_LINES], num_left=2, width=width)
    return f"{text.paragraph(title, width, indent='')}\n{table}{more}"


def cells(one: Explanation) -> list[str]:
    """The numbers for a table: seconds, updates, updates per second, first update in seconds, share of evaluation."""
    shown = [
        (one.seconds, "{:.1f}"),
        (one.updates, "{:,.0f}"),
        (one.updates_per_sec, "{:,.1f}"),
        (one.first_update_sec, "{:.1f}"),
        (one.evaluation_share, "{:.0%}"),
    ]
    return ["-" if math.isnan(value) else form.format(value) for value, form in shown]
