"""The report on tuning in the terminal."""

import math
from collections.abc import Sequence
from typing import Any

from algoperf.suites import Suite
from scoring import text, tuning_points
from scoring.score_report import count
from scoring.tuning_analysis import Analysis, Step
from scoring.tuning_curves import Estimate
from scoring.tuning_runs import Tuned

SHOWN = (1, 2, 3, 5, 7, 10, 15, 20, 30, 50, 75, 100, 150, 200)
LIKELY = 0.9
"""Chance of a hit for which the trials are counted."""


def report(found: Sequence[Analysis], suite: Suite, ruleset: str, with_curves: bool) -> str:
    """The text for the terminal."""
    width = text.terminal_width()
    parts = [
        f"Tuning on suite {suite.name}, {ruleset} ruleset: all trials of all studies; in brackets 95 % intervals"
    ]
    for one in found:
        parts += [
            heading(one.tuned, width),
            f"Over the suite{_limited_by(one)}\n{suite_table(one)}",
            by_workload(one),
        ]
        if with_curves:
            parts += [f"{workload}\n{curve_table(steps)}" for workload, steps in one.curves.items()]
        parts.append(points_part(one, width))
        parts.append(sensitivity_part(one, width))
    return "\n\n".join(part for part in parts if part)


def heading(tuned: Tuned, width: int) -> str:
    """What a submission's runs are."""
    num_runs, stopped = sum(map(len, tuned.runs.values())), tuned.num_stopped()
    what = (
        f"{tuned.submission}: a list of {count(len(tuned.points), 'point')}, the same in every study"
        if tuned.is_list
        else f"{tuned.submission}: {count(len(tuned.points), 'point')}, each study with its own"
    )
    words = f"{what}; {count(num_runs, 'run')} on {count(len(tuned.runs), 'workload')}"
    if stopped:
        words += (
            f", of which {stopped} were stopped early: values are those of Kaplan and Meier, and intervals allow for a "
            "hit right after the stop as for none"
        )
    return text.paragraph(words + ".", width, indent="")


def _limited_by(one: Analysis) -> str:
    """Which workload ends the curve over the suite before others end."""
    most = {workload: steps[-1].num_trials for workload, steps in one.curves.items()}
    fewest = min(most, key=lambda workload: most[workload])
    if most[fewest] == max(most.values()):
        return ""
    return f", as far as {fewest} has trials ({most[fewest]}; others have up to {max(most.values())})"


def suite_table(one: Analysis) -> str:
    """Mean over workloads, by trials on each."""
    rows = [
        [
            str(step.num_trials),
            hours(step.hours),
            with_interval(step.chance, 2),
            with_interval(step.expected, 2),
            f"{step.median.value:.0f}" + _brackets(step.median, 0),
        ]
        for step in shown(one.suite_curve)
    ]
    header = [
        "trials each",
        "hours",
        "chance of a hit",
        "share of budget",
        f"chance above 1/2, of {len(one.curves)}",
    ]
    return text.table(header, rows, num_left=0)


def by_workload(one: Analysis) -> str:
    """A row per workload: one trial, trials for a likely hit, all trials."""
    rows = []
    for workload, steps in one.curves.items():
        first, last = steps[0], steps[-1]
        runs = one.tuned.runs[workload]
        # What n points of a list achieve is not 1 - (1 - p)^n: the list ends.
        needed = Estimate(*(trials_for(getattr(first.chance, end)) for end in ("value", "high", "low")))
        rows.append(
            [
                workload,
                f"{sum(run.time_sec < math.inf for run in runs)} of {len(runs)}",
                with_interval(first.chance, 2),
                *([] if one.tuned.is_list else [f"{needed.value:.0f}" + _brackets(needed, 0)]),
                f"{seconds(first.expected.value)}, {seconds(last.expected.value)}",
                f"{seconds(first.median.value)}, {seconds(last.median.value)}",
            ]
        )
    header = [
        "workload",
        "hit",
        "chance of one",
        *([] if one.tuned.is_list else [f"trials for {LIKELY:.0%}"]),
    ]
    counts = sorted({steps[-1].num_trials for steps in one.curves.values()})
    last_count = str(counts[0]) if len(counts) == 1 else "all"
    table = text.table([*header, "expected s", "median s"], rows, num_left=1)
    return f"By workload; seconds of the best of 1 and of {last_count}\n{table}"


def curve_table(steps: Sequence[Step]) -> str:
    """One workload's curve."""
    rows = [
        [
            str(step.num_trials),
            hours(step.hours),
            with_interval(step.chance, 2),
            seconds(step.expected.value) + _brackets(step.expected, None),
            seconds(step.median.value) + _brackets(step.median, None),
        ]
        for step in shown(steps)
    ]
    header = ["trials", "hours", "chance of a hit", "expected s, a miss as the budget", "median s"]
    return text.table(header, rows, num_left=0)


def points_part(one: Analysis, width: int) -> str:
    """Points that hit everywhere, and the loss from one for all workloads."""
    hits, ran = one.hit_everywhere
    shared = one.shared
    if shared is None or not ran:
        return ""
    point = ", ".join(f"{name} {_short(value)}" for name, value in one.tuned.points[shared.point].items())
    how = (
        "chosen on the other studies, measured on the one left out"
        if shared.is_out_of_sample
        else "chosen and measured on one run of each, so the loss is rather too large"
    )
    slower = (
        f"{shared.slowdown:.2f} times as slow where both hit, " if not math.isnan(shared.slowdown) else ""
    )
    words = (
        f"One point for all workloads: it hits on {shared.hits:g} of {shared.num_workloads}, each workload's own best "
        f"on {shared.own_hits:g}; {slower}share of the budget {shared.budget_share:.2f} instead of "
        f"{shared.own_budget_share:.2f} ({how}). {hits} of {count(ran, 'point')} hit on all. The point: {point}."
    )
    return text.paragraph(words, width, indent="")


def sensitivity_part(one: Analysis, width: int) -> str:
    """The table of hyperparameters, or why there is none."""
    if not one.sensitivities:
        return text.paragraph(
            f"Hyperparameters: {count(one.hit_everywhere[1], 'point')} ran on all workloads; to say what matters takes "
            f"{tuning_points.MIN_POINTS} or more, with numbers that vary.",
            width,
            indent="",
        )
    rows = [
        [
            each.name,
            f"{each.share:.2f}" if each.is_clear else f"{each.share:.2f} (luck)",
            f"{each.luck:.2f}",
            f"{each.correlation:+.2f}",
            f"{_short(each.best[0])} - {_short(each.best[1])}",
        ]
        for each in one.sensitivities
    ]
    header = ["hyperparameter", "share of variance", "luck reaches", "larger is better", "in the best third"]
    return "What explains the ranks of points\n" + text.table(header, rows, num_left=1)


def trials_for(chance_of_one: float) -> float:
    """Trials after which a hit has the chance `LIKELY`; infinite if one never hits."""
    if chance_of_one >= 1:
        return 1
    return (
        math.ceil(math.log(1 - LIKELY) / math.log(1 - chance_of_one) - 1e-9)
        if chance_of_one > 0
        else math.inf
    )


def shown(steps: Sequence[Step]) -> list[Step]:
    """Some of a curve: round numbers of trials, and the last."""
    return [step for step in steps if step.num_trials in SHOWN or step is steps[-1]]


def with_interval(one: Estimate, digits: int) -> str:
    return f"{one.value:.{digits}f}" + _brackets(one, digits)


def _brackets(one: Estimate, digits: int | None) -> str:
    """The interval; '' where neither end is known. `digits` None is for seconds."""
    if math.isnan(one.low) and (math.isnan(one.high) or math.isinf(one.high)):
        return ""
    low, high = (
        ("never" if digits is None else "inf")
        if math.isinf(end)
        else (seconds(end) if digits is None else f"{end:.{digits}f}")
        for end in (one.low, one.high)
    )
    return f" (up to {high})" if math.isnan(one.low) else f" ({low} - {high})"


def seconds(value: float) -> str:
    """
    >>> seconds(1234.5), seconds(12.34), seconds(math.inf)
    ('1,234', '12.3', 'never')
    """
    return (
        "never"
        if math.isinf(value)
        else ("-" if math.isnan(value) else f"{value:,.{0 if value >= 100 else 1}f}")
    )


def hours(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:,.{1 if value >= 10 else 2}f}"


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
