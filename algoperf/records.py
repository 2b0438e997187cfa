"""The results folder: the one place that knows its file names and columns. Reader and writer; no framework.

    <experiment_dir>/<submission>/study_<s>/<workload>_<framework>/trial_<t>/
        hparams.json  meta_data_<n>.json  flags_<n>.json  measurements.csv  eval_measurements.csv
        summary.json  checkpoint_<step>  stop.json

Names and columns are AlgoPerf's, so its tools read ours. JSON is replaced atomically; CSV rows are appended and
flushed, so that a crash can tear the last line at most, which `read_csv` tolerates.
"""

import csv
import io
import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf import files
from algoperf.files import read_json
from algoperf.spec import Tensor, UsageError

MEASUREMENTS = "measurements.csv"
EVAL_MEASUREMENTS = "eval_measurements.csv"
HPARAMS = "hparams.json"
SUMMARY = "summary.json"
STOP = "stop.json"
"""Put beside a running trial by whoever stops it for good; holds the reason."""
CHECKPOINT_PREFIX = "checkpoint_"

GLOBAL_STEP = "global_step"
PREEMPTION_COUNT = "preemption_count"
SCORE = "score"
SUBMISSION_TIME = "accumulated_submission_time"
EVAL_TIME = "accumulated_eval_time"
LOGGING_TIME = "accumulated_logging_time"
TOTAL_DURATION = "total_duration"

STATUSES = (
    *("target_reached", "budget_exhausted", "submission_ended", "max_steps", "diverged", "failed"),
    "stopped",  # From outside and for good: see STOP.
)


def trial_folder(
    experiment_dir: Path | str, experiment_name: str, workload: str, framework: str, trial: int
) -> Path:
    """Folder of one trial; `experiment_name` is '<submission>/study_<s>', `trial` counts from 1."""
    return Path(experiment_dir) / experiment_name / f"{workload}_{framework}" / f"trial_{trial}"


def flags_file(preemption_count: int | str) -> str:
    return f"flags_{preemption_count}.json"


def meta_data_file(preemption_count: int | str) -> str:
    return f"meta_data_{preemption_count}.json"


_OWN_NAMES = re.compile(
    "|".join(
        [
            *map(re.escape, (MEASUREMENTS, EVAL_MEASUREMENTS, HPARAMS, SUMMARY, STOP)),
            rf"{CHECKPOINT_PREFIX}\d+",
            # The names up to the number stand once, above.
            *(re.escape(name("N")).replace("N", r"\d+") for name in (flags_file, meta_data_file)),
        ]
    )
)


def is_own(name: str) -> bool:
    """Whether a file of this name in the folder of a trial is one that trials write, finished or half.

    >>> [is_own(name) for name in ("flags_0.json", ".checkpoint_5.tmp", "my_notes.json")]
    [True, True, False]
    """
    whole = name[1:-4] if name.startswith(".") and name.endswith(".tmp") else name
    return _OWN_NAMES.fullmatch(whole) is not None


def clear(folder: Path) -> None:
    """Removes the records and checkpoints of earlier runs of a trial; other files in its folder stay."""
    for path in folder.glob("*"):
        if path.is_file() and is_own(path.name):
            path.unlink()


def newest(folder: Path, name: Callable[[str], str]) -> Path | None:
    """The file that the last start of a trial wrote, None where there is none.

    Args:
      folder: of the trial.
      name: `flags_file` or `meta_data_file`.
    """
    numbers = {path: path.stem.rpartition("_")[-1] for path in folder.glob(name("*"))}
    starts = {path: int(number) for path, number in numbers.items() if number.isdecimal()}
    return max(starts, key=starts.__getitem__, default=None)


def newest_meta_data(folder: Path) -> dict[str, Any]:
    """What the last start of a trial wrote about itself; empty where there is nothing."""
    path = newest(folder, meta_data_file)
    return {} if path is None else read_json(path)


def write_json(path: Path, content: Any) -> None:
    """Writes strict JSON that survives a power cut; what is neither JSON nor a number becomes its `str`."""
    files.write_json(path, _plain(content), durable=True, default=str)


def _plain(value: Any) -> Any:
    """NaN and infinity become null: they are not JSON."""
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def read_csv(path: Path | str) -> dict[str, list[float]]:
    """Column name -> values, NaN where a cell is empty or no number; a torn last line is left out.

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
        for name, cell in zip(header, [*row, *[""] * (len(header) - len(row))]):
            columns[name].append(_number(cell))
    return columns


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


class CsvLog:
    """Appends rows to a CSV file in constant time; a row with a new column rewrites the file once.

    Args:
      path: the file; rows that it holds already are kept.
      last_step: rows with a larger global_step are dropped first (they come from work that was lost).
    """

    def __init__(self, path: Path, last_step: float = math.inf):
        self._path = path
        self._header: list[str] = []
        if path.exists():
            text = path.read_text()
            rows = list(csv.reader(io.StringIO(text[: text.rfind("\n") + 1])))
            if rows:
                self._header = rows[0]
                self._rewrite([row for row in rows[1:] if self._step_of(row) <= last_step])
        self._file = open(path, "a", newline="")  # noqa: SIM115 - kept open for the run

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
        """Adds one row; columns start as the sorted keys of the first, new ones come on the right."""
        new = sorted(key for key in row if key not in self._header)
        if new:
            self._file.close()
            text = self._path.read_text() if self._path.exists() else ""
            rows = list(csv.reader(io.StringIO(text)))[1:]
            self._header = [*self._header, *new]
            self._rewrite(rows)
            self._file = open(self._path, "a", newline="")  # noqa: SIM115
        csv.writer(self._file, lineterminator="\n").writerow([row.get(name, "") for name in self._header])
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class MetricsLogger:
    """What submissions and the harness log with; AlgoPerf's interface.

    A submission's values may be device scalars that are still being computed: they are kept and read later, off
    the clock, so that logging costs it a list append and no synchronisation.

    Args:
      folder: of the trial.
      to_float: reads a device scalar.
      preemption_count: restarts so far.
      last_step: rows after it are dropped.
    """

    PENDING_LIMIT = 256

    def __init__(
        self,
        folder: Path,
        to_float: Callable[[Tensor], float],
        preemption_count: int = 0,
        last_step: float = math.inf,
    ):
        self._measurements = CsvLog(folder / MEASUREMENTS, last_step)
        self._evaluations = CsvLog(folder / EVAL_MEASUREMENTS, last_step)
        self._to_float = to_float
        self._preemption_count = preemption_count
        self._pending: list[dict[str, Any]] = []

    def append_scalar_metrics(
        self,
        metrics: Mapping[str, float | Tensor],
        global_step: int,
        preemption_count: int | None = None,
        is_eval: bool = False,
    ) -> None:
        """Logs scalars of one step; `metrics` itself is left as it is."""
        row = {**metrics, GLOBAL_STEP: global_step}
        if is_eval or preemption_count is not None:
            row[PREEMPTION_COUNT] = self._preemption_count if preemption_count is None else preemption_count
        self._pending.append(row)
        if is_eval:
            self._evaluations.append(self._read(row))
        if len(self._pending) > self.PENDING_LIMIT:
            self.flush(keep=self.PENDING_LIMIT // 2)  # The oldest were computed long ago.

    def _read(self, row: Mapping[str, object]) -> dict[str, float | str]:
        return {key: self._scalar(key, value) for key, value in row.items()}

    def _scalar(self, key: str, value: object) -> float | str:
        if isinstance(value, (int, float, str)):
            return value
        try:
            return self._to_float(value)
        except (TypeError, ValueError) as error:
            raise UsageError(
                f"append_scalar_metrics got {key!r} = {str(value)[:80]}, which is not one number: {error}."
            ) from None

    def flush(self, keep: int = 0) -> None:
        """Writes pending rows but the last `keep`."""
        end = len(self._pending) - keep
        rows = self._pending[:end]
        del self._pending[:end]  # First, so that a row that cannot be written does not come back.
        for row in rows:
            self._measurements.append(self._read(row))

    def finish(self) -> None:
        """Writes what is pending and closes the files."""
        try:
            self.flush()
        finally:
            self._measurements.close()
            self._evaluations.close()
