"""The report in the terminal: what was odd, times, why times are infinite, ratios, and the scores last."""

import math
from collections.abc import Collection, Mapping

from algoperf.suites import Suite
from scoring import (
    comparison_report,
    completeness,
    explained,
    intervals,
    misses_report,
    provisional,
    published,
    refereed,
    report_parts,
    step_times,
    text,
    uncertainty,
)
from scoring.carry_over import CutShort
from scoring.differences import Differences
from scoring.intervals import CONFIDENCE
from scoring.leaderboard import Leaderboard
from scoring.results import AXIS_UNITS, MIXTURES, Finding, Reason, Trial

MAX_FINDING_LINES = 40
MAX_CHANGED_TIMES = 6
ENOUGH_DRAWS = 500
"""Of which the 1.5th percentile, where an interval ends, is not one of the extremes."""

# What a cell of the ratio table says instead of a number.
SHORT = {
    Reason.TARGET_NOT_REACHED: "target",
    Reason.OVER_BUDGET: "budget",
    Reason.TRIAL_FAILED: "failed",
    Reason.ENDED_EARLY: "early",
    Reason.NO_EVALUATION: "no-eval",
    Reason.STUDY_MISSING: "studies",
    Reason.WORKLOAD_MISSING: provisional.NOT_RUN,
    Reason.HELD_OUT_MISSING: "ho-not-run",
    Reason.HELD_OUT_TARGET_NOT_REACHED: "ho-target",
    Reason.HELD_OUT_TOO_SLOW: "ho-slow",
    Reason.TOO_SLOW: "slow",
}
LEGEND = {
    Reason.TARGET_NOT_REACHED: "validation target not reached in enough studies",
    Reason.OVER_BUDGET: "target reached after the budget",
    Reason.TRIAL_FAILED: "trials failed",
    Reason.ENDED_EARLY: "trials ended before their budget, and no status says why",
    Reason.NO_EVALUATION: "budget spent before the first evaluation",
    Reason.STUDY_MISSING: "too few studies were run",
    Reason.WORKLOAD_MISSING: "no results on this workload",
    Reason.HELD_OUT_MISSING: "the held-out variant, or too many studies of it, were not run",
    Reason.HELD_OUT_TARGET_NOT_REACHED: "target of the held-out variant not reached",
    Reason.HELD_OUT_TOO_SLOW: "over r_max times the fastest on the held-out variant",
    Reason.TOO_SLOW: "over r_max times the fastest",
}


def render(
    board: Leaderboard,
    findings: Collection[Finding],
    differences: Differences | None,
    notes: Collection[str],
    trials: Collection[Trial] = (),
    sensitivity: str = "",
    asks_for_step_times: bool = False,
) -> str:
    """The whole report.

    Args:
      board: the scored field.
      findings: on the user's own results.
      differences: between clean and official scores; None to leave that part out.
      notes: sentences about this field, printed above the scores.
      trials: of the field, for what they have in common.
      sensitivity: the part on what the ranking hangs on, where it was asked for.
      asks_for_step_times: shows seconds per update also where frameworks do not differ by much.
    """
    width = text.terminal_width()
    parts = [
        heading(board, width),
        findings_part(findings, width),
        comparison_report.block(trials, board.settings.ruleset.budget_factor, width),
        refereed.part(trials, findings, width),
        times_part(board, width),
        explained.part(board, width),
        misses_report.part(board, width),
    ]
    parts += [ratios_part(board, width)]
    if differences is not None:
        parts.append(differences_part(differences, width))
    parts += [sensitivity, report_parts.absolute_part(board, width)]
    parts += [text.paragraph(note, width, indent="") for note in notes]
    parts += [provisional.summary(board, width), speedups_part(board, width)]
    found = step_times.measure(trials, board.workloads)
    if asks_for_step_times or step_times.is_telling(found, board.workloads):
        parts += step_times.parts(board, found, width)
    parts.append(scores_part(board, width))
    parts.append(report_parts.pairs_part(board, width))
    return "\n\n".join(part for part in parts if part)


def heading(board: Leaderboard, width: int) -> str:
    settings = board.settings
    suite, ruleset = settings.suite, settings.ruleset
    lines = (
        f"Suite {suite.name}, {settings.ruleset_name} ruleset, {settings.procedure.name} rules, "
        f"{count(len(board.submissions), 'submission')}\n{suite.description}\n"
        f"{count(len(suite.workloads), 'workload')}, {len(suite.held_out)} held out; "
        f"{count(ruleset.num_studies, 'study', 'studies')} x {count(ruleset.num_trials, 'trial')}; "
        f"budget x {ruleset.budget_factor:g}; r_max {suite.r_max:g}; axis: {AXIS_UNITS[settings.axis]}"
    )
    return "\n".join(text.paragraph(line, width, indent="") for line in lines.split("\n"))


def findings_part(findings: Collection[Finding], width: int) -> str:
    """The table of what was ignored, missing or odd."""
    if not findings:
        return "About the results: complete, nothing ignored."
    rows = finding_rows(findings)
    shown = rows[:MAX_FINDING_LINES]
    lines = text.table(["submission", "workload", "what", "where"], shown, num_left=4, width=width)
    more = (
        f"\n  ... and {len(rows) - len(shown)} more lines; --output_dir writes all."
        if len(rows) > len(shown)
        else ""
    )
    return (
        f"About the results ({count(len(findings), 'finding')}; --strict makes them an error)\n{lines}{more}"
    )


def finding_rows(findings: Collection[Finding]) -> list[list[str]]:
    """Submission, workload, what, where; what is the same of several submissions as a whole is one row."""
    rows: dict[tuple[str, str, str, str], list[str]] = {}
    for group in completeness.grouped(findings):
        one = group[0]
        where = completeness.places(group)
        if one.kind in MIXTURES:  # The block about facts has the values.
            where = f"{', '.join(finding.detail.partition(':')[0] for finding in group)}: see below"
        # On a workload each submission has its row, where it is looked for.
        key = (one.submission if one.workload else "", one.workload, str(one.kind), where)
        rows.setdefault(key, []).append(one.submission)
    return [
        [comparison_report.names(who, ()) or "-", workload or "-", what, where]
        for (_, workload, what, where), who in rows.items()
    ]


def times_part(board: Leaderboard, width: int) -> str:
    """Workload times before the held-out and r_max rules."""
    studies = board.studies
    counts, hits = studies.counts, studies.hits
    rows = []
    for row, name in enumerate(board.submissions):
        cells = [provisional.time_cell(board, name, column) for column in board.table.columns]
        for column, cell in enumerate(cells):
            is_known = counts[row, column] and not studies.is_exact[row, column]
            if is_known and hits[row, column] < counts[row, column]:
                cells[column] = f"{cell} {hits[row, column]}/{counts[row, column]}"
        rows.append((name, cells))
    unit = AXIS_UNITS[board.settings.axis]
    title = (
        f"Time to target: median over studies, {unit}, before held-out and r_max rules "
        "(k/n: k of n studies reached the target; all did where nothing is said)"
    )
    table = text.matrix("submission", board.table.columns, rows, width)
    return f"{text.paragraph(title, width, indent='')}\n{table}"


def ratios_part(board: Leaderboard, width: int) -> str:
    """Ratios after all rules; an infinite one shows its reason in a word."""
    rows, used = [], set()
    for row in board.order():
        name = board.submissions[row]
        cells = []
        for column, workload in enumerate(board.workloads):
            miss = board.misses.get((name, workload))
            cells.append(SHORT[miss.reason] if miss else number(board.ratios.values[row, column], 4))
            used.update([miss.reason] if miss else [])
        rows.append((name, cells))
    legend = "; ".join(f"{SHORT[reason]}: {words}" for reason, words in LEGEND.items() if reason in used)
    title = "Performance ratios: time / fastest time, after all rules; a word instead of a number is infinite"
    title += "; what was not run counts as never" if board.bounds else ""
    table = text.matrix("submission", board.workloads, rows, width)
    title = text.paragraph(title, width, indent="")
    return f"{title}\n{table}" + (f"\n{text.paragraph(legend + '.', width)}" if legend else "")


def differences_part(differences: Differences, width: int) -> str:
    """Official score, the effect of each repaired quirk, clean score."""
    header = ["submission", "official", *(step.quirk.name for step in differences.steps), "clean"]
    rows = [
        [
            name,
            f"{differences.official[row]:.6f}",
            *(f"{step.changes[row]:+.6f}" if step.changes[row] else "." for step in differences.steps),
            f"{differences.clean[row]:.6f}",
        ]
        for row, name in enumerate(differences.submissions)
    ]
    lines = [
        "What the clean rules change against the official procedure (--official follows it to the letter)"
    ]
    lines.append(text.table(header, rows, width=width))
    for step in differences.steps:
        hidden = max(0, len(step.notes) - MAX_CHANGED_TIMES)
        shown = [*step.notes[:MAX_CHANGED_TIMES], *([f"and {hidden} more"] if hidden else [])]
        changed = f" ({'; '.join(shown)})" if shown else ""
        lines.append(text.paragraph(f"{step.quirk.name}: {step.quirk.why}{changed}.", width))
    if not differences.steps:
        lines = ["The official procedure gives the same scores as the clean rules here."]
    return "\n".join(lines)


def scores_part(board: Leaderboard, width: int) -> str:
    """Rank, score, interval, rank interval, tie group, number of finite workloads."""
    digits = 6 if board.settings.procedure.exact_integral else 12
    order = board.order()
    spread = board.uncertainty if any(map(board.has_interval, order)) else None
    header = ["rank", "submission", "score"]
    header += [f"{CONFIDENCE:.0%} interval", "ranks", "group"] if spread else []
    header += ["solved"]
    rows = []
    groups = intervals.tie_groups(spread.clear, order) if spread else None
    for row in order:
        cells = [
            provisional.rank_cell(board, row),
            board.label(row),
            provisional.score_cell(board, row, digits),
        ]
        if spread and groups is not None:
            known = board.has_interval(row)
            score, rank = spread.score, spread.rank
            cells.append(f"{score.low[row]:.4f} - {score.high[row]:.4f}" if known else "-")
            cells.append(f"{rank.low[row]:.0f}-{rank.high[row]:.0f}" if known else "-")
            cells.append(str(groups[row]) if known else "-")
        finite = int((board.ratios.values[row] < math.inf).sum())
        rows.append([*cells, f"{finite}/{len(board.workloads)}"])
    title = (
        "Scores: relative to this field, 1 = fastest on every workload; solved: workloads with a finite ratio"
    )
    lines = [text.paragraph(title, width, indent=""), text.table(header, rows, num_left=2, width=width)]
    if spread:
        lines.insert(1, text.paragraph(intervals_words(board), width))
    if not board.has_ranks and board.bounds is None:
        lines.append("Nobody reached a target that counts, so there are no ranks.")
    elif not board.has_ranks:
        lines.append("Nobody reached a target in enough studies yet: what is missing decides all ranks.")
    return "\n".join(lines)


def speedups_part(board: Leaderboard, width: int) -> str:
    """Geometric-mean speedups over the reference, with intervals."""
    if board.speedups is None:
        return ""
    own = board.uncertainty.speedup if board.uncertainty else None
    rows = []
    for row in board.order():
        ends = f"{number(own.low[row], 4)} - {number(own.high[row], 4)}" if own else "-"
        is_other = board.submissions[row] != board.speedups.reference
        rows.append(
            [
                board.label(row),
                number(board.speedups.penalized[row], 4),
                ends if is_other and board.has_interval(row) else "-",
                f"{number(board.speedups.common[row], 4)} ({board.speedups.num_common[row]})",
            ]
        )
    title = (
        f"Geometric-mean speedup over {board.speedups.reference}: a miss counts as the budget; on common: on the "
        "workloads that both reached"
    )
    table = text.table(
        ["submission", "speedup", f"{CONFIDENCE:.0%} interval", "on common"], rows, width=width
    )
    return f"{text.paragraph(title, width, indent='')}\n{table}"


def intervals_words(board: Leaderboard) -> str:
    """What the intervals are of, and where their spread comes from."""
    spread = board.uncertainty
    assert spread is not None
    words = (
        "Intervals: of the scores that infinitely many studies would give; ranks hold all at once; who shares a "
        f"group is not told apart from its best ({spread.num_samples} draws, seed {spread.seed})."
    )
    if spread.num_samples < ENOUGH_DRAWS:
        words += f" So few draws say little: intervals and groups want {ENOUGH_DRAWS} or more (--bootstrap_samples)."
    if spread.is_default_spread:
        words += (
            f" No cell has two studies that reached their target, so the spread of times is a default, "
            f"{uncertainty.DEFAULT_LOG_SD:.0%} from study to study, and no measurement."
        )
    return words


def published_note(
    entries: published.Published, factors: Mapping[str, float] | None, is_alone: bool = False
) -> str:
    """What a reader must know about published entries in a field.

    Args:
      entries: the published ones.
      factors: workload -> what own times were multiplied by, to stand beside theirs; None if they were not.
      is_alone: whether the field has no others.
    """
    medians = (
        " Their studies are not published, so their own spread is not in the intervals."
        if entries.medians is not None
        else ""
    )
    if is_alone:
        return f"All are published entries of {entries.name}, run on {published.HARDWARE[entries.name]}.{medians}"
    hardware = f"run on {published.HARDWARE[entries.name]}."
    if factors is None:
        hardware += " Times measured on other hardware do not compare with theirs."
        if entries.name in published.REFERENCES:
            hardware += " --calibrate carries yours over."
    else:
        shown = ", ".join(f"{name} {factor:.3g}" for name, factor in factors.items())
        hardware += (
            " Your times are carried over to that machine by the seconds per update of "
            f"{published.REFERENCES[entries.name]} on both: multiplied by {shown}."
        )
    return (
        f"Rows called {entries.name}/... are published entries, {hardware} All scores here are relative to the joint "
        f"field, so those of the published entries differ from the published ones.{medians}"
    )


def cut_short_note(cut: Collection[CutShort], suite: Suite, ruleset: str) -> str:
    """Which misses say less, as the run ended with budget left on the leaderboard's clock; `cut` has one or more."""
    shown = ", ".join(
        f"{one.submission} on {one.workload} at {one.last_sec:,.0f} s of {one.budget_sec:,.0f} s"
        for one in cut
    )
    larger = suite.ruleset(ruleset).budget_factor / min(one.clock_factor for one in cut)
    return (
        "Your runs ended with the budget of your own clock. Where your machine is the slower one, some was left on the "
        f"leaderboard's clock, and a miss says less: last evaluated there {shown}. To find out, copy the file of suite "
        f"{suite.name} (algoperf/suites), raise budget_factor of the {ruleset} ruleset to "
        f"{math.ceil(100 * larger) / 100:g}, run under the copy into another --experiment_dir, and score that with "
        f"--suite={suite.name} as now."
    )


def count(number: int, one: str, many: str = "") -> str:
    """A number with its noun.

    >>> count(1, "study", "studies"), count(3, "trial")
    ('1 study', '3 trials')
    """
    return f"{number} {one if number == 1 else many or one + 's'}"


def number(value: float, digits: int) -> str:
    """A number for a table; 'inf', and '-' for what does not exist.

    >>> number(1234.56, 1), number(math.inf, 1), number(math.nan, 1)
    ('1234.6', 'inf', '-')
    """
    if math.isnan(value):
        return "-"
    return "inf" if math.isinf(value) else f"{value:.{digits}f}"
