"""Reads new rows of a trial's measurements while they are written, and says what of them is sent."""

import csv
import io
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from algoperf import records

CLOCK = {
    records.SCORE: "clock/submission_sec",  # The last row of a trial has no other.
    records.SUBMISSION_TIME: "clock/submission_sec",
    records.EVAL_TIME: "clock/evaluation_sec",
    records.LOGGING_TIME: "clock/logging_sec",
    records.TOTAL_DURATION: "clock/total_sec",
}
NO_VALUES = (records.GLOBAL_STEP, records.PREEMPTION_COUNT)


class Row(NamedTuple):
    """A row of the measurements."""

    step: int
    is_evaluation: bool
    """Whether the harness wrote it; else the submission did."""
    values: Mapping[str, float]


class Place(NamedTuple):
    """How far a file has been read."""

    header: bytes = b""
    offset: int = 0


def new_rows(path: Path, place: Place) -> tuple[list[Row], Place]:
    """The complete rows after a place, and the place after them; all rows where the file was written anew since.

    Args:
      path: of the measurements.
      place: `Place()` for the beginning.
    """
    with open(path, "rb") as file:
        header = file.readline()
        if header == place.header and path.stat().st_size >= place.offset:
            file.seek(place.offset)
        offset, content = file.tell(), file.read()
    complete = content[: content.rfind(b"\n") + 1]
    names = next(csv.reader([header.decode().rstrip("\n")]), [])
    found = [_row(names, cells) for cells in csv.reader(io.StringIO(complete.decode()))]
    return [row for row in found if row is not None], Place(header, offset + len(complete))


def _row(names: list[str], cells: list[str]) -> Row | None:
    """None for what has no step or no number.

    >>> _row(["loss", "score", "global_step", "note"], ["0.5", "", "7", "warm"])
    Row(step=7, is_evaluation=False, values={'training/loss': 0.5})
    """
    filled = {name: cell for name, cell in zip(names, cells, strict=False) if cell}
    step = _number(filled.get(records.GLOBAL_STEP, ""))
    is_evaluation = records.SCORE in filled
    values = {}
    for name, cell in filled.items():
        value = _number(cell)
        if value is not None and name not in NO_VALUES:
            values[CLOCK.get(name, name) if is_evaluation else f"training/{name}"] = value
    if step is None or step != step or not values:
        return None
    return Row(int(step), is_evaluation, values)


def _number(cell: str) -> float | None:
    try:
        return float(cell)
    except ValueError:
        return None
