"""Results that ship with the package, and how they were made.

`algoperf_v05`, the official ones. External tuning: every trial of the 11 entries on the 14 scored workloads, with its
first hit (`data/algoperf_v05_external.csv`), so that all rules, clean and official, can be applied again. Self-tuning:
the 6 entries' workload times only, medians over studies as published, rounded to 0.1 s
(`data/algoperf_v05_self_medians.csv`). The first file is made from the published logs by

    python -m scoring.published <folder of submissions> scoring/data/algoperf_v05_external.csv

`mini`, reference algorithms on the small twins: all evaluations of every trial (`data/mini_<ruleset>.tar.xz`, made by
`scoring.archive`).
"""

import csv
import dataclasses
import math
import types
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from algoperf import commands, suites
from algoperf.spec import UsageError, no_such
from algoperf.suites import Suite
from scoring import archive
from scoring.curves import Curve
from scoring.curves import read as read_curves
from scoring.facts import Facts
from scoring.reading import read_submissions
from scoring.results import STEPS, Hit, Results, Trial

DATA_DIR = Path(__file__).parent / "data"
V05, MINI = "algoperf_v05", "mini"
HARDWARE = {V05: "8 x NVIDIA V100 16 GB", MINI: "one core of a server processor, in PyTorch"}
REFERENCES = {MINI: "nadamw"}
"""Leaderboard -> its entry that ships as a reference algorithm, and so can be run to compare machines."""
COLUMNS = (
    "submission",
    "framework",
    "workload",
    "study",
    "trial",
    "first_hit_evaluation",
    "first_hit_submission_time_sec",
    "first_hit_global_step",
)


@dataclass(frozen=True)
class Published:
    """The entries of one ruleset; names carry the leaderboard's, as in 'algoperf_v05/baseline'."""

    name: str

    results: Results
    medians: dict[tuple[str, str], float] | None
    """(submission, workload) -> seconds, for entries known by their medians only."""


VERSIONS = (V05, MINI)


def load(version: str, ruleset: str, suite: Suite, axis: str) -> Published:
    """The results of a leaderboard, to be placed in a field under a suite's rules.

    Raises:
      UsageError: if there is no such leaderboard, its targets are not those of `suite`, or the ruleset or the axis is
        not recorded.
    """
    if version not in VERSIONS:
        raise no_such("published leaderboard", version, VERSIONS)
    own = suites.load(version)
    for workload in suite.scored_names():
        known = (*own.scored_names(), *own.known_targets)
        ours, theirs = suite.targets(workload), own.targets(workload) if workload in known else None
        if theirs is None or ours.validation_target != theirs.validation_target:
            raise UsageError(
                f"--compare_to={version} has no times to the target of {workload!r} in suite {suite.name!r}. "
                f"Use --suite={version}, or another suite of its workloads."
            )
    own.ruleset(ruleset)
    return _load_mini(ruleset, suite) if version == MINI else _load_v05(ruleset, axis)


def only(entries: Published, names: Collection[str]) -> Published:
    """Some of the entries, by the names that they have in a field."""
    found = entries.results
    return dataclasses.replace(
        entries,
        results=Results(
            tuple(name for name in found.submissions if name in names),
            tuple(trial for trial in found.trials if trial.submission in names),
        ),
        medians=entries.medians and {key: time for key, time in entries.medians.items() if key[0] in names},
    )


def check_has_reference(version: str | None) -> None:
    """Raises UsageError for --calibrate where no reference algorithm is known."""
    if version not in REFERENCES:
        raise UsageError(
            f"--calibrate goes with --compare_to={' or '.join(REFERENCES)}, got --compare_to={version or ''}: a "
            "reference algorithm that ran there and can run here is known for no other."
        )


def _load_v05(ruleset: str, axis: str) -> Published:
    if ruleset == "external":
        known = facts_of(suites.load(V05), ruleset)
        return Published(V05, read_trials(DATA_DIR / f"{V05}_external.csv", f"{V05}/", known), None)
    if axis == STEPS:
        raise UsageError(
            f"The self-tuning results of {V05} are published as times only; use --axis=submission_time, "
            "or leave out --compare_to."
        )
    medians = read_medians(DATA_DIR / f"{V05}_self_medians.csv", prefix=f"{V05}/")
    names = tuple(sorted({submission for submission, _ in medians}))
    return Published(V05, Results(submissions=names, trials=()), medians)


def _load_mini(ruleset: str, suite: Suite) -> Published:
    path = DATA_DIR / f"{MINI}_{ruleset}.tar.xz"
    if not path.is_file():
        others = [name for name in suite.rulesets if (DATA_DIR / f"{MINI}_{name}.tar.xz").is_file()]
        advice = f"use --ruleset={others[0]}, or leave out" if others else "leave out"
        raise UsageError(
            f"No results of {MINI} under the {ruleset} ruleset ship with this version; {advice} --compare_to."
        )
    with archive.unpacked(path) as folder:
        found = read_submissions(folder, {name: suite.targets(name) for name in suite.scored_names()})
    there = {trial.workload for trial in found.trials}
    if missing := [name for name in suite.scored_names() if name not in there]:
        raise UsageError(
            f"The results of {MINI} under the {ruleset} ruleset have no {', '.join(missing)}. Use --suite=mini_quick, "
            "or leave out --compare_to."
        )
    trials = tuple(
        dataclasses.replace(trial, submission=f"{MINI}/{trial.submission}") for trial in found.trials
    )
    return Published(MINI, Results(tuple(f"{MINI}/{name}" for name in found.submissions), trials), None)


def curves(version: str, ruleset: str, suite: Suite, trials: Sequence[Trial]) -> list[Curve]:
    """The evaluations of these trials of a leaderboard that ships with them, `MINI`."""
    with archive.unpacked(DATA_DIR / f"{version}_{ruleset}.tar.xz") as folder:
        return read_curves([folder], trials, suite, prefix=f"{version}/")


def facts_of(suite: Suite, ruleset: str) -> dict[str, tuple[Facts, ...]]:
    """Workload -> what is known of official runs on it, whose logs hold no facts."""
    found: dict[str, tuple[Facts, ...]] = {}
    for workload in suite.scored_names():
        targets = suite.targets(workload)
        found[workload] = (
            Facts(
                suite=suite.name,
                ruleset=ruleset,
                targets=(targets.validation_target, targets.test_target),
                budget_sec=suite.budget_sec(workload, ruleset),
                step_hint=targets.step_hint,
                device=HARDWARE[suite.name],
            ),
        )
    return found


def read_trials(
    path: Path, prefix: str = "", facts: Mapping[str, tuple[Facts, ...]] = types.MappingProxyType({})
) -> Results:
    """Trials from a compact file.

    Args:
      path: of the file.
      prefix: goes before each submission's name.
      facts: workload -> facts of its trials.
    """
    with path.open(newline="") as file:
        rows = csv.reader(file)
        next(rows)
        trials = tuple(
            Trial(
                submission=prefix + submission,
                framework=framework,
                workload=workload,
                study=int(study),
                trial=int(trial),
                hit=Hit(int(index), float(time_sec), float(step)) if index else None,
                facts=facts.get(workload, ()),
            )
            for submission, framework, workload, study, trial, index, time_sec, step in rows
        )
    return Results(submissions=tuple(sorted({trial.submission for trial in trials})), trials=trials)


def write_trials(results: Results, path: Path) -> None:
    """The compact file: one row per trial; the last three cells are empty where it missed the target."""
    with path.open("w", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(COLUMNS)
        for one in sorted(
            results.trials, key=lambda one: (one.submission, one.workload, one.study, one.trial)
        ):
            hit = one.hit
            cells = (
                (hit.evaluation, hit.submission_time_sec, f"{hit.global_step:.0f}") if hit else ("", "", "")
            )
            rows.writerow((one.submission, one.framework, one.workload, one.study, one.trial, *cells))


def read_medians(path: Path, prefix: str = "") -> dict[tuple[str, str], float]:
    """(submission, workload) -> median time in seconds; an empty cell (no results) has no entry."""
    with path.open(newline="") as file:
        return {
            (prefix + row["submission"], workload): float(cell or math.nan)
            for row in csv.DictReader(file)
            for workload, cell in row.items()
            if workload != "submission" and cell
        }


def main(argv: Sequence[str]) -> None:
    """Makes the compact file of version 0.5 from its logs."""
    if len(argv) != 3:
        raise UsageError(
            "Give the logs and the file: python -m scoring.published <folder of submissions> <output.csv>"
        )
    suite = suites.load("algoperf_v05")
    results = read_submissions(Path(argv[1]), {name: suite.targets(name) for name in suite.scored_names()})
    try:
        write_trials(results, Path(argv[2]))
    except OSError as error:
        raise UsageError(
            f"Cannot write {argv[2]!r} ({error.strerror}): give a file in a folder that is there."
        ) from None
    print(f"{len(results.trials)} trials of {len(results.submissions)} submissions written to {argv[2]}")


if __name__ == "__main__":
    commands.run(main, max_arguments=2)
