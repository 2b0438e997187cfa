"""Tuning as a quantity: what n trials of a submission achieve, in trials and in hours, and what its points say.

    python -m scoring.tuning --suite=mini_quick scoring/data/mini_external.tar.xz
    python -m scoring.tuning --suite=algoperf_v05 <external_tuning logs> --include=baseline --output_dir=~/tuning
    python -m scoring.tuning --suite=mini --curves docs/mini_sweep.tar.xz

Reads all trials of all studies of a folder of results, or of an archive of one (`scoring.archive`). For each
submission: the curve over the number of trials, mean over the workloads; a row per workload; the loss from one point
for all workloads; the share of the variance of ranks that each hyperparameter explains. Hours are of all n trials
together, as if they ran one after the other. Definitions, and what the intervals hold for: docs/tuning.md.
"""

import contextlib
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags

from algoperf import commands, files, suites
from algoperf.spec import UsageError
from algoperf.suites import Suite
from scoring import archive, output, tuning_curves, tuning_report, tuning_runs
from scoring.tuning_analysis import Analysis, Step, analyse
from scoring.tuning_curves import Estimate

FLAGS = flags.FLAGS
FILE_JSON, FILE_CSV = "tuning.json", "tuning.csv"


def content(found: Sequence[Analysis], suite: Suite, ruleset: str) -> dict[str, Any]:
    """Everything as plain JSON types; null is infinite or unknown."""

    def estimate(one: Estimate) -> dict[str, float | None]:
        return {end: output.finite(getattr(one, end)) for end in ("value", "low", "high")}

    def step(one: Step, expected: str, median: str) -> dict[str, Any]:
        return {
            "trials": one.num_trials,
            "hours": output.finite(one.hours),
            "chance": estimate(one.chance),
            expected: estimate(one.expected),
            median: estimate(one.median),
        }

    return {
        "suite": suite.name,
        "ruleset": ruleset,
        "confidence": tuning_curves.CONFIDENCE,
        "submissions": {
            one.tuned.submission: {
                "points": list(one.tuned.points),
                "is_list": one.tuned.is_list,
                "num_stopped": one.tuned.num_stopped(),
                "suite": [step(each, "expected_budget_share", "num_likely") for each in one.suite_curve],
                "workloads": {
                    workload: [step(each, "expected_sec", "median_sec") for each in steps]
                    for workload, steps in one.curves.items()
                },
                "shared_point": one.shared
                and {
                    name: output.finite(value) if isinstance(value, float) else value
                    for name, value in vars(one.shared).items()
                },
                "points_that_hit_everywhere": one.hit_everywhere[0],
                "points_that_ran_everywhere": one.hit_everywhere[1],
                "hyperparameters": [{**vars(each), "best": list(each.best)} for each in one.sensitivities],
            }
            for one in found
        },
    }


def csv_rows(found: Sequence[Analysis]) -> list[list[Any]]:
    """Header and a row per submission, workload and number of trials; empty is infinite or unknown."""
    ends = [
        f"{name}{end}" for name in ("chance", "expected_sec", "median_sec") for end in ("", "_low", "_high")
    ]
    rows: list[list[Any]] = [["submission", "workload", "trials", "hours", *ends]]
    for one in found:
        for workload, steps in one.curves.items():
            for step in steps:
                values = [
                    getattr(each, end)
                    for each in (step.chance, step.expected, step.median)
                    for end in ("value", "low", "high")
                ]
                cells = [value if math.isfinite(value) else "" for value in (step.hours, *values)]
                rows.append([one.tuned.submission, workload, step.num_trials, *cells])
    return rows


def write(folder: Path, found: Sequence[Analysis], suite: Suite, ruleset: str) -> str:
    """Writes both files; a sentence about it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        output.write_json(folder / FILE_JSON, content(found, suite, ruleset))
        output.write_csv(folder / FILE_CSV, csv_rows(found))
    except OSError as error:
        raise UsageError(
            f"Cannot write to --output_dir={str(folder)!r}: {error.strerror}; give another."
        ) from error
    return f"Written to {folder}: {FILE_JSON}, {FILE_CSV}."


def main(argv: Sequence[str]) -> None:
    if len(argv) != 2:
        raise UsageError(
            "Give a folder of results or an archive of one, as in python -m scoring.tuning --suite=mini_quick "
            "scoring/data/mini_external.tar.xz."
        )
    suite = suites.load(FLAGS.suite)
    suite.ruleset(FLAGS.ruleset)
    path = files.expanded(argv[1])
    with archive.unpacked(path) if path.is_file() else contextlib.nullcontext(path) as root:
        tuned = tuning_runs.read(root, suite, FLAGS.ruleset, FLAGS.include)
    found = [analyse(one, suite) for one in tuned]
    print(tuning_report.report(found, suite, FLAGS.ruleset, FLAGS.curves))
    if FLAGS.output_dir:
        print("\n" + write(files.expanded(FLAGS.output_dir), found, suite, FLAGS.ruleset))


if __name__ == "__main__":
    flags.DEFINE_string("suite", "mini", "Whose workloads, targets and budgets.")
    flags.DEFINE_string("ruleset", "external", "Whose budgets: external or self.")
    flags.DEFINE_list("include", [], "Submissions to read; all by default.")
    flags.DEFINE_bool("curves", False, "Print the curve of each workload.")
    flags.DEFINE_string("output_dir", None, "Write all curves and numbers as JSON and CSV here.")
    commands.run(main, max_arguments=1, arguments="one folder of results, or an archive")
