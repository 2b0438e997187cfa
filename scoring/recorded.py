"""What records say of how results were run, without reading any evaluation: suite, ruleset, hardware, when.

It decides what a folder of results is scored under where nobody says so.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

from algoperf import frameworks, records, submission_info, suites
from algoperf.run import summary as summaries
from algoperf.spec import UsageError
from scoring import facts, reading, sources

RULESET = "external"
"""Where neither records nor flags say one."""


@dataclass(frozen=True)
class Recorded:
    """Of one trial; '' is not recorded."""

    submission: str
    workload: str
    suite: str
    ruleset: str
    device: str
    """Number and kind; of processors also the host's, as one core is not like another."""
    started: str
    """Date of its last start, as in '2026-03-05'."""


def of_submission(root: Path, submission: str) -> Iterator[Recorded]:
    """What the records of each trial of a submission say, those without evaluations included.

    Args:
      root: folder of submissions.
      submission: its name there.
    """
    for folder in sorted((root / submission).glob("study_*/*/trial_*")):
        workload, _, framework = folder.parent.name.rpartition("_")
        if framework in frameworks.names() and folder.is_dir():
            yield _of_trial(folder, submission, workload, framework)


def _of_trial(folder: Path, submission: str, workload: str, framework: str) -> Recorded:
    try:
        summary = summaries.read(folder)
    except UsageError:  # Reading the evaluations reports it.
        summary = None
    paths = sorted(map(str, folder.glob("meta_data_*.json")), key=lambda path: (len(path), path))
    flags = records.newest(folder, records.flags_file)
    told = facts.read(paths, summary, reading.read_json(str(flags)) if flags else {}, framework)
    last = told[-1] if told else facts.Facts()
    started = reading.read_json(paths[-1]).get("started") if paths else None
    device = last.device or (summary.device if summary else "") or ""
    return Recorded(
        submission=submission,
        workload=workload,
        suite=last.suite or "",
        ruleset=last.ruleset or "",
        device=", ".join(part for part in (device, last.host if device.startswith("cpu") else "") if part),
        started=submission_info.date_of(started) if isinstance(started, str) else "",
    )


def suite_of(found: Collection[Recorded]) -> str:
    """The suite that trials ran under; that of full size where no record says.

    Raises:
      UsageError: if they ran under several.
    """
    return _only("suite", {one.suite for one in found if one.suite}) or suites.FULL_SIZE


def ruleset_of(found: Collection[Recorded]) -> str:
    """The ruleset that trials ran under, 'external' where no record says; as `suite_of`."""
    return _only("ruleset", {one.ruleset for one in found if one.ruleset}) or RULESET


def _only(what: str, names: Collection[str]) -> str:
    if len(names) > 1:
        raise UsageError(
            f"These results ran under several {what}s, {', '.join(sorted(names))}: say which one counts with --{what}."
        )
    return next(iter(names), "")


def of_places(places: Collection[sources.Source]) -> list[Recorded]:
    """What the records in all places say."""
    return [
        one for place in places for name in place.submissions for one in of_submission(place.folder, name)
    ]
