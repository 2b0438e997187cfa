"""The source of a submission as it lies there: whether it is the one that ran, and what the audit says about it."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from algoperf import files, source_digest, submission_files
from algoperf import submission as submissions
from algoperf.referee import kept_source
from algoperf.spec import UsageError
from audit.audit import audit
from audit.report import Report
from review.records_of import Entry, TrialRecord


@dataclasses.dataclass(frozen=True, kw_only=True)
class SourceVersion:
    """One version of a submission's source."""

    digest: str
    """That the records of its trials have."""
    trials: tuple[TrialRecord, ...]
    where: str
    """Where it was found, for people; '' where it was not."""
    files: Mapping[str, Path] = dataclasses.field(default_factory=dict)
    """Its files by the names that the records have."""
    differences: tuple[str, ...] = ()
    """Between these files and those that ran, in words; empty where they are the same."""
    report: Report | None = None
    problem: str = ""
    """Why there is no report."""

    @property
    def is_what_ran(self) -> bool:
        """Whether the files are those of the trials, comments and notes apart."""
        return bool(self.files) and not self.differences


def versions_of(entry: Entry, submissions_dir: Path | None) -> list[SourceVersion]:
    """The versions of source that the trials of an entry ran, each where it can be found.

    Args:
      entry: with the copies that refereed runs keep.
      submissions_dir: folder of submissions, where the records hold no copy.
    """
    digests = list(dict.fromkeys(trial.source for trial in entry.trials))
    return [_version(entry, digest, submissions_dir) for digest in digests]


def _version(entry: Entry, digest: str, submissions_dir: Path | None) -> SourceVersion:
    trials = tuple(trial for trial in entry.trials if trial.source == digest)
    try:
        found = (
            _kept(entry.copies[digest]) if digest in entry.copies else _given(entry, trials, submissions_dir)
        )
    except (UsageError, OSError, ValueError) as error:
        return SourceVersion(digest=digest, trials=trials, where="", problem=str(error))
    if found is None:
        return SourceVersion(digest=digest, trials=trials, where="")
    main, own, where = found
    now = source_digest.of_files(own)
    recorded = next((trial.source_files for trial in trials if trial.source_files), {})
    differences: Sequence[str] = ()
    if source_digest.combined(now) != digest:
        differences = source_digest.changes(recorded, now) or ["its digest is another"]
    report, problem = None, ""
    try:
        report = audit(main.parent if submissions.has_own_folder(main) else main)
    except (UsageError, RecursionError, MemoryError) as error:
        problem = f"The audit could not read it: {error}"
    return SourceVersion(
        digest=digest,
        trials=trials,
        where=where,
        files=own,
        differences=tuple(differences),
        report=report,
        problem=problem,
    )


def _kept(folder: Path) -> tuple[Path, dict[str, Path], str]:
    """(its main file, files by name, where) of a copy beside the results."""
    index = kept_source.read_index(folder)
    return index.main, index.files, "kept beside the results by the referee"


def _given(
    entry: Entry, trials: Sequence[TrialRecord], submissions_dir: Path | None
) -> tuple[Path, dict[str, Path], str] | None:
    """The same of a folder of submissions."""
    if submissions_dir is None:
        return None
    names = [Path(str(trial.meta_data.get("submission_path", ""))).name for trial in trials]
    wanted = next((name for name in names if name.endswith(".py")), submissions.ANY_FRAMEWORK)
    choices = [submissions_dir / entry.name / wanted, submissions_dir / f"{entry.name}.py"]
    main = next((path for path in choices if path.is_file()), None)
    if main is None:
        return None
    main = main.resolve()
    own = submission_files.files_of(main, submissions.has_own_folder(main)).paths
    return main, own, f"from {submissions_dir}"


def text_of(path: Path) -> str | None:
    """The text of a file; None where it is none."""
    try:
        content = files.read_regular(path)
    except OSError:
        return None
    return None if b"\0" in content else content.decode(errors="replace")
