"""Results folder -> trials. Opening thousands of small files is the cost of scoring, so this is lean.

    <submissions>/<submission>/study_<s>/<workload>_<framework>/trial_<t>/eval_measurements.csv

AlgoPerf's folders and ours are read alike. Directory order never matters: everything is sorted. What is left
out or odd becomes a `Finding`; only a folder that cannot be scored at all is an error.
"""

import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from algoperf import direction, files, frameworks, records
from algoperf.run import summary
from algoperf.spec import UsageError, no_such
from algoperf.suites import WorkloadTargets
from scoring import evaluations
from scoring.results import Finding, Hit, Kind, Results, Trial

LAYOUT = f"<submission>/study_<s>/<workload>_<framework>/trial_<t>/{records.EVAL_MEASUREMENTS}"
STUDY = re.compile(r"study_(0|[1-9]\d*)")  # no leading zeros: study_1 and study_01 would be one study
TRIAL = re.compile(r"trial_(0|[1-9]\d*)")
FLAGS = re.compile(r"flags_\d+\.json")


def read_submissions(
    root: Path,
    targets: Mapping[str, WorkloadTargets],
    *,
    include: Collection[str] = (),
    exclude: Collection[str] = (),
) -> Results:
    """All trials below `root` on the workloads in `targets`.

    Args:
      root: folder that holds one folder per submission.
      targets: workload -> its target; other workloads become findings.
      include: names of submissions to read; empty means all.
      exclude: names of submissions to leave out.

    Raises:
      UsageError: if there is no such folder, it holds no results, a name in `include` or `exclude` is not
        there, or a submission ran a workload in both frameworks.
    """
    if not root.is_dir():
        raise UsageError(f"No folder of submissions at {str(root)!r}; give the folder that holds {LAYOUT}.")
    folders = subfolders(str(root))
    # A common mistake, which would otherwise end as "no results".
    if any(STUDY.fullmatch(name) for name in folders):
        raise UsageError(
            f"{str(root)!r} is the folder of one submission (it holds study folders); give its parent "
            f"{str(root.resolve().parent)!r} and --include={root.resolve().name}."
        )
    found = submission_folders(root)
    if not found:
        raise UsageError(
            f"No results below {str(root)!r}: expected {LAYOUT}. Is it the folder of submissions?"
        )
    for name in (*include, *exclude):
        if name not in found:
            raise no_such(f"submission in {str(root)!r}", name, found)
    chosen = [name for name in found if (not include or name in include) and name not in exclude]
    if not chosen:
        raise UsageError(f"--include and --exclude leave no submission of {', '.join(found)}.")
    trials: list[Trial] = []
    findings = [
        Finding(name, "", Kind.STRAY_FOLDER, "") for name in folders if name not in found and not include
    ]
    for name in chosen:
        read_submission(name, folders[name], targets, trials, findings)
    return Results(submissions=tuple(chosen), trials=tuple(trials), findings=tuple(findings))


def submission_folders(root: Path) -> list[str]:
    """Names of the submissions below `root`: folders that hold a study."""
    return [
        name
        for name, path in subfolders(str(root)).items()
        if any(STUDY.fullmatch(study) for study in subfolders(path))
    ]


def read_submission(
    submission: str,
    folder: str,
    targets: Mapping[str, WorkloadTargets],
    trials: list[Trial],
    findings: list[Finding],
) -> None:
    """Appends the trials and findings of one submission."""
    framework_of: dict[str, str] = {}
    for study, study_folder in numbered(submission, "", folder, STUDY, findings):
        for entry, workload_folder in subfolders(study_folder).items():
            # From the right: names of workloads hold underscores, those of frameworks do not.
            workload, _, framework = entry.rpartition("_")
            if framework not in frameworks.names():
                findings.append(Finding(submission, "", Kind.STRAY_FOLDER, f"study_{study}/{entry}"))
                continue
            if workload not in targets:
                findings.append(Finding(submission, workload, Kind.UNLISTED_WORKLOAD, f"study_{study}"))
                continue
            if framework_of.setdefault(workload, framework) != framework:
                both = " and ".join(
                    f"{workload}_{name}" for name in sorted((framework_of[workload], framework))
                )
                raise UsageError(
                    f"Submission {submission!r} has results on {workload} in both frameworks, {both}, in {folder!r}; "
                    "a submission is scored in one. Move one away."
                )
            place = f"study_{study}"
            for number, trial_folder in numbered(
                submission, workload, workload_folder, TRIAL, findings, place
            ):
                identity = Trial(
                    submission=submission, workload=workload, framework=framework, study=study, trial=number
                )
                trial = read_trial(identity, trial_folder, targets[workload], findings)
                if trial is not None:
                    trials.append(trial)


def read_trial(
    identity: Trial, folder: str, targets: WorkloadTargets, findings: list[Finding]
) -> Trial | None:
    """The trial with its first hit; None where the folder has no evaluations file (it never started)."""
    place = f"study_{identity.study}/trial_{identity.trial}"

    def report(kind: Kind, detail: str = "") -> None:
        findings.append(Finding(identity.submission, identity.workload, kind, place, detail))

    try:
        content = read_bytes(f"{folder}/{records.EVAL_MEASUREMENTS}")
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        report(Kind.NO_EVALUATIONS if missing else Kind.UNREADABLE, "" if missing else str(error))
        return None
    status = read_side_files(folder, report)
    try:
        log = evaluations.parse(content, targets.metric_name)
    except evaluations.UnreadableError as error:
        report(Kind.UNREADABLE, str(error))
        return with_outcome(identity, status=status or "unreadable")
    for kind, detail in log.oddities:
        report(kind, detail)
    best = direction.best(log.validation, targets.higher_is_better)
    # The best value says at once whether there is a hit to look for.
    index = evaluations.first_hit(log.validation, targets) if targets.is_met_by(best) else None
    hit = None if index is None else Hit(index, log.submission_time_sec[index], log.global_step[index])
    return with_outcome(
        identity,
        hit=hit,
        best=best,
        last_time_sec=log.submission_time_sec[-1],
        status=status,
    )


def with_outcome(identity: Trial, **outcome: object) -> Trial:
    """`identity` with its result filled in (dataclasses.replace, several times faster)."""
    return Trial(
        submission=identity.submission,
        workload=identity.workload,
        framework=identity.framework,
        study=identity.study,
        trial=identity.trial,
        **outcome,  # type: ignore[arg-type]  # Fields of several types.
    )


def read_side_files(folder: str, report: evaluations.Report) -> str:
    """`status` from summary.json ('' if none); reports a step-based evaluation schedule in flags files."""
    status = ""
    for name in sorted(os.listdir(folder)):
        if name == records.SUMMARY:
            found = summary.read(folder)
            status = "" if found is None else found.status
        elif FLAGS.fullmatch(name):
            # A target that is looked at more often is found earlier, so times of the two schedules do not compare.
            every = read_json(f"{folder}/{name}").get("eval_every_steps")
            if every not in (None, 0, "", "0"):
                report(Kind.STEP_SCHEDULE, f"eval_every_steps={every}")
    return status


def read_json(path: str) -> dict[str, object]:
    """A JSON object; empty where the file is torn or holds something else (it adds details, nothing more)."""
    content = files.read_json_or_none(path)
    return content if isinstance(content, dict) else {}


def read_bytes(path: str) -> bytes:
    """The whole file; unbuffered, which halves the cost of opening small files."""
    with open(path, "rb", buffering=0) as file:
        return file.read()


def subfolders(path: str) -> dict[str, str]:
    """Name -> path of the folders in a folder, sorted by name; hidden ones are not results."""
    with os.scandir(path) as entries:
        found = [(entry.name, entry.path) for entry in entries if entry.is_dir() and entry.name[0] != "."]
    return dict(sorted(found))


def numbered(
    submission: str,
    workload: str,
    path: str,
    pattern: re.Pattern[str],
    findings: list[Finding],
    place: str = "",
) -> list[tuple[int, str]]:
    """(number, path) of the folders that match, in numerical order; others become findings."""
    found = []
    for name, folder in subfolders(path).items():
        match = pattern.fullmatch(name)
        if match:
            found.append((int(match[1]), folder))
        else:
            findings.append(Finding(submission, workload, Kind.STRAY_FOLDER, f"{place}/{name}".lstrip("/")))
    return sorted(found)
