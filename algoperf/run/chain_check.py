"""Compares the records of a refereed trial with their chain: what was changed since, by file and row."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from algoperf import files, records
from algoperf.run import chain
from algoperf.run.chain import Broken, Content, History, Line
from algoperf.run.summary import SEAL

CUT_IN_ARCHIVES = ("environment", "submission_file")
"""Keys of which a compact archive holds a part."""
TABLES = (records.EVAL_MEASUREMENTS, records.MEASUREMENTS)


@dataclass(frozen=True)
class Checked:
    """What a chain says of the records beside it."""

    seal: str | None
    """The last hash of a trial that has ended; None of one that has not, or whose chain is broken."""
    problems: tuple[str, ...] = ()
    """Such as 'eval_measurements.csv, row 3 was changed'."""


def check(folder: str) -> Checked:
    """Compares the records in the folder of a trial that was refereed."""
    try:
        content = files.read_regular(f"{folder}/{records.CHAIN}")
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        return Checked(None, (f"{records.CHAIN} {'is missing' if missing else 'cannot be read'}",))
    try:
        history = History.of(content)
    except (Broken, KeyError, TypeError) as problem:
        # Rows are looked at all the same: which of them was changed says more than which line.
        words = str(problem) if isinstance(problem, Broken) else "a line lacks what it has to hold"
        return Checked(None, (*_of_rows(folder, content), f"{records.CHAIN}, {words}"))
    problems = [problem for name in TABLES for problem in _of_table(folder, name, history)]
    problems += [text for line in history.documents.values() for text in _of_document(folder, line, history)]
    problems += _of_summary(folder, history)
    is_sealed = history.is_sealed and not problems
    return Checked(history.head if is_sealed else None, tuple(problems))


def _of_rows(folder: str, content: bytes) -> Iterator[str]:
    """What can be said of tables by a chain that is broken: the rows up to where it is."""
    history = History(is_packed=chain.is_packed(content))
    try:
        for line in chain.lines_in(content):
            history.add(line)
    except (Broken, KeyError, TypeError):
        pass
    for name in TABLES:
        rows = _rows_of(folder, name)
        lines = history.rows(name)
        if rows is not None and len(rows) >= len(lines):
            yield from _of_one(name, lines, rows[: len(lines)])


def _rows_of(folder: str, name: str) -> list[Content] | None:
    try:
        return chain.rows_in(files.read_regular(f"{folder}/{name}"))
    except FileNotFoundError:
        return None


def _of_table(folder: str, name: str, history: History) -> Iterator[str]:
    lines = history.rows(name)
    if history.is_packed and name == chain.OWN_CHAIN:
        return
    try:
        rows = _rows_of(folder, name)
    except (OSError, Broken) as error:
        yield f"{name} cannot be read: {error}"
        return
    if rows is None:
        if lines:
            yield f"{name} is missing"
        return
    # Of a trial that was killed between a line and its row.
    is_cut = not history.is_sealed and len(rows) == len(lines) - 1
    yield from _of_one(name, lines[:-1] if is_cut else lines, rows)


def _of_one(name: str, lines: Sequence[Line], rows: Sequence[Content]) -> Iterator[str]:
    """The first row that differs, in words."""
    for place, row in enumerate(rows):
        if place >= len(lines):
            yield f"{name}, row {place + 1} was added"
            return
        if lines[place].fits(row):
            continue
        where = f"{name}, row {place + 1}"
        was = next((other for other, line in enumerate(lines) if line.fits(row)), None)
        if len(rows) < len(lines) and was is not None:
            yield f"{where} of {len(lines)} was removed"
        elif len(rows) > len(lines) and any(lines[place].fits(other) for other in rows[place + 1 :]):
            yield f"{where} was added"
        elif was is not None:
            yield f"{where} was row {was + 1}"
        else:
            yield f"{where} was changed"
        return
    if len(rows) < len(lines):
        yield f"{name}, row {len(rows) + 1} of {len(lines)} was removed"


def _of_document(folder: str, line: Line, history: History) -> Iterator[str]:
    try:
        content = files.read_json(f"{folder}/{line.file}")
    except FileNotFoundError:
        if not (history.is_packed and line.file != records.SUMMARY):
            yield f"{line.file} is missing"
        return
    except (OSError, ValueError):
        yield f"{line.file} cannot be read"
        return
    wanted, found = line.fields["keys"], chain.keys_of(content)
    is_slim = history.is_packed and line.file != records.SUMMARY
    for key in sorted({*wanted, *found}):
        if is_slim and (key not in found or key in CUT_IN_ARCHIVES):
            continue
        if wanted.get(key) != found.get(key):
            what = "was removed" if key not in found else "was added" if key not in wanted else "was changed"
            yield f"{line.file}, {key!r} {what}" if key else f"{line.file} {what}"
            return


def _of_summary(folder: str, history: History) -> Iterator[str]:
    """Whether the summary is that of the end, and has its seal."""
    content = files.read_json_or_none(f"{folder}/{records.SUMMARY}")
    if not isinstance(content, dict):
        return  # Missing where there was one: said before.
    if records.SUMMARY not in history.documents:
        # A campaign gives trials up whose processes died; nothing is gained by a failure.
        if content.get("status") != "failed" or content.get("refereed"):
            yield f"{records.SUMMARY} is not the referee's"
    elif not history.is_sealed:
        yield f"{records.CHAIN} goes on after {records.SUMMARY}"
    elif content.get(SEAL) != history.head:
        yield f"{records.SUMMARY}, {SEAL!r} was changed"
