"""Result files: scores.csv, time_to_target.csv, step_time.csv, and the same with everything behind it as JSON.

JSON has no infinity: an infinite or absent number is null, and `miss` beside it says why.
"""

import csv
import dataclasses
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from pathlib import Path
from typing import Any

from algoperf import files
from algoperf.spec import UsageError
from scoring import comparison_report, explained, intervals, json_parts, refereed, rules, step_times
from scoring.differences import Differences
from scoring.leaderboard import Leaderboard
from scoring.results import Finding, Miss, Reason, Trial
from scoring.sensitivity import Variation

SCORES = "scores.csv"
SCORES_JSON = "scores.json"
TIMES = "time_to_target.csv"
TIMES_JSON = "time_to_target.json"
SCHEMA_VERSION = 2
"""Of both JSON files; increase it when a key changes its meaning or goes, or many come. Files without one are older."""
STEP_TIMES = "step_time.csv"
PICTURE = "performance_profile.svg"
REPORT = "report.html"


def write_all(folder: Path, board: Leaderboard, *more: tuple[str, Callable[[Path], None]]) -> list[Path]:
    """Writes the tables of scores and times, making the folder where needed; the paths written.

    Args:
      folder: to write to.
      board: the scored field.
      *more: (name, writer of the file at a path) of further files.

    Raises:
      UsageError: if the folder cannot be written.
    """
    writers: dict[str, Callable[[Path], None]] = {
        SCORES: lambda path: write_csv(path, scores_rows(board)),
        TIMES: lambda path: write_csv(path, times_rows(board)),
        TIMES_JSON: lambda path: write_json(path, times_content(board)),
        **dict(more),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, write in writers.items():
            write(folder / name)
    except OSError as error:
        raise UsageError(
            f"Cannot write to --output_dir={str(folder)!r}: {error.strerror}; give another."
        ) from error
    return [folder / name for name in writers]


def scores_rows(board: Leaderboard) -> Iterable[Sequence[Any]]:
    """Header and one row per submission, best first; floats in full precision."""
    header = ["submission", "score", "rank"]
    spread = board.uncertainty
    header += ["score_low", "score_high", "rank_low", "rank_high", "tie_group"] if spread else []
    header += ["num_workloads_reached"]
    header += ["speedup", "speedup_common", "num_workloads_common"] if board.speedups else []
    header += ["speedup_low", "speedup_high"] if spread and spread.speedup else []
    bounds = board.bounds
    header += (
        ["provisional", "score_at_least", "score_at_most", "rank_at_best", "rank_at_worst"] if bounds else []
    )
    yield header
    groups = intervals.tie_groups(spread.clear, board.order()) if spread else None
    for row in board.order():
        best, worst = board.rank_range(row)
        is_known = board.has_ranks and best == worst
        cells = [board.submissions[row], float(board.scores[row]), best if is_known else ""]
        if spread and groups is not None:
            score, rank = spread.score, spread.rank
            own = [float(score.low[row]), float(score.high[row]), int(rank.low[row]), int(rank.high[row])]
            own.append(int(groups[row]))
            cells += own if board.has_interval(row) else [""] * len(own)
        cells.append(int((board.ratios.values[row] < math.inf).sum()))
        if board.speedups:
            pair = (float(board.speedups.penalized[row]), float(board.speedups.common[row]))
            cells += [
                *("" if math.isnan(value) else value for value in pair),
                int(board.speedups.num_common[row]),
            ]
        if spread and spread.speedup:
            ends = (float(spread.speedup.low[row]), float(spread.speedup.high[row]))
            cells += ["" if math.isnan(end) or not board.has_interval(row) else end for end in ends]
        if bounds:
            least, most = float(bounds.low[row]), float(bounds.high[row])
            cells += [int(bounds.is_incomplete[row]), least, most, best, worst]
        yield cells


def times_rows(board: Leaderboard) -> Iterable[Sequence[Any]]:
    """Header and one row per submission: medians before the held-out and r_max rules; empty = no results."""
    columns = sorted(board.table.columns)
    yield ["submission", *columns]
    for submission in board.submissions:
        cells = [board.table.cells[submission, column] for column in columns]
        yield [submission, *("" if is_absent(cell.value, cell.miss) else cell.value for cell in cells)]


def is_absent(value: float, miss: Miss | None) -> bool:
    """Whether there were no results at all, rather than results that missed the target."""
    return math.isnan(value) or (miss is not None and miss.reason == Reason.WORKLOAD_MISSING)


def scores_content(
    board: Leaderboard,
    findings: Collection[Finding],
    differences: Differences | None,
    notes: Collection[str],
    trials: Collection[Trial] = (),
    variations: Collection[Variation] = (),
) -> dict[str, Any]:
    """Everything about scores, as plain JSON types."""
    header, *rows = scores_rows(board)
    submissions = [dict(zip(header, [None if cell == "" else cell for cell in row])) for row in rows]
    steps = step_times.measure(trials, board.workloads)
    for entry in submissions:
        row = board.submissions.index(entry["submission"])
        entry["refereed"] = refereed.content(entry["submission"], trials, findings)
        entry["display_name"] = board.display_names.get(entry["submission"])
        entry["workloads"] = {
            workload: {
                "ratio": finite(board.ratios.values[row, column]),
                "miss": miss_content(board.misses.get((entry["submission"], workload))),
                "step_time": step_times.cell_content(steps, entry["submission"], workload),
            }
            for column, workload in enumerate(board.workloads)
        }
    return {
        **head(board),
        "settings": settings_content(board),
        "comparison": comparison_report.content(trials, board.settings.ruleset.budget_factor),
        "notes": list(notes),
        "submissions": submissions,
        "next_runs": [dataclasses.asdict(gap) for gap in board.bounds.gaps] if board.bounds else [],
        "uncertainty": json_parts.uncertainty_content(board),
        "step_times_of_frameworks": step_times.frameworks_content(steps, board.workloads),
        "independent_of_field": json_parts.absolute_content(board),
        "sensitivity": json_parts.sensitivity_content(variations) or None,
        "differences_from_official": differences_content(differences),
        "findings": [
            {
                "submission": one.submission or None,
                "workload": one.workload or None,
                "kind": str(one.kind),
                "place": one.place,
                "detail": one.detail,
            }
            for one in sorted(findings)
        ],
    }


def head(board: Leaderboard) -> dict[str, Any]:
    """What a reader of the file must know first."""
    return {
        "schema_version": SCHEMA_VERSION,
        "rules_version": rules.VERSION,
        "suite": board.settings.suite.name,
        "ruleset": board.settings.ruleset_name,
        "devices": list(board.devices),
    }


def settings_content(board: Leaderboard) -> dict[str, Any]:
    settings, ruleset = board.settings, board.settings.ruleset
    return {
        "suite": settings.suite.name,
        "workloads": list(settings.suite.workloads),
        "held_out": dict(settings.suite.held_out),
        "r_max": settings.suite.r_max,
        "ruleset": settings.ruleset_name,
        "num_studies": ruleset.num_studies,
        "num_trials": ruleset.num_trials,
        "budget_factor": ruleset.budget_factor,
        "procedure": settings.procedure.name,
        "axis": settings.axis,
        "reference": settings.reference,
        "bootstrap_samples": board.uncertainty.num_samples if board.uncertainty else 0,
        "seed": board.uncertainty.seed if board.uncertainty else None,
    }


def differences_content(differences: Differences | None) -> dict[str, Any] | None:
    """Per submission: official score, change by quirk, clean score."""
    if differences is None:
        return None
    return {
        "quirks": {
            s.quirk.name: {"why": s.quirk.why, "changed_times": list(s.notes)} for s in differences.steps
        },
        "submissions": {
            name: {
                "official": float(differences.official[row]),
                "changes": {step.quirk.name: float(step.changes[row]) for step in differences.steps},
                "clean": float(differences.clean[row]),
            }
            for row, name in enumerate(differences.submissions)
        },
    }


def times_content(board: Leaderboard) -> dict[str, Any]:
    """Per submission and workload (variants too): median, studies with the selected trial, reasons."""
    content: dict[str, Any] = {**head(board), "axis": board.settings.axis, "submissions": {}}
    studies = board.studies
    for row, submission in enumerate(board.submissions):
        content["submissions"][submission] = {
            column: {
                "time_to_target": finite(cell.value),
                # Of a published median the studies are not known.
                "num_studies": None if cell.is_median_only else int(studies.counts[row, place]),
                "num_reached": None if cell.is_median_only else int(studies.hits[row, place]),
                "miss": miss_content(board.misses.get((submission, column))),
                "studies": [
                    {
                        "study": one.study,
                        "time_to_target": finite(one.value),
                        "trial": one.trial,
                        "miss": miss_content(one.miss),
                        "explained": explained_content(one.run),
                    }
                    for one in cell.studies
                ],
            }
            for place, (column, cell) in enumerate(
                (column, board.table.cells[submission, column]) for column in board.table.columns
            )
        }
    return content


def explained_content(run: Trial | None) -> dict[str, float | None] | None:
    """What stands behind the time of the selected trial."""
    found = None if run is None else explained.of_trial(run)
    return None if found is None else {name: finite(value) for name, value in vars(found).items()}


def miss_content(miss: Miss | None) -> dict[str, str] | None:
    return None if miss is None else {"reason": str(miss.reason), "detail": miss.detail}


def finite(value: float) -> float | None:
    """JSON's form of a number that may be infinite or NaN."""
    return float(value) if math.isfinite(value) else None


def write_csv(path: Path, rows: Iterable[Sequence[Any]]) -> None:
    with files.writing(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def write_json(path: Path, content: dict[str, Any]) -> None:
    # An infinity here is a bug: see `finite`.
    files.write_json(path, content, indent=1, allow_nan=False)
