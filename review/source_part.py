"""The part of the page with a submission's source, findings of the audit in their lines."""

import collections
from collections.abc import Iterator, Sequence
from pathlib import Path

from algoperf.submission_import import PROJECT
from audit.findings import Finding, Grade
from audit.report import Report
from review import source_of
from review.source_of import SourceVersion
from scoring.markup import Html, folded, joined, link, safe, table, tag

CLASS = {Grade.NOTE: "note", Grade.REVIEW: "review", Grade.FORBIDDEN: "forbidden"}
MAX_LINES = 20_000
"""Of a file; more are not shown."""


def part(version: SourceVersion, anchor: str) -> Html:
    """One version of a submission's source.

    Args:
      version: of it.
      anchor: begins all anchors of this part.
    """
    places = ", ".join(trial.place for trial in version.trials)
    head = [
        tag("h3", "Source ", version.digest or "of unknown digest", id=anchor),
        tag("p", verdict(version)),
    ]
    head.append(folded(f"ran in {len(version.trials)} trials", tag("p", places)))
    if version.problem:
        head.append(tag("p", version.problem, of="bad"))
    if version.report is None:
        return joined(head)
    files = list(_files(version))
    names = {path: f"{name} (as it ran)" for name, path in version.files.items()}
    at = {path: f"{anchor}f{number}" for number, path in enumerate(files)}
    return joined(
        [
            *head,
            _findings(version.report, at),
            *(_file(version.report, path, at[path], names.get(path, "")) for path in files),
        ]
    )


def verdict(version: SourceVersion) -> Html:
    """Whether what lies there is what ran."""
    if not version.where:
        return tag(
            "span", "The source is not here: give the folder of submissions (--submissions).", of="bad"
        )
    if version.is_what_ran:
        words = "This is the source that ran, comments and notes apart: its digest is that of the records."
        return joined([tag("span", words, of="good"), safe(f"It was {version.where}.")])
    shown = ", ".join(version.differences) or "it has no files"
    words = f"This is NOT the source that ran ({shown}). It was {version.where}."
    return tag("span", words, of="bad")


def _files(version: SourceVersion) -> Iterator[Path]:
    """The files that are shown: what the audit has read, then the others; none that a link brings in from elsewhere."""
    assert version.report is not None
    root, own = version.report.folder.root.resolve(), set(version.files.values())
    known = [*version.report.folder.sources, *(one.path for one in version.report.folder.broken)]
    for path in dict.fromkeys([*known, *version.report.folder.others]):
        if path in own or {root, PROJECT} & set(path.resolve().parents):
            yield path
    for name, path in version.files.items():
        # A copy of what is in this project likewise has been shown as such.
        if path not in known and root not in path.parents and _text(path) != _text(PROJECT / name):
            yield path


def _text(path: Path) -> str | None:
    return source_of.text_of(path) if path.is_file() else None


def _findings(report: Report, at: dict[Path, str]) -> Html:
    counts = ", ".join(f"{report.number(grade)} {grade.text}" for grade in reversed(Grade))
    rows = [
        [
            tag("span", one.grade.text, of=CLASS[one.grade]),
            ", ".join(one.check.rules),
            one.says,
            _place(report, one, at),
        ]
        for one in report.findings
    ]
    return joined(
        [tag("h4", f"What the audit finds: {counts}"), table(("grade", "rules", "what", "where"), rows)]
    )


def _place(report: Report, one: Finding, at: dict[Path, str]) -> Html:
    shown = report.folder.shown(one.path) + (f":{one.line}" if one.line else "")
    if one.path not in at:
        return safe(shown)
    return link(f"{at[one.path]}l{one.line}" if one.line else at[one.path], shown)


def _file(report: Report, path: Path, anchor: str, name: str) -> Html:
    """One file, with its findings below their lines; `name` is that of a copy."""
    by_line: dict[int, list[Finding]] = collections.defaultdict(list)
    for one in report.findings:
        if one.path == path:
            by_line[one.line].append(one)
    worst = max((one.grade for found in by_line.values() for one in found), default=None)
    text = source_of.text_of(path)
    is_own = report.folder.root in path.parents or PROJECT in path.parents
    title = joined(
        [
            safe(report.folder.shown(path) if is_own or not name else name),
            *([_grade(worst)] if worst is not None else []),
        ]
    )
    if text is None:
        inner: Sequence[Html] = [tag("p", f"{path.stat().st_size:,} bytes that are no text.")]
    else:
        lines = text.split("\n")
        shown = [
            _line(number, line, by_line[number], anchor) for number, line in enumerate(lines[:MAX_LINES], 1)
        ]
        inner = [*_notes(by_line[0]), tag("pre", Html("".join(shown)))]
        if len(lines) > MAX_LINES:
            inner = [*inner, tag("p", f"… and {len(lines) - MAX_LINES:,} more lines.")]
    is_open = worst is not None and worst > Grade.NOTE
    return tag("div", folded(title, *inner, is_open=is_open), id=anchor)


def _grade(grade: Grade) -> Html:
    return tag("span", f" ({grade.text})", of=CLASS[grade])


def _line(number: int, line: str, findings: Sequence[Finding], anchor: str) -> Html:
    own = f"{anchor}l{number}"
    code = tag("span", link(own, number), line.rstrip("\r"), id=own)
    return Html(code + "\n" + "".join(_notes(findings)))


def _notes(findings: Sequence[Finding]) -> list[Html]:
    return [
        tag(
            "span",
            tag("b", one.grade.text, ", ", ", ".join(one.check.rules)),
            f" {one.says} {one.check.instead}",
            of=f"here {CLASS[one.grade]}",
        )
        for one in findings
    ]
