"""One HTML page about a folder of results, for the people who decide: nothing on it loads or runs anything."""

from collections.abc import Sequence
from pathlib import Path

from algoperf import files
from algoperf.spec import UsageError
from audit.findings import Grade
from review import records_of, runs_part, source_of, source_part
from review.frame import page
from review.records_of import Entry
from review.source_of import SourceVersion
from scoring import sources
from scoring.markup import Html, folded, joined, link, shown, table, tag
from scoring.refereed import short

FILE = "review.html"


def write(results: Path, output: Path | None = None, submissions_dir: Path | None = None) -> Path:
    """Writes the page; returns where.

    Args:
      results: a folder of submissions, or an archive of one.
      output: the file; `review.html` in the working directory by default.
      submissions_dir: folder with the source of submissions, for results without copies of it.

    Raises:
      UsageError: if there are no results, or the page cannot be written.
    """
    if not results.exists():
        raise UsageError(
            f"No results at {str(results)!r}: give the folder of submissions, or an archive of one."
        )
    if submissions_dir is not None and not submissions_dir.is_dir():
        raise UsageError(
            f"--submissions={submissions_dir} is no folder: give the one that holds <submission>/."
        )
    path = output or Path(FILE)
    with sources.opened([results]) as (place,):
        text = _page(
            results, [records_of.entry_of(place.folder, name) for name in place.submissions], submissions_dir
        )
    try:
        files.write_bytes(path, text.encode(errors="replace"))
    except OSError as error:
        raise UsageError(
            f"Cannot write --output={path} ({error.strerror}): give a file in a folder that is there."
        ) from None
    return path


def _page(results: Path, entries: Sequence[Entry], submissions_dir: Path | None) -> str:
    versions = [source_of.versions_of(entry, submissions_dir) for entry in entries]
    words = (
        "For the people who decide (RULES.md, section 13). A finding is no verdict: it names a rule and a place, and "
        "somebody reads that place. What nothing here names is not thereby allowed."
    )
    title = f"Review of {results.name}"
    rows = [_row(number, *pair) for number, pair in enumerate(zip(entries, versions))]
    header = ("entry", "refereed", "noticed in runs", "audit of the source", "source that ran")
    return page(
        title,
        tag("h1", title),
        tag("p", words),
        table(header, rows),
        *(_entry(number, *pair) for number, pair in enumerate(zip(entries, versions))),
    )


def _row(number: int, entry: Entry, versions: Sequence[SourceVersion]) -> list[object]:
    refereed = (
        short(sum(trial.is_refereed for trial in entry.trials), len(entry.trials)) if entry.trials else "no"
    )
    changed = sum(bool(trial.checked and trial.checked.problems) for trial in entry.trials)
    if changed:
        refereed = tag("span", f"{refereed}; records of {changed} trials were changed", of="bad")
    reports = [version.report for version in versions if version.report is not None]
    counts = [(grade, sum(report.number(grade) for report in reports)) for grade in reversed(Grade)]
    found = [
        tag("span", f"{count} {grade.text}", of=source_part.CLASS[grade]) for grade, count in counts if count
    ]
    audited = Html(", ".join(found)) if found else "none" if reports else "not read"
    is_there = all(version.is_what_ran for version in versions)
    return [
        link(f"e{number}", entry.name),
        refereed,
        runs_part.counted([one for trial in entry.trials for one in trial.findings]),
        audited,
        tag("span", "here" if is_there else "not here, or not all of it", of="good" if is_there else "bad"),
    ]


def _entry(number: int, entry: Entry, versions: Sequence[SourceVersion]) -> Html:
    parts = [tag("h2", entry.name, id=f"e{number}")]
    if entry.info:
        parts.append(tag("p", entry.info))
    parts.append(runs_part.part(entry, f"e{number}"))
    parts += [source_part.part(version, f"e{number}s{place}") for place, version in enumerate(versions)]
    parts.append(tag("h3", "What was probed"))
    if entry.probes is None:
        words = (
            "No record of a watched trial: check_submission.py <folder> --run --json makes one, to be kept as "
            f"{records_of.PROBES} in the submission's folder of results."
        )
        parts.append(tag("p", words, of="note"))
    else:
        parts.append(folded("Record of a watched trial, as it was handed in", shown(entry.probes)))
    return joined(parts)
