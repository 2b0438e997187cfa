"""Results folder -> trials. Opening thousands of small files is the cost of scoring, so this is lean.

    <submissions>/<submission>/study_<s>/<workload>_<framework>/trial_<t>/eval_measurements.csv

AlgoPerf's folders and ours are read alike. Directory order never matters: everything is sorted. What is left
out or odd becomes a `Finding`; only a folder that cannot be scored at all is an error.
"""

import dataclasses
import math
import operator
import os
import re
from collections.abc import Collection, Mapping
from pathlib import Path

from algoperf import direction, files, frameworks, records, submission_info
from algoperf.run import chain_check
from algoperf.run import summary as summaries
from algoperf.spec import UsageError, no_such
from algoperf.submission_info import SubmissionInfo
from algoperf.suites import WorkloadTargets
from scoring import accounts, contradictions, evaluations, plausible, refereed
from scoring import facts as all_facts
from scoring.results import Finding, Hit, Kind, Results, RunEnd, Trial

LAYOUT = f"<submission>/study_<s>/<workload>_<framework>/trial_<t>/{records.EVAL_MEASUREMENTS}"
STUDY = records.STUDY
TRIAL = re.compile(r"trial_(0|[1-9]\d{0,8})")
FLAGS = re.compile(r"flags_\d+\.json")
META_DATA = re.compile(r"meta_data_\d+\.json")


def read_submissions(
    root: Path,
    targets: Mapping[str, WorkloadTargets],
    *,
    include: Collection[str] = (),
    exclude: Collection[str] = (),
    copies: "Copies | None" = None,
) -> Results:
    """All trials below `root` on the workloads in `targets`.

    Args:
      root: folder that holds one folder per submission.
      targets: workload -> its target; other workloads become findings.
      include: names of submissions to read; empty means all.
      exclude: names of submissions to leave out.
      copies: shared by calls on several folders, so that a study copied from one to another is found.

    Raises:
      UsageError: if there is no such folder, it holds no results, a name in `include` or `exclude` is not
        there, or a submission ran a workload in both frameworks.
    """
    found = found_submissions(root)
    folders = subfolders(str(root))
    for name in (*include, *exclude):
        if name not in found:
            raise no_such(f"submission in {str(root)!r}", name, found)
    chosen = [name for name in found if (not include or name in include) and name not in exclude]
    if not chosen:
        raise UsageError(f"--include and --exclude leave no submission of {', '.join(found)}.")
    for name in chosen:
        if not name.isprintable():  # Tables have a line for each.
            raise UsageError(
                f"The folder {name!r} in {str(root)!r} has a line break or another control character in its name: "
                "rename it, or leave it out with --exclude."
            )
    copies = copies or Copies()
    trials: list[Trial] = []
    findings = [
        Finding(name, "", Kind.STRAY_FOLDER, "") for name in folders if name not in found and not include
    ]
    for name in chosen:
        read_submission(name, folders[name], targets, trials, findings, copies)
    return Results(submissions=tuple(chosen), trials=tuple(trials), findings=tuple(findings))


def found_submissions(root: Path) -> list[str]:
    """Names of the submissions below `root`.

    Raises:
      UsageError: if it is no folder of submissions.
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
    return found


def submission_folders(root: Path) -> list[str]:
    """Names of the submissions below `root`: folders that hold a study."""
    return [
        name
        for name, path in subfolders(str(root)).items()
        if any(STUDY.fullmatch(study) for study in subfolders(path))
    ]


def info_of(root: Path, name: str) -> tuple[SubmissionInfo | None, str]:
    """(what a submission says of itself, a note on what cannot be used or '').

    It says so in a submission_info.yml of its results, or its runs have recorded it.
    """
    info, problem = submission_info.read(root / name)
    if info is None:
        trials = sorted((root / name).glob("study_*/*/trial_*"))
        recorded = records.newest_meta_data(trials[0]).get("submission_info") if trials else None
        info = submission_info.from_mapping(recorded) if isinstance(recorded, dict) else None
    return info, problem


def read_submission(
    submission: str,
    folder: str,
    targets: Mapping[str, WorkloadTargets],
    trials: list[Trial],
    findings: list[Finding],
    copies: "Copies",
) -> None:
    """Appends the trials and findings of one submission."""
    framework_of: dict[str, str] = {}
    for study, study_folder in numbered(submission, "", folder, STUDY, findings):
        for entry, workload_folder in subfolders(study_folder).items():
            # From the right: names of workloads hold underscores, those of frameworks do not.
            workload, _, framework = entry.rpartition("_")
            if entry == records.SOURCE:
                continue
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
                trial = read_trial(identity, trial_folder, targets[workload], findings, copies)
                if trial is not None:
                    trials.append(trial)


class Copies:
    """Finds trials of one submission whose evaluations are those of another: the same file, or the same metrics."""

    def __init__(self) -> None:
        self._place_of: dict[tuple[str, str, bytes | tuple[float, ...]], str] = {}

    def original(
        self, identity: Trial, content: bytes, log: evaluations.EvaluationLog, place: str
    ) -> str | None:
        """Where the same evaluations were seen before, on the same workload; None for new ones.

        Times in whole milliseconds may be equal by chance, or rounded; a clock of nanoseconds never repeats itself.
        Nor do metrics: trials of other seeds differ in some of five values, unless they hardly take more than one.
        """
        signs: list[bytes | tuple[float, ...]] = []
        if any(time != round(time, 3) for time in log.submission_time_sec):
            signs.append(content)
        metrics = tuple(log.validation)
        if len(set(metrics)) >= NUM_TELLING:
            signs.append(metrics)
        found = None
        for sign in signs:
            first = self._place_of.setdefault((identity.submission, identity.workload, sign), place)
            found = found or (None if first == place else first)
        return found


NUM_TELLING = 5
"""Different values of a metric in one trial that no other trial has in the same order by chance."""


def read_trial(
    identity: Trial,
    folder: str,
    targets: WorkloadTargets,
    findings: list[Finding],
    copies: Copies | None = None,
) -> Trial | None:
    """The trial with its first hit; None where the folder has no evaluations file (it never started)."""
    place = f"study_{identity.study}/trial_{identity.trial}"

    def report(kind: Kind, detail: str = "") -> None:
        findings.append(Finding(identity.submission, identity.workload, kind, place, detail))

    try:
        content = files.read_regular(f"{folder}/{records.EVAL_MEASUREMENTS}")
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        if missing and (trial := spent_before_evaluation(identity, folder)):
            return trial
        report(Kind.NO_EVALUATIONS if missing else Kind.UNREADABLE, "" if missing else str(error))
        if os.path.exists(f"{folder}/{records.CHAIN}"):  # Which says what was there.
            check_chain(folder, report)
        return None
    beside = read_side_files(folder, identity.framework, report)
    summary = beside.summary
    status = summary.status if summary else ""
    try:
        log = evaluations.parse(content, targets.metric_name)
    except evaluations.UnreadableError as error:
        is_whole = isinstance(error, evaluations.NoEvaluationsError)
        if is_whole and (trial := spent_before_evaluation(identity, folder, summary)):
            return trial
        report(Kind.UNREADABLE, str(error))
        return with_outcome(identity, status=status or "unreadable", facts=beside.facts, summary=summary)
    for kind, detail in log.oddities:
        report(kind, detail)
    if copies and (original := copies.original(identity, content, log, place)):
        report(Kind.COPY, original)
    best = direction.best(log.validation, targets.higher_is_better)
    # The best value says at once whether there is a hit to look for.
    index = evaluations.first_hit(log.validation, targets) if targets.is_met_by(best) else None
    hit = None if index is None else Hit(index, log.submission_time_sec[index], log.global_step[index])
    for recorded in {one.targets[0] for one in beside.facts if one.targets}:
        if not contradictions.is_target(recorded, targets):
            report(Kind.OTHER_RUN, f"validation target {recorded:g}, here {targets.validation_target:g}")
    if summary is not None:
        contradiction = contradictions.find(summary, log, hit, best, identity, targets)
        contradiction = contradiction or accounts.find(folder, summary, log)
        if contradiction:
            report(Kind.CONTRADICTION, contradiction)
    return with_outcome(
        identity,
        hit=hit,
        best=best,
        last_time_sec=log.submission_time_sec[-1],
        status=status,
        facts=beside.facts,
        end=end_of(log, summary, hit is None and not status, hit, targets.validation_target),
        seal=beside.seal,
        log=log,
        summary=summary,
    )


def end_of(
    log: evaluations.EvaluationLog,
    summary: summaries.Summary | None,
    asks_for_gap: bool,
    hit: Hit | None,
    target: float,
) -> RunEnd:
    """What is known of a run beside its hit; the longest gap costs time, and is left out where nobody asks for it."""
    times, evaluation_sec = log.submission_time_sec, log.evaluation_sec
    gap = max(map(operator.sub, times, (0.0, *times))) if asks_for_gap else math.nan
    return RunEnd(
        len(times),
        log.global_step[-1],
        gap,
        math.isfinite(log.validation[-1]),
        # Later ones hold more than the first update.
        times[0] if log.global_step[0] == 1 else math.nan,
        # The one NaN that is equal to itself in a tuple, so that equal runs are equal.
        math.nan if math.isnan(evaluation_sec) else evaluation_sec / (evaluation_sec + times[-1]),
        math.nan if summary is None or summary.submission_time_sec is None else summary.submission_time_sec,
        device=(summary and summary.device) or "",
        times_sec=times,
        steps=log.global_step,
        **plausible.of_end(log, summary, hit, target),
    )


def spent_before_evaluation(
    identity: Trial, folder: str, summary: summaries.Summary | None = None
) -> Trial | None:
    """The trial, if its budget ended before its first evaluation, which is a legal miss; None if it says otherwise."""
    if summary is None:
        try:
            summary = summaries.read(folder)
        except UsageError:  # Reported with the side files, or the folder holds no trial at all.
            return None
    if summary is None or summary.status != "budget_exhausted" or summary.num_evaluations:
        return None
    spent = math.nan if summary.submission_time_sec is None else summary.submission_time_sec
    note = ""
    if not math.isnan(spent):
        num_updates = summary.global_step or 0
        note = f"{spent:,.1f} s for {num_updates:,} update{'' if num_updates == 1 else 's'}"
        counts = (summary.compilations or {}).get("update", {})
        if summary.ledger is not None and (number := sum(counts.values())):
            note += f", of which {summary.ledger['update']:,.1f} s in update_params, which compiled {number} times"
    end = RunEnd(0, math.nan, math.nan, True, run_sec=spent, note=note, device=summary.device or "")
    return with_outcome(identity, status=summary.status, end=end, summary=summary)


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


@dataclasses.dataclass(frozen=True)
class Beside:
    """What lies beside the evaluations of a trial; nothing does in the logs of AlgoPerf 0.5."""

    summary: summaries.Summary | None = None
    facts: tuple[all_facts.Facts, ...] = ()
    seal: str = ""
    """See `Trial.seal`."""


def read_side_files(folder: str, framework: str, report: evaluations.Report) -> Beside:
    """Summary and facts of a trial; reports what flags files and summary say against scoring the trial."""
    summary, newest, meta_data = None, {}, []
    told: list[tuple[object, ...]] = []
    has_chain = False

    def report_once(*what: object) -> None:  # Every start of a trial that was continued has flags of its own.
        if what not in told:
            told.append(what)
            report(*what)

    for name in sorted(os.listdir(folder), key=lambda name: (len(name), name)):  # 10 comes after 9.
        if name == records.SUMMARY:
            try:
                summary = summaries.read(folder)
            except UsageError as error:
                report(Kind.DAMAGED_SUMMARY, str(error))
            else:
                if summary is None:
                    report(Kind.DAMAGED_SUMMARY, "it was cut, or does not say how the trial ended")
        elif name == records.CHAIN:
            has_chain = True
        elif META_DATA.fullmatch(name):
            meta_data.append(f"{folder}/{name}")
        elif FLAGS.fullmatch(name):
            newest = read_json(f"{folder}/{name}")
            check_flags(newest, report_once)
    if summary is None and not newest and not meta_data and not has_chain:
        return NOTHING
    found = all_facts.read(meta_data, summary, newest, framework)
    if not has_chain and not any(one.refereed for one in found):
        return Beside(summary, found)
    seal = check_chain(folder, report)
    if seal is None:
        found = tuple(dataclasses.replace(one, refereed=False) for one in found)
    for kind, text in refereed.noticed(summary):
        report(kind, text)
    return Beside(summary, found, seal or "")


def check_chain(folder: str, report: evaluations.Report) -> str | None:
    """Reports where the records of a refereed trial are not those that were written.

    Returns:
      The seal, '' for a trial that has not ended; None where the records cannot be relied on.
    """
    checked = chain_check.check(folder)
    for problem in checked.problems:
        report(Kind.BROKEN_CHAIN, problem)
    return None if checked.problems else checked.seal or ""


NOTHING = Beside()


def check_flags(flags: Mapping[str, object], report: evaluations.Report) -> None:
    """Reports flags that speak against scoring a trial."""
    # A target that is looked at more often is found earlier, so times of the two schedules do not compare.
    every = flags.get("eval_every_steps")
    if every not in (None, 0, "", "0"):
        report(Kind.STEP_SCHEDULE, f"eval_every_steps={every}")
    for name in ("skip_evals", "max_global_steps", "run_past_targets"):  # Not for scoring.
        if flags.get(name):
            report(Kind.OTHER_RUN, f"{name}={flags[name]}")


def read_json(path: str) -> dict[str, object]:
    """A JSON object; empty where the file is torn or holds something else (it adds details, nothing more)."""
    content = files.read_json_or_none(path)
    return content if isinstance(content, dict) else {}


def subfolders(path: str) -> dict[str, str]:
    """Name -> path of the folders in a folder, sorted by name; hidden ones are not results."""
    try:
        with os.scandir(path) as entries:
            found = [(entry.name, entry.path) for entry in entries if entry.is_dir() and entry.name[0] != "."]
    except OSError as error:
        raise UsageError(
            f"Cannot list the folder {error.filename or path!r} ({error.strerror}): make it readable, or score a copy "
            "without it."
        ) from None
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
