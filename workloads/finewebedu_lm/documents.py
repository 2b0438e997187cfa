"""Reads and writes documents in Parquet files of the layout of FineWeb-Edu, a few at a time.

    <folder>/raw/sample/10BT/000_00000.parquet, 001_00000.parquet, …    column `text` and nine others

`pyarrow` is imported inside the functions that need it: training only reads prepared files.
"""

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from algoperf import files
from algoperf.spec import UsageError

PLACE = Path("sample") / "10BT"
"""Of the files in the data set, and below `raw`."""
TEXT = "text"
DOCUMENTS_PER_BATCH = 512
"""That are in memory at a time; most have 5 kB, a few some hundred."""

VALIDATION_SHARE = 64
"""One document in so many is for validation."""


def split_of(text: bytes) -> str:
    """'train' or 'validation': the first 32 bits of the SHA-256 of a document's UTF-8 text decide.

    They form a number from 0 to 2^32; documents below 2^32 / 64 are for validation. Documents with the same text are in
    the same split, whichever file they are in.

    >>> [split_of(f"Document {number}.".encode()) for number in (0, 53)]
    ['train', 'validation']
    """
    number = int.from_bytes(hashlib.sha256(text).digest()[:4], "big")
    return "validation" if number * VALIDATION_SHARE < 1 << 32 else "train"


def raw_files(raw: Path) -> list[Path]:
    """The Parquet files in the order in which they are read.

    Raises:
      UsageError: if there are none.
    """
    found = sorted((raw / PLACE).glob("*.parquet"))
    if not found:
        raise UsageError(f"No Parquet files in {raw / PLACE}.")
    return found


def texts(path: Path) -> Iterator[list[str | None]]:
    """All documents of a file in order, in lists of up to `DOCUMENTS_PER_BATCH`; None is a document without text.

    Raises:
      UsageError: if the file cannot be read, or has no column of texts.
    """
    import pyarrow
    from pyarrow import parquet

    advice = "Delete it, and fetch it again."
    try:
        with parquet.ParquetFile(path) as file:
            schema = file.schema_arrow
            if TEXT not in schema.names:
                raise UsageError(
                    f"{path} has no column {TEXT!r}, only {', '.join(schema.names) or 'none'}. {advice}"
                )
            kind = schema.field(TEXT).type
            if not (pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)):
                raise UsageError(f"{path}: column {TEXT!r} holds {kind}, not text. {advice}")
            # Without threads: there is a process per processor already.
            for batch in file.iter_batches(DOCUMENTS_PER_BATCH, columns=[TEXT], use_threads=False):
                yield batch.column(0).to_pylist()
    # A cut file is an ArrowInvalid, a damaged page an OSError, text that is not UTF-8 a UnicodeDecodeError.
    except (pyarrow.ArrowException, OSError, UnicodeDecodeError) as error:
        reason = str(error).split("\n", 1)[0].rstrip(".")
        raise UsageError(f"{path} is damaged: {reason}. {advice}") from error


def num_documents(path: Path) -> int:
    """As the end of a Parquet file says; 0 of one that cannot be read, which `texts` then complains about."""
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.read_metadata(path).num_rows
    except (pyarrow.ArrowException, OSError):
        return 0


def write(path: Path, documents: Sequence[str | None], rows_per_group: int = 1_000) -> None:
    """Writes documents with the columns and types that the published files have."""
    import pyarrow
    from pyarrow import parquet

    columns: dict[str, tuple[Any, Any]] = {
        TEXT: (pyarrow.string(), documents),
        "id": (pyarrow.string(), [f"<urn:number:{index}>" for index in range(len(documents))]),
        "dump": (pyarrow.string(), ["synthetic"] * len(documents)),
        "url": (pyarrow.string(), [f"{path.stem}/{index}" for index in range(len(documents))]),
        "file_path": (pyarrow.string(), [path.name] * len(documents)),
        "language": (pyarrow.string(), ["en"] * len(documents)),
        "language_score": (pyarrow.float64(), [1.0] * len(documents)),
        "token_count": (pyarrow.int64(), [len((text or "").split()) for text in documents]),
        "score": (pyarrow.float64(), [3.0] * len(documents)),
        "int_score": (pyarrow.int64(), [3] * len(documents)),
    }
    arrays = [pyarrow.array(values, kind) for kind, values in columns.values()]
    table = pyarrow.Table.from_arrays(arrays, names=list(columns))
    path.parent.mkdir(parents=True, exist_ok=True)
    with files.replacing(path) as temporary:
        parquet.write_table(table, temporary, row_group_size=rows_per_group)
