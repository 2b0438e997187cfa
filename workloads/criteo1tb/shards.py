"""Preparation: raw days -> one file of packed rows per day. One process per day; resumable.

In the data folder: `day_00.rows`, `day_01.rows`, ... (see `rows`), and `manifest.json`, written last.
`records/day_00.json` tells what a finished file was made of and what it holds, so that only what is missing is made.
"""

import hashlib
import multiprocessing
import os
from collections.abc import Iterator
from concurrent.futures import Future, ProcessPoolExecutor, wait
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from algoperf import files
from algoperf.data import manifest
from algoperf.data.bad_files import Search
from algoperf.data.download import require_disk
from algoperf.spec import UsageError
from workloads.criteo1tb import sources
from workloads.criteo1tb.rows import RowLayout, layout_of

FORMAT = 1  # Raise when prepared files change: older ones are then prepared again.
MAX_BYTES_IN_PROCESS = 1 << 29  # Fewer bytes are converted faster than worker processes start.


def rows_path(folder: Path, day: int) -> Path:
    return folder / f"day_{day:02d}.rows"


def _record_path(folder: Path, day: int) -> Path:
    return folder / "records" / f"day_{day:02d}.json"


# ---- reading ---------------------------------------------------------------------------------------------------


class Shards:
    """Rows of consecutive days under one numbering, memory-mapped.

    Args:
      folder: the folder with the prepared files.
      days: numbers of the days.
      layout: the layout of a row.
    """

    def __init__(self, folder: Path, days: range, layout: RowLayout):
        self._layout = layout
        self._maps = [
            # Mapped: the data are larger than memory, and processes of one host share the page cache.
            np.memmap(rows_path(folder, day), np.uint8, "r").reshape(-1, layout.row_bytes)
            for day in days
        ]
        self._ends = np.cumsum([len(rows) for rows in self._maps])

    def __len__(self) -> int:
        return int(self._ends[-1])

    def pieces(self, start: int, count: int) -> Iterator[np.ndarray]:
        """Rows start to start + count, one array per file; after the last row comes the first."""
        while count:
            start %= len(self)
            index = int(np.searchsorted(self._ends, start, side="right"))
            rows = self._maps[index]
            begin = start - (int(self._ends[index]) - len(rows))
            piece = rows[begin : begin + count]
            yield piece
            start += len(piece)
            count -= len(piece)

    def read(self, start: int, inputs: np.ndarray, targets: np.ndarray) -> None:
        """Fills (n, 39) `inputs` and (n, 1) `targets` with the n rows from `start` on."""
        position = 0
        for piece in self.pieces(start, len(inputs)):
            stop = position + len(piece)
            self._layout.unpack(piece, inputs[position:stop], targets[position:stop])
            position = stop


# ---- preparation -----------------------------------------------------------------------------------------------


def prepare(
    folder: Path, config: dict[str, Any], num_train: int, num_held_out: int, progress: bool = True
) -> None:
    """Converts all days, then writes the manifest. Continues where an earlier call stopped, by whole days.

    Args:
      folder: has the raw files in `folder/raw`; the results go here.
      config: 'bucket_counts', 'num_days', and other settings that the prepared files depend on.
      num_train: number of lines of all days but the last.
      num_held_out: number of lines of the last day.
      progress: whether to show a progress bar.

    Raises:
      UsageError: if raw files are missing, damaged or of another length, or the disk is too full.
    """
    if manifest.is_complete(folder, config, FORMAT):
        return
    days = sources.find_days(folder / "raw", config["num_days"])
    (folder / manifest.NAME).unlink(missing_ok=True)
    (folder / "records").mkdir(parents=True, exist_ok=True)
    todo = [day for day in days if not _is_converted(folder, day, config)]
    row_bytes = layout_of(config["bucket_counts"]).row_bytes
    total = num_train + num_held_out
    done = sum(manifest.size_of(rows_path(folder, day.number)) for day in days if day not in todo)
    for day in todo:
        rows_path(folder, day.number).unlink(missing_ok=True)
    require_disk(folder, total * row_bytes - done)
    with tqdm(
        total=total,
        initial=done // row_bytes,
        desc="convert",
        unit="row",
        unit_scale=True,
        disable=not progress,
    ) as bar:
        _convert_days(folder, todo, config, bar, row_bytes)

    records = [files.read_json(_record_path(folder, day.number)) for day in days]
    counts = [record["rows"] for record in records]
    for what, found, wanted in (
        (f"day {days[-1].number}", counts[-1], num_held_out),
        (f"days 0 to {days[-2].number}", sum(counts[:-1]), num_train),
    ):
        if found != wanted:
            lines = ", ".join(f"day {day.number}: {count:,}" for day, count in zip(days, counts, strict=True))
            raise UsageError(
                f"The raw files of {what} in {folder / 'raw'} have {found:,} lines; {wanted:,} are expected. "
                f"Fetch again what is too short ({lines})."
            )
    of_files = {
        rows_path(folder, day.number).name: {"bytes": record["bytes"], "sha256": record["sha256"]}
        for day, record in zip(days, records, strict=True)
    }
    manifest.write(folder, FORMAT, config, rows=counts, files=of_files)


def _made_of(day: sources.Day, config: dict[str, Any]) -> dict[str, Any]:
    """Everything that the bytes of a converted day depend on."""
    return {"format": FORMAT, "config": config, "sources": day.describe()}


def _is_converted(folder: Path, day: sources.Day, config: dict[str, Any]) -> bool:
    record = files.read_json_or_none(_record_path(folder, day.number))
    return (
        record is not None
        and record["made_of"] == _made_of(day, config)
        and record["bytes"] == manifest.size_of(rows_path(folder, day.number))
    )


def _convert_days(
    folder: Path, days: list[sources.Day], config: dict[str, Any], bar: tqdm, row_bytes: int
) -> None:
    search = Search()
    if sum(path.stat().st_size for day in days for path in day.files) <= MAX_BYTES_IN_PROCESS:
        for day in days:
            with search.going_on():
                bar.update(convert_day(folder, day, config))
        search.end()
        return
    before = bar.n
    # 'spawn': the caller may already run JAX or PyTorch threads, which do not survive a fork.
    with ProcessPoolExecutor(os.cpu_count(), multiprocessing.get_context("spawn")) as pool:
        waiting: set[Future[int]] = {pool.submit(convert_day, folder, day, config) for day in days}
        try:
            while waiting:
                finished, waiting = wait(waiting, timeout=1.0, return_when="FIRST_EXCEPTION")
                for future in finished:
                    with search.going_on():
                        future.result()
                written = sum(
                    max(
                        manifest.size_of(files.temporary_path(rows_path(folder, day.number))),
                        manifest.size_of(rows_path(folder, day.number)),
                        0,
                    )
                    for day in days
                )
                bar.update(before + written // row_bytes - bar.n)
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    search.end()


def convert_day(folder: Path, day: sources.Day, config: dict[str, Any]) -> int:
    """Writes the rows of one day and then its record; returns the number of rows."""
    layout = layout_of(config["bucket_counts"])
    digest = hashlib.sha256()
    num_rows = 0
    # Unbuffered: rows come in blocks of megabytes.
    with files.writing(rows_path(folder, day.number), buffering=0) as file:
        for path in day.files:
            for rows in sources.read_rows(path, layout):
                file.write(rows)
                digest.update(rows.data)
                num_rows += len(rows)
    record = {
        "made_of": _made_of(day, config),
        "rows": num_rows,
        "bytes": num_rows * layout.row_bytes,
        "sha256": digest.hexdigest(),
    }
    files.write_json(_record_path(folder, day.number), record)
    return num_rows
