"""Describes and parses the text files of OGB's molpcba release, one array per file.

In a data folder, none with a header:

    raw/pcba/raw/num-node-list.csv.gz   atoms per molecule
    raw/pcba/raw/num-edge-list.csv.gz   bonds per molecule
    raw/pcba/raw/node-feat.csv.gz       9 codes per atom, molecule by molecule
    raw/pcba/raw/edge-feat.csv.gz       3 codes per bond, molecule by molecule
    raw/pcba/raw/edge.csv.gz            the two atoms of each bond, numbered from 0 in their molecule
    raw/pcba/raw/graph-label.csv.gz     a label per task and molecule: 0, 1 or nothing
    raw/pcba/split/scaffold/{train,valid,test}.csv.gz   molecules of the split, numbered from 0

All codes are small whole numbers (positions in lists of properties), so arrays hold them in one byte without loss.
"""

import dataclasses
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from algoperf.spec import UsageError
from workloads.ogbg.settings import NUM_EDGE_FEATURES, NUM_NODE_FEATURES

MISSING = -1
"""A label that was not measured."""

ROOT = "raw/pcba"
_BLOCK_BYTES = 4 << 20  # Text that is parsed at a time; bounds memory, because the float64 values take more.


@dataclasses.dataclass(frozen=True)
class Table:
    """One text file and the array that is made of it."""

    name: str
    """Name of the array."""
    file: str
    """Path relative to `ROOT`."""
    num_columns: int
    dtype: type[np.integer]
    largest: int
    may_be_missing: bool = False

    def path(self, folder: Path) -> Path:
        return folder / ROOT / self.file


def tables(num_tasks: int) -> tuple[Table, ...]:
    """All files, the largest first, so that threads finish at about the same time."""
    return (
        Table("nodes", "raw/node-feat.csv.gz", NUM_NODE_FEATURES, np.uint8, 255),
        Table("labels", "raw/graph-label.csv.gz", num_tasks, np.int8, 1, may_be_missing=True),
        Table("bonds", "raw/edge-feat.csv.gz", NUM_EDGE_FEATURES, np.uint8, 255),
        Table("bond_ends", "raw/edge.csv.gz", 2, np.uint16, 65_535),
        Table("node_counts", "raw/num-node-list.csv.gz", 1, np.uint16, 65_535),
        Table("bond_counts", "raw/num-edge-list.csv.gz", 1, np.uint16, 65_535),
        Table("train", "split/scaffold/train.csv.gz", 1, np.int32, 2**31 - 1),
        Table("validation", "split/scaffold/valid.csv.gz", 1, np.int32, 2**31 - 1),
        Table("test", "split/scaffold/test.csv.gz", 1, np.int32, 2**31 - 1),
    )


def read(table: Table, path: Path, on_bytes: Callable[[int], object] = lambda num_bytes: None) -> np.ndarray:
    """The content of `path`: (rows, columns) of `table.dtype`, or (rows,) where there is one column.

    Args:
      table: the expected columns and value range.
      path: a gzip file.
      on_bytes: is called with the number of bytes of the file that were read since the last call.

    Raises:
      UsageError: if the file is damaged or holds something else; names the file and the line.
    """
    import pyarrow  # Imported here, because training does not need it.

    parts = [np.empty((0, table.num_columns), table.dtype)]
    num_rows = 0
    try:
        for values in _blocks(table, path, on_bytes):
            parts.append(_checked(table, values, path, num_rows))
            num_rows += len(values)
    except pyarrow.ArrowInvalid as error:
        raise UsageError(f"{_explain(path, str(error))} Fetch it again.") from error
    except OSError as error:
        raise UsageError(
            f"{path} is damaged somewhere after line {num_rows:,}: {error}. Fetch it again."
        ) from error
    found = np.concatenate(parts)
    return found[:, 0] if table.num_columns == 1 else found


def _blocks(table: Table, path: Path, on_bytes: Callable[[int], object]) -> Iterator[np.ndarray]:
    """Yields arrays (n, columns) of float64 with NaN for empty fields."""
    import pyarrow as pa
    from pyarrow import csv

    columns = [f"field {index + 1}" for index in range(table.num_columns)]
    nothing = ["", "nan", "NaN"] if table.may_be_missing else []
    with pa.OSFile(str(path)) as file:
        reader = csv.open_csv(
            pa.CompressedInputStream(file, "gzip"),
            # With several threads pyarrow's error messages do not give the row.
            csv.ReadOptions(column_names=columns, use_threads=False, block_size=_BLOCK_BYTES),
            # Labels may all be missing, so an empty line would pass as a row; skipped, it shows up in the row count.
            csv.ParseOptions(quote_char=False, ignore_empty_lines=table.may_be_missing),
            csv.ConvertOptions(column_types=dict.fromkeys(columns, pa.float64()), null_values=nothing),
        )
        position = 0
        for block in reader:
            values = np.empty((block.num_rows, table.num_columns))
            for index, column in enumerate(block.columns):
                values[:, index] = column.to_numpy(zero_copy_only=False)
            yield values
            now = file.tell()
            on_bytes(now - position)
            position = now


def _checked(table: Table, values: np.ndarray, path: Path, first_row: int) -> np.ndarray:
    if table.may_be_missing:
        values = np.where(np.isnan(values), MISSING, values)
    least = MISSING if table.may_be_missing else 0
    # Casting NaN gives an arbitrary number; the comparison below finds it.
    with np.errstate(invalid="ignore"):
        found = np.clip(values, least, table.largest).astype(table.dtype)
    wrong = found != values
    if wrong.any():
        row, column = np.argwhere(wrong)[0]
        raise UsageError(
            f"{path}, line {first_row + row + 1:,}: field {column + 1} is {values[row, column]:g}, not a whole "
            f"number from 0 to {table.largest:,}. Fetch it again."
        )
    return found


def _explain(path: Path, message: str) -> str:
    """pyarrow's error message with the line number in front.

    >>> _explain(Path("a.gz"), "CSV parse error: Row #1: Expected 3 columns, got 2: 1,2")
    'a.gz, line 1: Expected 3 columns, got 2: 1,2.'
    >>> _explain(Path("a.gz"), "In CSV column #0: Row #7: CSV conversion error to double: invalid value 'x'")
    "a.gz, line 7: field 1: invalid value 'x'."
    >>> _explain(Path("a.gz"), "Empty CSV file")
    'a.gz: Empty CSV file.'
    """
    row = re.search(r"Row #(\d+): (?:CSV conversion error to \w+: )?(.*)", message, re.DOTALL)
    if not row:
        return f"{path}: {message}."
    column = re.search(r"column #(\d+)", message)
    field = f"field {int(column[1]) + 1}: " if column else ""
    return f"{path}, line {int(row[1]):,}: {field}{row[2][:200]}."
