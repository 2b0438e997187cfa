"""Results that ship with the package, and how they were made.

A leaderboard is in `data/`, for each ruleset in one of three forms:

- `<leaderboard>_<ruleset>.tar.xz`, an archive of trials with their evaluations (`scoring.archive`): `mini`, reference
  algorithms on the small twins, and `algoperf_a100`, the 16 self-tuning entries of 2026.
- `<leaderboard>_<ruleset>.csv`: every trial with its first hit, so that all rules, clean and official, can be applied
  again: the 11 external-tuning entries of `algoperf_v05` on its 14 scored workloads.
- `<leaderboard>_<ruleset>_medians.csv`: workload times only, medians over studies as published and rounded: the 6
  self-tuning entries of `algoperf_v05`, and the 3 entries of `algoperf_v06`.

The first two are made from published logs by

    python -m scoring.published <folder of submissions> scoring/data/algoperf_v05_external.csv
    python -m scoring.published <folder of submissions> scoring/data/algoperf_a100_self.tar.xz
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
A100, V06, V05, MINI = "algoperf_a100", "algoperf_v06", "algoperf_v05", "mini"
HARDWARE = {
    A100: "4 x NVIDIA A100 40 GB",
    V06: "8 x NVIDIA V100 16 GB",
    V05: "8 x NVIDIA V100 16 GB",
    MINI: "one core of a server processor, in PyTorch",
}
"""Leaderboard -> the machine that its entries ran on."""
DEVICES = {A100: "4 x NVIDIA A100-SXM4-40GB"}
"""Leaderboard -> how the records of trials on that machine name it: such results can join the leaderboard's."""
DATES = {A100: "2026-07", V06: "2025-03", V05: "2024-08", MINI: "2026-11"}
"""Leaderboard -> when its entries were published, as far as that is known."""
SCORED_AS = {(MINI, "external"): "mini_quick"}
"""Leaderboard and ruleset -> the suite of which all workloads are there, where that is not the leaderboard's own."""
VERSIONS = tuple(HARDWARE)
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
    if file_of(version, ruleset, TRIALS).is_file():
        return _load_archive(version, ruleset, suite)
    if (path := file_of(version, ruleset, HITS)).is_file():
        return Published(version, read_trials(path, f"{version}/", facts_of(own, ruleset)), None)
    if (path := file_of(version, ruleset, MEDIANS)).is_file():
        return _load_medians(version, ruleset, path, axis)
    others = [other for other in own.rulesets if has_results(version, other)]
    advice = f"use --ruleset={others[0]}, or leave out" if others else "leave out"
    raise UsageError(
        f"No results of {version} under the {ruleset} ruleset ship with this version; {advice} --compare_to."
    )


TRIALS, HITS, MEDIANS = ".tar.xz", ".csv", "_medians.csv"
"""How the files end, by what they hold."""


def file_of(version: str, ruleset: str, ending: str) -> Path:
    """Where results of a leaderboard would be."""
    return DATA_DIR / f"{version}_{ruleset}{ending}"


def has_results(version: str, ruleset: str) -> bool:
    """Whether results of a leaderboard under a ruleset ship with the package."""
    return any(file_of(version, ruleset, ending).is_file() for ending in (TRIALS, HITS, MEDIANS))


def suite_of(version: str, ruleset: str) -> str:
    """The suite that the results of a leaderboard under a ruleset are scored by."""
    return SCORED_AS.get((version, ruleset), version)


def has_curves(version: str, ruleset: str) -> bool:
    """Whether all evaluations of its trials are there, and not only what was reached."""
    return file_of(version, ruleset, TRIALS).is_file()


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


def _load_medians(version: str, ruleset: str, path: Path, axis: str) -> Published:
    if axis == STEPS:
        raise UsageError(
            f"The {ruleset} results of {version} are published as times only; use --axis=submission_time, "
            "or leave out --compare_to."
        )
    medians = read_medians(path, prefix=f"{version}/")
    names = tuple(sorted({submission for submission, _ in medians}))
    return Published(version, Results(submissions=names, trials=()), medians)


def _load_archive(version: str, ruleset: str, suite: Suite) -> Published:
    path = file_of(version, ruleset, TRIALS)
    with archive.unpacked(path) as folder:
        found = read_submissions(folder, {name: suite.targets(name) for name in suite.scored_names()})
    there = {trial.workload for trial in found.trials}
    if missing := [name for name in suite.scored_names() if name not in there]:
        smaller = "Use --suite=mini_quick, or leave" if version == MINI else "Leave"
        raise UsageError(
            f"The results of {version} under the {ruleset} ruleset have no {', '.join(missing)}. {smaller} out "
            "--compare_to."
        )
    trials = tuple(
        dataclasses.replace(trial, submission=f"{version}/{trial.submission}") for trial in found.trials
    )
    return Published(version, Results(tuple(f"{version}/{name}" for name in found.submissions), trials), None)


def curves(version: str, ruleset: str, suite: Suite, trials: Sequence[Trial]) -> list[Curve]:
    """The evaluations of these trials of a leaderboard that ships with them (`has_curves`)."""
    with archive.unpacked(file_of(version, ruleset, TRIALS)) as folder:
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
    """Makes a file of this package from published logs; its name says of which leaderboard."""
    if len(argv) != 3:
        raise UsageError(
            "Give the logs and the file: python -m scoring.published <folder of submissions> "
            "scoring/data/<leaderboard>_<ruleset>.csv, or .tar.xz with all evaluations"
        )
    root, path = Path(argv[1]), Path(argv[2])
    suite = suites.load(path.name.rpartition("_")[0])
    targets = {name: suite.targets(name) for name in suite.scored_names()}
    if path.name.endswith(TRIALS):
        num_trials = archive.pack(
            root, path, metrics={name: one.metric_name for name, one in targets.items()}
        )
        print(f"{num_trials} trials written to {path}")
        return
    results = read_submissions(root, targets)
    try:
        write_trials(results, path)
    except OSError as error:
        raise UsageError(
            f"Cannot write {argv[2]!r} ({error.strerror}): give a file in a folder that is there."
        ) from None
    print(f"{len(results.trials)} trials of {len(results.submissions)} submissions written to {argv[2]}")


if __name__ == "__main__":
    commands.run(main, max_arguments=2)
