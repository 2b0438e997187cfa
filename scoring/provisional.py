"""Words for results that are not all there: bounds in the place of scores, and what to run next."""

import math

from algoperf.run.progress import duration
from scoring import text
from scoring.bounds import HEAD_START, Gap
from scoring.leaderboard import Leaderboard
from scoring.results import Reason

WORD = "provisional"
NOT_RUN = "not run"
MAX_NEXT_RUNS = 3
ASSUMPTION = (
    f"What was not run lies between never and at once, {HEAD_START:g} x as fast as the fastest study that anybody has "
    "on the workload"
)


def score_cell(board: Leaderboard, row: int, digits: int) -> str:
    """A score; where others' missing results could still change it, with its bounds.

    Where its own are missing, the bounds alone, and a word that says so.
    """
    bounds = board.bounds
    score = f"{board.scores[row]:.{digits}f}"
    if bounds is None or (bounds.is_exact(row) and not bounds.is_incomplete[row]):
        return score
    low, high = f"{bounds.low[row]:.3f}", f"{bounds.high[row]:.3f}"
    if bounds.is_incomplete[row]:
        return f"[{low}, {high}] {WORD}"
    return score if low == high else f"{score} [{low}, {high}]"


def rank_cell(board: Leaderboard, row: int) -> str:
    """A rank, or those that missing results still allow; '-' where nobody is ahead of anybody."""
    if not board.has_ranks and (board.bounds is None or not board.bounds.high.any()):
        return "-"
    best, worst = board.rank_range(row)
    return str(best) if best == worst else f"{best}-{worst}"


def time_cell(board: Leaderboard, submission: str, column: str) -> str:
    """A workload time; one of missing studies is at most its number, or says how many were run."""
    cell = board.table.cells[submission, column]
    if cell.miss is not None and cell.miss.reason is Reason.WORKLOAD_MISSING:
        return NOT_RUN
    if math.isnan(cell.value):
        return "-"
    if cell.value == math.inf:
        num_run = sum(study.was_run for study in cell.studies)
        is_open = cell.miss is not None and cell.miss.reason is Reason.STUDY_MISSING
        return f"{num_run} of {len(cell.studies)} run" if is_open else "inf"
    if board.bounds is None:
        return f"{cell.value:.1f}"
    place = board.submissions.index(submission), board.table.columns.index(column)
    is_bound = board.bounds.times[0][place] < cell.value
    return f"<= {cell.value:.1f}" if is_bound else f"{cell.value:.1f}"


def summary(board: Leaderboard, width: int) -> str:
    """What is missing, what the bounds mean, and what to run next; '' where nothing is missing."""
    if board.bounds is None:
        return ""
    names = [name for row, name in enumerate(board.submissions) if board.bounds.is_incomplete[row]]
    verb = "is" if len(names) == 1 else "are"
    words = f"{', '.join(names)} {verb} {WORD}. {ASSUMPTION}: scores and ranks that hang on it are bounds."
    lines = [text.paragraph(words, width, indent="")]
    lines += [text.paragraph(line, width, indent="") for line in next_runs(board.bounds.gaps)]
    return "\n".join(lines)


def next_runs(gaps: tuple[Gap, ...]) -> list[str]:
    """One sentence on the cheapest runs that could still change a rank, or that none can."""
    useful = [gap for gap in gaps if gap.matters]
    if not useful:
        return ["No run that is missing can change a rank."]
    shown = "; ".join(describe(gap) for gap in useful[:MAX_NEXT_RUNS])
    rest = useful[MAX_NEXT_RUNS:]
    more = f"; and {len(rest)} more, {duration(sum(gap.seconds for gap in rest))}" if rest else ""
    return [f"Next runs that could still change a rank, cheapest first (submission time): {shown}{more}."]


def describe(gap: Gap) -> str:
    """For example 'adam on wmt_mini, 2 trials, about 1m40s'."""
    trials = f"{gap.num_trials} trial{'' if gap.num_trials == 1 else 's'}"
    return f"{gap.submission} on {gap.workload}, {trials}, about {duration(gap.seconds)}"


def table(board: Leaderboard) -> str:
    """Ranks and scores alone, for a campaign that still runs."""
    rows = [
        [rank_cell(board, row), board.submissions[row], score_cell(board, row, 4)]
        for row in sorted(
            range(len(board.submissions)), key=lambda row: (board.rank_range(row), board.submissions[row])
        )
    ]
    return text.table(["rank", "submission", "score"], rows, num_left=3)
