"""Finds the raw day files, and reads their text as packed rows, block by block.

A day N is one of, in this order of preference:

    raw/day_N.gz                      as Criteo publishes it
    raw/day_N  or  raw/day_N.csv      the same, unpacked
    raw/day_N_00, raw/day_N_01, ...   pieces of whole lines, as an AlgoPerf installation has them

Memory does not depend on the size of a file.
"""

import dataclasses
import gzip
import re
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.spec import UsageError
from workloads.criteo1tb import parsing
from workloads.criteo1tb.rows import RowLayout

try:  # Optional: Intel's inflate takes a third of zlib's time.
    from isal import igzip, isal_zlib

    open_gzip = igzip.open
    # isal's stub declares its exception class as an exception.
    _DAMAGE: tuple[type[Exception], ...] = (OSError, EOFError, zlib.error, isal_zlib.error)  # type: ignore[assignment]
except ImportError:
    open_gzip = gzip.open
    _DAMAGE = (OSError, EOFError, zlib.error)

BLOCK_BYTES = 4 << 20  # Text in memory at a time; lines are far shorter.
ROWS_AT_A_TIME = 16_384


@dataclasses.dataclass(frozen=True)
class Day:
    """The files that hold the lines of one day, in order."""

    number: int
    files: tuple[Path, ...]

    def describe(self) -> list[list[Any]]:
        """Names and sizes of the files, to find out later whether they are still the converted ones."""
        return [[path.name, path.stat().st_size] for path in self.files]


def find_days(raw: Path, num_days: int) -> list[Day]:
    """Days 0 to num_days - 1.

    Raises:
      UsageError: if some are missing; names the days and the possible file names.
    """
    names = {path.name for path in raw.iterdir()} if raw.is_dir() else set()
    days = []
    for number in range(num_days):
        whole = [name for name in (f"day_{number}.gz", f"day_{number}", f"day_{number}.csv") if name in names]
        pieces = sorted(
            (name for name in names if re.fullmatch(rf"day_{number}_\d+", name)),
            key=lambda name: int(name.rsplit("_", 1)[1]),
        )
        if not whole and [int(name.rsplit("_", 1)[1]) for name in pieces] != list(range(len(pieces))):
            raise UsageError(f"A piece is missing between {raw / pieces[0]} and {pieces[-1]}.")
        days.append(Day(number, tuple(raw / name for name in whole[:1] or pieces)))
    missing = [str(day.number) for day in days if not day.files]
    if missing:
        raise UsageError(
            f"No file in {raw} for day {', '.join(missing)} of {num_days}. A day N is day_N.gz as Criteo "
            "publishes it, its text as day_N or day_N.csv, or pieces of that text as day_N_00, day_N_01, ..."
        )
    return days


def read_rows(path: Path, layout: RowLayout, block_bytes: int = BLOCK_BYTES) -> Iterator[np.ndarray]:
    """Yields the packed rows of a raw file as (n, row_bytes) uint8 arrays; each overwrites the previous one.

    Args:
      path: text, or gzip if its name ends in .gz.
      layout: of the rows.
      block_bytes: size of the text in memory; lines must be shorter.

    Raises:
      UsageError: for damaged gzip and for lines that cannot be parsed; names the file and the line.
    """
    parser = parsing.Parser(layout)
    text = np.zeros(block_bytes + parsing.SLACK_BYTES, np.uint8)
    view = text.data
    rows = np.zeros((ROWS_AT_A_TIME, layout.row_bytes), np.uint8)
    num_lines = size = 0
    with open_gzip(path, "rb") if path.suffix == ".gz" else path.open("rb", buffering=0) as file:
        while True:
            try:
                num_read = file.readinto(view[size:block_bytes])
            except _DAMAGE as error:
                raise UsageError(
                    f"{path} is damaged somewhere after line {num_lines:,}: {error}. Fetch it again."
                ) from error
            size += num_read
            if not num_read and size:
                text[size] = ord("\n")  # The last line of a file may have no line break.
                size += 1
            start = 0
            while True:
                parsed = parser.parse(text, start, size, rows)
                num_lines += parsed.num_rows
                start = parsed.stop
                if parsed.num_rows:
                    yield rows[: parsed.num_rows]
                if parsed.problem:
                    raise UsageError(
                        f"{path}, line {num_lines + 1:,}: {parsed.problem}. Fetch the file again."
                    )
                if parsed.num_rows < len(rows):
                    break
            if not num_read:
                return
            size -= start
            # The incomplete last line moves to the front. A copy, because source and target may overlap.
            text[:size] = text[start : start + size].copy()
            if size == block_bytes:
                raise UsageError(f"{path}, line {num_lines + 1:,}: is longer than {block_bytes:,} bytes.")
