"""The chain over the records of a refereed trial: a hash for every row and file, which includes the one before.

`chain.jsonl` lies beside the records and has a line for each of these, in the order in which they were written:

    {"chain": 1, "began": "2026-01-31T12:00:00+00:00", "hash": "…"}            a start of the trial
    {"file": "meta_data_0.json", "keys": {"device": "…", …}, "hash": "…"}      a file of JSON, key by key
    {"file": "eval_measurements.csv", "row": 1, "step": 1, "hash": "…"}        a row
    {"file": "measurements.csv", "rows": 12, "head": "…", "hash": "…"}         rows with a chain of their own
    {"resumed": 1, "from": "…", "step": 50, "anew": [], "hash": "…"}           rows after that line do not count
    {"file": "summary.json", "keys": {…}, "hash": "…"}                         the end; its hash is the seal

It is a file of its own, because readers of the tables take every column for a metric. A row is written after its line;
what counts of it are the cells that are not empty, so that a new column changes no hash. Who makes all hashes anew is
found out by a seal that was published before (`scoring.seals`), and by nothing else. `chain_check` compares.
"""

import csv
import datetime
import hashlib
import io
import itertools
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algoperf import files, records
from algoperf.run.summary import SEAL

VERSION = 1
HASH_CHARS = 24
"""Hexadecimal digits of a hash, of the 64 that SHA-256 has."""
OWN_CHAIN = records.MEASUREMENTS
"""The file whose rows have a chain of their own, so that an archive without it still has the rest."""
PACKED = {"packed": True}
"""First line of a chain in a compact archive, which has not all files and keys."""

Content = list[tuple[str, str]]
"""(column, cell) of a row, sorted, without empty cells."""


class Broken(Exception):  # noqa: N818 - what a chain is
    """The chain itself is not what was written; the message says where."""


# ---- hashes ------------------------------------------------------------------------------------------------------


def link(before: str, fields: Mapping[str, Any], content: object = None) -> str:
    """The hash of a line.

    Args:
      before: the hash that it goes on from; '' for none.
      fields: of the line; its own hash does not count.
      content: of the row.
    """
    own = {name: value for name, value in fields.items() if name != "hash"}
    return _digest(f"{before}\n{_canonical(own)}\n{_canonical(content)}")


def keys_of(content: object) -> dict[str, str]:
    """Key -> digest of its value, of the content of a JSON file; the key is '' for what is no object.

    >>> sorted(keys_of({"device": "cpu", "seal": "not in its own hash"}))
    ['device']
    """
    if not isinstance(content, Mapping):
        return {"": _digest(_canonical(content))}
    return {str(key): _digest(_canonical(value)) for key, value in content.items() if key != SEAL}


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARS]


def row_content(names: Sequence[str], cells: Sequence[str]) -> Content:
    """What counts of a row."""
    pairs = itertools.zip_longest(names, cells, fillvalue="")
    return sorted((name, cell.replace("\r\n", "\n")) for name, cell in pairs if cell != "")


def rows_in(content: bytes) -> list[Content]:
    """The complete rows of a table.

    Raises:
      Broken: if it is none.
    """
    text = content.replace(b"\r\n", b"\n").decode(errors="replace")
    try:
        header, *rows = csv.reader(io.StringIO(text[: text.rfind("\n") + 1]))
    except csv.Error as error:
        raise Broken(f"it is no table ({error})") from None
    except ValueError:  # Not even a header.
        return []
    return [row_content(header, row) for row in rows]


# ---- lines -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """One of the chain."""

    number: int
    """In its file, from 1."""
    fields: Mapping[str, Any]
    before: str
    """The hash that it goes on from."""

    @property
    def file(self) -> str:
        return str(self.fields.get("file", ""))

    @property
    def hash(self) -> str:
        return str(self.fields["hash"])

    @property
    def is_row(self) -> bool:
        return "row" in self.fields

    def fits(self, content: object = None) -> bool:
        """Whether its hash is that of itself and this content."""
        return link(self.before, self.fields, content) == self.hash


def lines_in(content: bytes) -> Iterator[Line]:
    """The lines of a chain, without one that was cut when it was written.

    Raises:
      Broken: at a line that is none.
    """
    before = {True: "", False: ""}
    for number, text in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), 1):
        try:
            fields = json.loads(text)
        except (ValueError, RecursionError):
            fields = None
        if fields == PACKED:
            continue
        if not isinstance(fields, dict) or not isinstance(fields.get("hash"), str):
            raise Broken(f"line {number} is none")
        in_own = fields.get("file") == OWN_CHAIN and "row" in fields
        yield Line(number, fields, before[in_own])
        before[in_own] = fields["hash"]


def is_packed(content: bytes) -> bool:
    """Whether the chain is of a compact archive."""
    return content.startswith(json.dumps(PACKED).encode() + b"\n")


def packed(content: bytes) -> bytes:
    """The chain for a compact archive: without the rows that have a chain of their own."""
    kept = []
    for text in content[: content.rfind(b"\n") + 1].splitlines():
        fields = json.loads(text)
        if not (fields.get("file") == OWN_CHAIN and "row" in fields) and fields != PACKED:
            kept.append(text)
    return b"".join(text + b"\n" for text in (json.dumps(PACKED).encode(), *kept))


# ---- what counts -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Rows:
    """The last row of a file that counts, and those before it."""

    line: Line
    number: int
    earlier: "_Rows | None"

    def all(self) -> list[Line]:
        found: list[Line] = []
        at: _Rows | None = self
        while at is not None:
            found.append(at.line)
            at = at.earlier
        return found[::-1]


@dataclass
class History:
    """What the lines of a chain add up to."""

    head: str = ""
    """The last hash."""
    own_head: str = ""
    """That of the rows with a chain of their own."""
    documents: dict[str, Line] = field(default_factory=dict)
    """File of JSON -> its last line."""
    is_sealed: bool = False
    """Whether the last line is that of the summary."""
    is_packed: bool = False
    _rows: dict[str, "_Rows | None"] = field(default_factory=dict)
    _at: dict[str, dict[str, "_Rows | None"]] = field(default_factory=dict)
    """Hash -> the rows that counted when it was written."""

    @classmethod
    def of(cls, content: bytes) -> "History":
        """The history that a chain tells.

        Raises:
          Broken: if a line does not go on from the one before.
        """
        history = cls(is_packed=is_packed(content))
        for line in lines_in(content):
            history.add(line)
        return history

    def add(self, line: Line) -> None:
        """Takes one line more.

        Raises:
          Broken: if it is not what was written; rows are compared with their tables later.
        """
        self.is_sealed = False
        if line.is_row:
            earlier = self._rows.get(line.file)
            number = 1 if earlier is None else earlier.number + 1
            if line.fields["row"] != number:
                raise Broken(f"the line of {line.file}, row {number} is missing before line {line.number}")
            self._rows[line.file] = _Rows(line, number, earlier)
            if line.file == OWN_CHAIN:
                self.own_head = line.hash
                return
        elif not line.fits():
            raise Broken(f"line {line.number} was changed, or one before it")
        elif "keys" in line.fields:
            self.documents[line.file] = line
            self.is_sealed = line.file == records.SUMMARY
        elif "head" in line.fields and not self.is_packed and line.fields["head"] != self.own_head:
            raise Broken(f"line {line.number} ends other rows of {OWN_CHAIN} than those before it")
        elif "chain" in line.fields:
            self._start({})
        elif "resumed" in line.fields:
            self._start(self._left_at(line))
        self.head = line.hash
        self._at[line.hash] = dict(self._rows)

    def _start(self, rows: "dict[str, _Rows | None]") -> None:
        self._rows = rows
        self.documents.pop(records.SUMMARY, None)  # Of an end that was none.

    def _left_at(self, line: Line) -> "dict[str, _Rows | None]":
        """The rows that count after a trial was continued."""
        if line.fields["from"] not in self._at:
            raise Broken(f"line {line.number} goes on from a line that is not there")
        kept: dict[str, _Rows | None] = {}
        for name in self._at[line.fields["from"]]:
            at: _Rows | None = None
            rows = [] if name in line.fields["anew"] else self.rows(name, line.fields["from"])
            steps = (_step_of(row.fields) for row in rows)
            for row in (row for row, step in zip(rows, steps) if step <= line.fields["step"]):
                at = _Rows(row, 1 if at is None else at.number + 1, at)
            kept[name] = at
        return kept

    def rows(self, name: str, at: str | None = None) -> list[Line]:
        """The lines of the rows of a file that count, now or when a line with this hash was written."""
        last = (self._rows if at is None else self._at[at]).get(name)
        return [] if last is None else last.all()

    def num_rows(self, name: str) -> int:
        """How many rows of a file count."""
        last = self._rows.get(name)
        return 0 if last is None else last.number

    def has(self, head: str) -> bool:
        """Whether one of its lines has this hash."""
        return head in self._at


def _step_of(fields: Mapping[str, Any]) -> float:
    step = fields.get("step")
    return step if isinstance(step, (int, float)) else math.inf  # As `records.CsvLog` drops what has none.


# ---- writing -----------------------------------------------------------------------------------------------------


class Chain:
    """Writes the chain of one trial.

    Args:
      folder: of the trial.
    """

    def __init__(self, folder: Path):
        self._folder, self._path = folder, folder / records.CHAIN
        self._history: History | None = None
        self._marked = ""

    @property
    def head(self) -> str:
        """The last hash; '' before there is one."""
        return "" if self._history is None else self._history.head

    def start(self) -> None:
        """Begins a chain; of an earlier attempt in the same folder it goes on from the last hash."""
        if self._load():
            self._path.unlink(missing_ok=True)  # There is none, or none that can be gone on from.
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        self._write({"chain": VERSION, "began": now})

    def resume(self, count: int, step: int, head: str) -> list[tuple[bool, str]]:
        """Goes on from a checkpoint, when the tables hold what is left of them.

        Args:
          count: how often the trial was continued.
          step: of the checkpoint; rows after it have been dropped.
          head: the last hash when it was written.

        Returns:
          Where the records are not those that were written: (whether they must have been changed, a clause).
        """
        problems = self._load()
        history = self._history
        assert history is not None
        if not problems and not history.has(head):
            problems = [(True, f"{records.CHAIN} is not that of the checkpoint")]
        if problems:
            self._path.unlink(missing_ok=True)
            self.start()
            history, head = self._history, self.head
            assert history is not None
        lost = history.documents.get(records.LOST)
        if lost is not None and not self._is(lost):
            problems.append((True, f"{records.LOST} is not what was written"))
        tables = {name: self._table(name) for name in (records.EVAL_MEASUREMENTS, OWN_CHAIN)}
        anew = []
        for name, rows in tables.items():
            lines = [line for line in history.rows(name, head) if _step_of(line.fields) <= step]
            # What was logged after the checkpoint and in its step stays: the last row of a trial that had ended.
            later = [line for line in history.rows(name, history.head) if _step_of(line.fields) <= step]
            is_same = [line.fits(row) for line, row in zip(lines, rows)]
            if not all(is_same) or len(lines) != len(rows):
                anew.append(name)
                if len(later) == len(rows) and all(line.fits(row) for line, row in zip(later, rows)):
                    continue
                is_cut = all(is_same) and len(rows) < len(lines)  # As a power cut leaves it.
                problems.append((not is_cut, f"{name} has not the rows that were written"))
        self._write({"resumed": count, "from": head, "step": step, "anew": anew})
        for name in anew:
            for row in tables[name]:
                self._add_content(name, row)
        return problems

    def _load(self) -> list[tuple[bool, str]]:
        """Takes over the lines that are there, without one that was cut."""
        self._history, self._marked = History(), ""
        if not self._path.exists():
            return [(True, f"{records.CHAIN} is missing")]
        content = files.read_regular(self._path)
        try:
            self._history = History.of(content)
        except Broken as problem:
            return [(True, f"{records.CHAIN}, {problem}")]
        self._marked = self._history.own_head
        if not content.endswith(b"\n"):
            files.write_bytes(self._path, content[: content.rfind(b"\n") + 1])
        return []

    def _is(self, line: Line) -> bool:
        found = files.read_json_or_none(self._folder / line.file)
        return found is not None and keys_of(found) == line.fields["keys"]

    def _table(self, name: str) -> list[Content]:
        try:
            return rows_in(files.read_regular(self._folder / name))
        except (FileNotFoundError, Broken):
            return []

    def add_row(self, name: str, row: Mapping[str, object]) -> None:
        """Adds a row that is about to be written to a table."""
        cells = ["" if value is None else str(value) for value in row.values()]
        self._add_content(name, row_content(list(row), cells))

    def _add_content(self, name: str, content: Content) -> None:
        assert self._history is not None
        number = self._history.num_rows(name) + 1
        fields: dict[str, Any] = {"file": name, "row": number, "step": _plain_step(dict(content))}
        if name == OWN_CHAIN:
            self._write(fields, content, self._history.own_head)
        else:
            self._mark()
            self._write(fields, content)

    def _mark(self) -> None:
        """Enters the rows with a chain of their own into the chain, where there are new ones."""
        assert self._history is not None
        own_head = self._history.own_head
        if own_head != self._marked:
            self._marked = own_head
            self._write({"file": OWN_CHAIN, "rows": self._history.num_rows(OWN_CHAIN), "head": own_head})

    def add_document(self, name: str, content: object) -> None:
        """Adds a file of JSON.

        Args:
          name: of the file.
          content: as `files.read_json` gives it back.
        """
        if self._history is None:
            self._load()
        self._mark()
        self._write({"file": name, "keys": keys_of(content)})

    def add_written(self, *names: str) -> None:
        """Adds those of these files of JSON that are there."""
        for name in names:
            if (self._folder / name).exists():
                self.add_document(name, files.read_json(self._folder / name))

    def sync(self) -> None:
        """What was written is on the disk: a checkpoint that is must not be ahead of it."""
        if self._history is None:
            return
        self._mark()
        with files.storage_errors(self._path), open(self._path, "rb") as file:
            os.fsync(file.fileno())

    def _write(self, fields: dict[str, Any], content: object = None, before: str | None = None) -> None:
        history = self._history
        assert history is not None
        before = history.head if before is None else before
        fields["hash"] = link(before, fields, content)
        history.add(Line(0, fields, before))
        with files.storage_errors(self._path), open(self._path, "ab") as file:
            file.write(json.dumps(fields).encode() + b"\n")


def _plain_step(row: Mapping[str, str]) -> float | None:
    try:
        step = float(row.get(records.GLOBAL_STEP, ""))
    except ValueError:
        return None
    return step if math.isfinite(step) else None
