"""Short trials of a submission, watched: `check_submission.py <folder> --run`.

For each framework and ruleset that the submission offers: eight steps on a small workload at once, and the same in two
processes, which must agree. What it does meanwhile is seen by `audit.probe`.
"""

import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from algoperf import frameworks, submission
from algoperf.spec import UsageError
from algoperf.submission_import import PROJECT
from audit.findings import Check, Finding, Grade
from audit.folder import Folder

NUM_STEPS = 8
TIMEOUT_SEC = 900

FAILS = Check(
    "fails", ("R13.1", "R2.2"), Grade.FORBIDDEN, "A short trial ends with an error: {what}.", "Repair it."
)
NOT_RESUMED = Check(
    "not-resumed",
    ("R6.15",),
    Grade.REVIEW,
    "Continued after a stop it does not end as at one go: {what}.",
    "Everything that changes belongs into the optimizer state, the parameters or the model state.",
)
PATCHED = Check(
    "patched",
    ("R3.20", "R3.17"),
    Grade.FORBIDDEN,
    "After the trial {what} is other code than before.",
    "Leave code that is not the submission's as it is.",
)
ALIVE = Check(
    "alive-at-pause",
    ("R3.19",),
    Grade.FORBIDDEN,
    "{what} was running while the clock stood still.",
    "Join threads before the function returns.",
)
DID = Check(
    "did", ("R3.8", "R3.19"), Grade.FORBIDDEN, "It {what}.", "Work in the timed functions, in memory."
)
DID_READ = Check(
    "did-read", ("R3.8",), Grade.REVIEW, "It {what}.", "Only the submission's own source may be read."
)
DID_FINE = Check("did-allowed", ("R3.8",), Grade.NOTE, "It {what}.")
OTHER_FRAMEWORK = Check(
    "other-framework", ("R2.3",), Grade.REVIEW, "Written for {what}.", "Import what the algorithm needs."
)
UNREAD = Check("never-read", ("R12.6",), Grade.NOTE, "The trial never read the hyperparameter {what}.")
HARMLESS = ("listed",)


def run(folder: Folder, framework: str | None, workload: str, *, continues: bool = True) -> list[Finding]:
    """What short trials show.

    Args:
      folder: the submission.
      framework: only this one; all that are offered and installed by default.
      workload: name of a small workload.
      continues: whether a trial is also stopped and continued, which takes two more processes.

    Raises:
      UsageError: if no framework is left to run it in.
    """
    offered = {
        name: path
        for path in folder.entries
        for name in _frameworks_of(folder, path)
        if framework in (None, name) and not frameworks.get(name).missing_packages()
    }
    if not offered:
        raise UsageError(
            f"{folder.root} offers no framework that is installed here and asked for: give another --framework."
        )
    # What is kept in a checkpoint is the same in both rulesets.
    rulesets = ["external", "self"] if (folder.root / submission.SEARCH_SPACE).is_file() else ["self"]
    return [
        finding
        for name, path in offered.items()
        for ruleset in rulesets
        for finding in _of_one(folder, path, name, ruleset, workload, continues and ruleset == rulesets[0])
    ]


def _frameworks_of(folder: Folder, path: Path) -> list[str]:
    """Frameworks of a file; where it imports none itself, those of the files that it leads to."""
    own = submission.frameworks_of(path)
    if len(own) < len(frameworks.FRAMEWORKS):
        return own
    found = [submission.frameworks_of(other) for other in folder.imported]
    clear = {name for names in found if len(names) < len(own) for name in names}
    return [name for name in own if name in clear] or own


def _of_one(
    folder: Folder, path: Path, framework: str, ruleset: str, workload: str, with_resume: bool
) -> Iterator[Finding]:
    flags = [f"--submission={path}", f"--framework={framework}", f"--tuning_ruleset={ruleset}"]
    flags += [f"--workload={workload}", "--rng_seed=1", f"--eval_every_steps={NUM_STEPS // 2}"]
    where = f"in {framework}, {ruleset} ruleset"
    with tempfile.TemporaryDirectory() as place:
        whole, halves = Path(place) / "whole", Path(place) / "halves"
        seen, error = _watched(folder, flags, whole, NUM_STEPS)
        if error:
            # In self-tuning `hyperparameters` is None: a submission for external tuning alone may fail there.
            is_other = ruleset == "self" and (folder.root / submission.SEARCH_SPACE).is_file()
            check = FAILS if not is_other else _as_note(FAILS)
            yield Finding(path, 0, f"{error} ({where})", check)
        yield from _of_what_was_seen(path, seen, folder)
        if error:
            return
        yield from (Finding(path, 0, name, UNREAD) for name in _unread(whole))
        if not with_resume:
            return
        for steps in (NUM_STEPS // 2, NUM_STEPS):
            _, error = _watched(folder, flags, halves, steps)
            if error:
                yield Finding(path, 0, f"{error} ({where})", NOT_RESUMED)
                return
        different = _difference(_metrics(whole), _metrics(halves))
        if different:
            yield Finding(path, 0, f"{different} ({where})", NOT_RESUMED)


def _as_note(check: Check) -> Check:
    return Check(check.id, check.rules, Grade.NOTE, check.says, "It cannot take part in this ruleset.")


def _watched(folder: Folder, flags: list[str], place: Path, steps: int) -> tuple[dict[str, Any], str]:
    """(what the probe saw, what went wrong or '') of a trial up to a step; a trial that is there goes on."""
    place.mkdir(exist_ok=True)
    report = place / "report.json"
    command = [sys.executable, "-m", "audit.probe", str(report), str(folder.root), *flags]
    command += [f"--experiment_dir={place}", f"--max_steps={steps}"]
    search = os.pathsep.join([str(PROJECT), *filter(None, [os.environ.get("PYTHONPATH")])])
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONPATH": search},
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SEC,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return {}, f"no end within {TIMEOUT_SEC} s"
    try:
        seen = json.loads(report.read_text())
    except (OSError, ValueError):
        seen = {}
    if (
        seen.get("exit_code") == 0
    ):  # What happens when Python ends, with threads of the submission alive, is not asked.
        return seen, ""
    lines = [line for line in done.stderr.splitlines() if line.startswith("error: ")] or done.stderr.split(
        "\n"
    )
    said = [line.strip() for line in lines if line.strip() and not line.startswith("warning: ")]
    return seen, (
        said[-1][:200].rstrip(".") if said else f"it ended the process with exit code {done.returncode}"
    )


def _of_what_was_seen(path: Path, seen: dict[str, Any], folder: Folder) -> Iterator[Finding]:
    for name in seen.get("patched", ()):
        yield Finding(path, 0, name, PATCHED)
    for name in seen.get("threads", ()):
        yield Finding(path, 0, f"The thread {name}", ALIVE)
    for name in seen.get("other_frameworks", ()):
        yield Finding(path, 0, f"another framework, it imports {name}", OTHER_FRAMEWORK)
    for what, about, line in seen.get("events", ()):
        is_own = about.startswith(str(folder.root)) and "(r" in about
        check = DID_FINE if what in HARMLESS or is_own else DID
        if check is DID and what == "opened" and "(r" in about and "+" not in about:
            check = DID_READ
        yield Finding(path, line, f"{what} {about}".strip(), check)


def _summary_of(place: Path) -> Path:
    return next(place.glob("*/study_0/*/trial_1"))


def _unread(place: Path) -> list[str]:
    found = json.loads((_summary_of(place) / "summary.json").read_text()).get("unread_hyperparameters")
    return list(found or ())


def _metrics(place: Path) -> dict[str, dict[str, str]]:
    """Step -> metrics of its evaluation, as written."""
    with (_summary_of(place) / "eval_measurements.csv").open(newline="") as file:
        return {
            row["global_step"]: {name: value for name, value in row.items() if "/" in name}
            for row in csv.DictReader(file)
        }


def _difference(one: dict[str, dict[str, str]], other: dict[str, dict[str, str]]) -> str:
    """Where two trials differ first; '' where they agree."""
    for step, metrics in one.items():
        for name, value in metrics.items():
            found = other.get(step, {}).get(name)
            if found != value:
                return f"at step {step} {name} is {found} instead of {value}"
    return ""
