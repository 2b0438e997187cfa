"""The results folder of a trial: file names, columns, reader and writer. Imports no framework.

    <experiment_dir>/<submission>/study_<s>/<workload>_<framework>/trial_<t>/
        hparams.json  meta_data_<n>.json  flags_<n>.json  measurements.csv  eval_measurements.csv
        summary.json  checkpoint_<step>  stop.json  lost.json  heartbeat.json  parent.json  chain.jsonl  log_to.json

Names and columns are AlgoPerf's, so its tools can read our results; the last line's are additions. JSON
files are replaced atomically. CSV rows are appended and flushed, so a crash can damage only the last line, which
`read_csv` leaves out. `algoperf.run.summary` knows the content of summary.json.
"""

import csv
import errno
import io
import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from algoperf import files, typed_json
from algoperf.files import read_json, read_regular
from algoperf.spec import Tensor, UsageError

MEASUREMENTS = "measurements.csv"
EVAL_MEASUREMENTS = "eval_measurements.csv"
HPARAMS = "hparams.json"
SUMMARY = "summary.json"
STOP = "stop.json"
"""Written beside a running trial that is stopped and not to be continued, with the reason (early stops)."""
LOST = "lost.json"
"""Of refereed trials: time that was used up after a checkpoint by a process that then died; it counts."""
CHAIN = "chain.jsonl"
"""Of refereed trials: a hash for every row and file, see `algoperf.run.chain`."""
SOURCE = "source"
"""Beside the workloads of a study: copies of the source of submissions that ran refereed."""
HEARTBEAT = "heartbeat.json"
"""Of trials without a referee: how far the clock is, once a second; see `algoperf.run.heartbeat`."""
PARENT = "parent.json"
"""What the process that started the trial's processes has measured of them; see `algoperf.run.parent`."""
LOG_TO = "log_to.json"
"""How far each destination of `--log_to` has got; see `algoperf.log_to.follower`."""
CHECKPOINT_PREFIX = "checkpoint_"
STUDY = re.compile(r"study_(0|[1-9]\d{0,8})")
"""Name of the folder of a study; without leading zeros: study_1 and study_01 would be one study."""

GLOBAL_STEP = "global_step"
PREEMPTION_COUNT = "preemption_count"
SCORE = "score"
SUBMISSION_TIME = "accumulated_submission_time"
EVAL_TIME = "accumulated_eval_time"
LOGGING_TIME = "accumulated_logging_time"
TOTAL_DURATION = "total_duration"

STATUSES = (
    *("target_reached", "budget_exhausted", "submission_ended", "max_steps", "diverged", "failed"),
    "stopped",  # By another process, not to be continued: see STOP.
)


BUSY = "Other processes use "
"""How the warning of a trial begins that ran on a busy machine (`machine.busy_warning`); scoring counts them."""


def trial_folder(
    experiment_dir: Path | str, experiment_name: str, workload: str, framework: str, trial: int
) -> Path:
    """Folder of one trial; `experiment_name` is '<submission>/study_<s>', `trial` counts from 1."""
    return Path(experiment_dir) / experiment_name / f"{workload}_{framework}" / f"trial_{trial}"


def flags_file(preemption_count: int | str) -> str:
    """Name of the file with the settings of the n-th start of a trial, from 0."""
    return f"flags_{preemption_count}.json"


def meta_data_file(preemption_count: int | str) -> str:
    """Name of the file with machine, versions and identity at the n-th start of a trial, from 0."""
    return f"meta_data_{preemption_count}.json"


_FIXED = (
    *(MEASUREMENTS, EVAL_MEASUREMENTS, HPARAMS, SUMMARY, STOP),
    *(LOST, HEARTBEAT, PARENT, CHAIN, LOG_TO),
)
_OWN_NAMES = re.compile(
    "|".join(
        [
            *map(re.escape, _FIXED),
            rf"{CHECKPOINT_PREFIX}\d+",
            # Made from the functions above, so that each name is written once.
            *(re.escape(name("N")).replace("N", r"\d+") for name in (flags_file, meta_data_file)),
        ]
    )
)

# As `files` names them: with a part of its own where several processes may write at once.
_HALF_WRITTEN = re.compile(r"\.(.+?)(?:\.[0-9a-f]{8})?\.tmp")


def is_own(name: str) -> bool:
    """Whether a trial writes files of this name, temporary names of unfinished files included.

    >>> [is_own(name) for name in ("flags_0.json", ".checkpoint_5.tmp", ".flags_0.json.0a1b2c3d.tmp", "my_notes.json")]
    [True, True, True, False]
    """
    half = _HALF_WRITTEN.fullmatch(name)
    return _OWN_NAMES.fullmatch(half[1] if half else name) is not None


def clear(folder: Path) -> None:
    """Removes the records and checkpoints of earlier runs of a trial; other files in its folder stay."""
    for path in folder.glob("*"):
        if path.is_file() and is_own(path.name):
            path.unlink()


def move(folder: Path, place: Path) -> None:
    """Moves what `clear` would remove into a folder of the same file system, which is made."""
    place.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*"):
        if path.is_file() and is_own(path.name):
            path.rename(place / path.name)


def newest(folder: Path, name: Callable[[str], str]) -> Path | None:
    """The file with the highest number, written by the last start of a trial; None if there is none.

    Args:
      folder: the folder of the trial.
      name: `flags_file` or `meta_data_file`.
    """
    numbers = {path: path.stem.rpartition("_")[-1] for path in folder.glob(name("*"))}
    starts = {path: int(number) for path, number in numbers.items() if number.isdecimal()}
    return max(starts, key=starts.__getitem__, default=None)


def newest_meta_data(folder: Path) -> dict[str, Any]:
    """The content of the newest meta_data file of a trial; empty if there is none.

    Raises:
      UsageError: if it holds something else.
    """
    path = newest(folder, meta_data_file)
    if path is None:
        return {}
    try:
        return typed_json.value_of(dict[str, Any], read_json(path))
    except (OSError, ValueError) as error:
        if isinstance(error, OSError) and error.errno != errno.EINVAL:
            raise  # Says itself which file it cannot read.
        found = error.strerror if isinstance(error, OSError) else str(error)
        raise UsageError(
            f"{path} is damaged ({found}): restore it, or run the trial again with --overwrite."
        ) from None


def write_json(path: Path, content: Any) -> None:
    """Writes strict JSON, durably (see `files.writing`); a value that JSON does not know becomes its `str`."""
    files.write_json(path, _plain(content), durable=True, default=str)


def as_read(content: Any) -> Any:
    """What `read_json` gives back of content that `write_json` has written."""
    return json.loads(json.dumps(_plain(content), default=str))


def _plain(value: Any) -> Any:
    """The content with NaN and infinity replaced by None, because strict JSON has neither."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def read_csv(path: Path | str) -> dict[str, list[float]]:
    """Column name -> values; NaN for a cell that is empty or no number. An incomplete last line is left out.

    Raises:
      FileNotFoundError: if there is no such file.
    """
    text = Path(path).read_text()
    complete = text[: text.rfind("\n") + 1]
    rows = list(csv.reader(io.StringIO(complete)))
    if not rows:
        return {}
    header, *body = rows
    columns: dict[str, list[float]] = {name: [] for name in header}
    for row in body:
        # A row may be shorter than the header: it was written before a column was added.
        for name, cell in zip(header, [*row, *[""] * (len(header) - len(row))]):
            columns[name].append(_number(cell))
    return columns


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _text_of(path: Path) -> str:
    try:
        return read_regular(path).decode()
    except UnicodeDecodeError as error:
        raise UsageError(
            f"{path} is damaged: byte {error.start + 1} is no text. Restore it, or delete it to go on without its rows."
        ) from None


class RowLog(Protocol):
    """Where rows go, one after the other."""

    def put_back(self, wanted: Sequence[Mapping[str, object]]) -> None:
        """Adds rows that are missing."""

    def append(self, row: Mapping[str, object]) -> None:
        """Adds one row."""

    def head(self, columns: Sequence[str]) -> None:
        """Says which columns there would be, where there are no rows."""

    def close(self) -> None:
        """To be called when no more rows come."""


class CsvLog:
    """Appends rows to a CSV file. A row takes constant time, except that one with a new column rewrites the file.

    Args:
      path: the file; its existing rows are kept.
      last_step: existing rows with a larger global_step are dropped: a resumed run does those steps again.
    """

    def __init__(self, path: Path, last_step: float = math.inf):
        self._path = path
        self._header: list[str] = []
        if path.exists():
            text = _text_of(path)
            rows = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
            if rows[1:]:  # A header alone is of a run that came to nothing.
                self._header = rows[0]
                self._rewrite([row for row in rows[1:] if self._step_of(row) <= last_step])
            else:
                path.unlink()  # With what is left of a row that was cut.
        self._open()

    def _open(self) -> None:
        with files.storage_errors(self._path):
            self._file = open(self._path, "a", newline="")  # noqa: SIM115 - kept open for the run

    def put_back(self, wanted: Sequence[Mapping[str, object]]) -> None:
        """Adds rows that are missing, in the order of their steps; nothing changes where none is."""
        rows = self._rows()
        there = {self._step_of(row) for row in rows}
        lost = [row for row in wanted if row[GLOBAL_STEP] not in there]
        if not lost:
            return
        self._header += sorted({name for row in lost for name in row} - set(self._header))
        rows += [[str(row.get(name, "")) for name in self._header] for row in lost]
        self._file.close()
        self._rewrite(
            sorted(rows, key=lambda row: self._step_of([*row, *[""] * (len(self._header) - len(row))]))
        )
        self._open()

    def _rows(self) -> list[list[str]]:
        """All rows of the file but the header."""
        text = _text_of(self._path) if self._path.exists() else ""
        return list(csv.reader(io.StringIO(text)))[1:]

    def _step_of(self, row: Sequence[str]) -> float:
        if GLOBAL_STEP not in self._header or len(row) != len(self._header):
            return math.inf
        return _number(row[self._header.index(GLOBAL_STEP)])

    def _rewrite(self, rows: Sequence[Sequence[str]]) -> None:
        with files.writing(self._path, "w", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(self._header)
            writer.writerows([*row, *[""] * (len(self._header) - len(row))] for row in rows)

    def append(self, row: Mapping[str, object]) -> None:
        """Adds one row. The columns are the sorted keys of the first row; later new keys are added on the right."""
        new = sorted(key for key in row if key not in self._header)
        if new:
            self._file.close()
            rows = self._rows()
            self._header = [*self._header, *new]
            self._rewrite(rows)
            self._open()
        with files.storage_errors(self._path):
            csv.writer(self._file, lineterminator="\n").writerow([row.get(name, "") for name in self._header])
            # To the kernel, not to the disk: rows survive a crash of the process, at no cost to speak of.
            self._file.flush()

    def close(self) -> None:
        with files.storage_errors(self._path):  # Rows that could not be written before are tried once more.
            self._file.close()

    def head(self, columns: Sequence[str]) -> None:
        """Writes a header into a file that has none yet."""
        if not self._header and columns:
            self._header = sorted(columns)
            csv.writer(self._file, lineterminator="\n").writerow(self._header)


class Follower(Protocol):
    """Sends rows that have been written to where people look. Nothing that it does ends or changes a run."""

    def send(self, memory: Mapping[str, float]) -> None:
        """Sends the rows since the last call; the clock stands still. `memory` is the peak so far, by name."""

    def end(self, status: str | None) -> None:
        """Sends the rest, and how the trial has ended; None where a later command may continue it."""


class MetricsLogger:
    """The logger of submissions and the harness; its interface is AlgoPerf's.

    A submission may log device scalars that are still being computed. They are kept in a list and read later, off the
    clock, so that logging does not make the submission wait for the device.

    Args:
      folder: the folder of the trial.
      to_float: converts a device scalar to a float, waiting for it.
      preemption_count: number of restarts so far.
      last_step: existing rows after this step are dropped.
    """

    # Bounds the device memory of logged scalars in runs with rare evaluations.
    PENDING_LIMIT = 256

    def __init__(
        self,
        folder: Path,
        to_float: Callable[[Tensor], float],
        preemption_count: int = 0,
        last_step: float = math.inf,
    ):
        self._measurements = self._opened(folder / MEASUREMENTS, last_step)
        self._evaluations = self._opened(folder / EVAL_MEASUREMENTS, last_step)
        self._to_float = to_float
        self._preemption_count = preemption_count
        self._pending: list[dict[str, Any]] = []
        self.follower: Follower | None = None
        """Set where there is one (`--log_to`)."""

    def _opened(self, path: Path, last_step: float) -> RowLog:
        """Where rows of a file go."""
        return CsvLog(path, last_step)

    def append_scalar_metrics(
        self,
        metrics: Mapping[str, float | Tensor],
        global_step: int,
        preemption_count: int | None = None,
        is_eval: bool = False,
    ) -> None:
        """Logs the scalars of one step; `metrics` is not changed. Calls for the same step share a row."""
        if not is_eval and preemption_count is None and self._joins(metrics, global_step):
            self._pending[-1].update(metrics)
            return
        row = {**metrics, GLOBAL_STEP: global_step}
        if is_eval or preemption_count is not None:
            row[PREEMPTION_COUNT] = self._preemption_count if preemption_count is None else preemption_count
        self._pending.append(row)
        if is_eval:
            self._evaluations.append(self._read(row))
        if len(self._pending) > self.PENDING_LIMIT:
            self.flush(keep=self.PENDING_LIMIT // 2)  # The oldest are computed by now: no wait.

    def _joins(self, metrics: Mapping[str, object], global_step: object) -> bool:
        """Whether the last row, not yet written, is of the same step and has none of these columns."""
        last = self._pending[-1] if self._pending else {}
        step = last.get(GLOBAL_STEP)
        # Of exact types: to compare a step that is still to be computed would wait for the device.
        is_same = type(step) is int and type(global_step) is int and step == global_step
        return is_same and PREEMPTION_COUNT not in last and last.keys().isdisjoint(metrics)

    def put_back(self, evaluations: Sequence[Mapping[str, float]]) -> None:
        """Adds rows of evaluations that a crash has lost, and whoever saved them has not."""
        self._evaluations.put_back(evaluations)

    def _read(self, row: Mapping[str, object]) -> dict[str, float | str]:
        return {key: self._scalar(key, value) for key, value in row.items()}

    def _scalar(self, key: str, value: object) -> float | str:
        if isinstance(value, str):
            return value.encode(errors="replace").decode()  # Halves of characters cannot be written.
        if isinstance(value, (int, float)):
            return value
        try:
            return self._to_float(value)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"append_scalar_metrics got {key!r} = {str(value)[:80]}, which is not one number: {error}."
            ) from None

    def flush(self, keep: int = 0) -> None:
        """Writes all pending rows except the last `keep`."""
        end = len(self._pending) - keep
        rows = self._pending[:end]
        del self._pending[:end]  # First: a row that cannot be written must not fail at every flush.
        for row in rows:
            self._measurements.append(self._read(row))

    def finish(self, columns_without_rows: Sequence[str] = ()) -> None:
        """Writes what is pending and closes the files.

        Args:
          columns_without_rows: header of the evaluations' file where there were none, or readers would take it for cut.
        """
        try:
            self.flush()
        finally:
            self._measurements.close()
            self._evaluations.head(columns_without_rows)
            self._evaluations.close()


def evaluation_columns(metric_name: str, has_test_split: bool = True) -> tuple[str, ...]:
    """The least that the file of evaluations holds."""
    names = ("train", "validation", "test") if has_test_split else ("train", "validation")
    splits = tuple(f"{split}/{metric_name}" for split in names)
    times = (SCORE, SUBMISSION_TIME, EVAL_TIME, LOGGING_TIME, TOTAL_DURATION)
    return (*splits, *times, GLOBAL_STEP, PREEMPTION_COUNT)


_OF_THE_HARNESS = (SCORE, SUBMISSION_TIME, EVAL_TIME, LOGGING_TIME, TOTAL_DURATION)


def check_name(name: object) -> None:
    """Raises UsageError for a name of a logged scalar that could be taken for one of the harness's."""
    if not isinstance(name, str) or not name.isprintable():
        raise UsageError(f"append_scalar_metrics got the name {name!r}: names are texts of one line.")
    if name in _OF_THE_HARNESS or name.startswith(("validation/", "test/")):
        raise UsageError(
            f"append_scalar_metrics got the name {name!r}, which is the harness's own: choose another, such as "
            f"'own/{name}'."
        )
