"""`eval_measurements.csv` -> the three columns that scoring needs, and the first hit of the target.

Thousands of files are read, so a regular file takes the fast way (split the bytes, pick strided columns,
check with sums and sorts that run in C); anything irregular takes the careful way, row by row.
"""

import csv
import io
import math
from collections.abc import Callable, Sequence

from algoperf import direction, records
from algoperf.suites import WorkloadTargets
from scoring.results import EvaluationLog, Kind

MAX_STEP = 1e15
"""Updates up to here are exact as floats; nobody has done as many."""
TIME_COLUMNS = (records.SCORE, records.SUBMISSION_TIME)
"""Seconds on the submission clock; the first of these that is present is read."""

Report = Callable[..., None]


class UnreadableError(Exception):
    """The file has no usable evaluation; the message says why."""


class NoEvaluationsError(UnreadableError):
    """The file is whole, and has a header only."""


def parse(content: bytes, metric_name: str) -> EvaluationLog:
    """The evaluations in a file.

    A last row without a line end was cut while being written and is dropped, even if it looks complete: a cut
    number is still a number. An empty cell is NaN, and so becomes a value that the metric cannot have. Where
    `global_step` goes back, a resumed run overwrote what it did after its checkpoint, and the overwritten rows are
    dropped.

    Args:
      content: the bytes of the file.
      metric_name: the column `validation/<metric_name>` is read.

    Raises:
      UnreadableError: if the file is empty, lacks a column, or has no complete row.

    >>> parse(b"score,global_step,validation/loss\\n1.5,1,0.9\\n3.0,20,\\n", "loss").validation
    [0.9, nan]
    """
    oddities: list[tuple[Kind, str]] = []
    if b"\r" in content:  # Edited on Windows, or written by a csv module with its default line end.
        content = content.replace(b"\r\n", b"\n")
    end = content.rfind(b"\n") + 1
    if end < len(content) and b"\n" in content:
        oddities.append((Kind.TORN_ROW, content[end:].decode(errors="replace")[:60]))
    if end == 0:
        raise UnreadableError("the file is empty" if not content.strip() else "the header line is cut")
    header, rows = content[: content.index(b"\n")], content[content.index(b"\n") + 1 : end - 1]
    names = header.decode(errors="replace").strip().split(",")
    columns = locate(names, metric_name)
    if not rows.strip():
        raise NoEvaluationsError("the file has a header and no complete row")
    # `or`: the fast way declines what it does not understand, and reports nothing itself.
    log = regular(rows, len(names), columns) or careful(rows, len(names), columns, oddities)
    time, step, validation = drop_superseded(*log, oddities)
    if not time:
        first = f": {oddities[0][1]}" if oddities else ""
        raise UnreadableError(f"the file has no well-formed row{first}")
    if time != sorted(time):
        oddities.append((Kind.CLOCK_BACK, ""))
    validation = possible(validation, metric_name, oddities)
    if math.isnan(sum(validation)) and (num_nan := sum(map(math.isnan, validation))):
        oddities.append((Kind.NAN_METRIC, f"{num_nan} of {len(validation)} evaluations"))
    last = [in_last_row(rows, names, column) for column in (records.EVAL_TIME, records.TOTAL_DURATION)]
    return EvaluationLog(time, step, validation, tuple(oddities), *last)


def in_last_row(rows: bytes, names: Sequence[str], column: str) -> float:
    """The last row's number in a column; NaN where there is none."""
    try:
        return float(rows[rows.rfind(b"\n") + 1 :].split(b",")[names.index(column)])
    except (ValueError, IndexError):
        return math.nan


def possible(values: list[float], metric_name: str, oddities: list[tuple[Kind, str]]) -> list[float]:
    """The values of a metric, NaN in the place of those beyond its range: no model can have reached a target with them.

    A loss of infinity is in range: it is how runs diverge, and meets no target.
    """
    low, high = direction.range_of(metric_name)
    odd = [value for value in values if value < low or value > high]
    if not odd:
        return values
    oddities.append((Kind.IMPOSSIBLE_METRIC, f"{len(odd)} of {len(values)} evaluations, such as {odd[0]:g}"))
    return [math.nan if value < low or value > high else value for value in values]


def locate(names: Sequence[str], metric_name: str) -> tuple[int, int | None, int]:
    """Positions of the time, step (None if absent) and validation columns."""
    time = next((names.index(name) for name in TIME_COLUMNS if name in names), None)
    validation = f"validation/{metric_name}"
    if time is None or validation not in names:
        lacks = " or ".join(TIME_COLUMNS) if time is None else validation
        raise UnreadableError(f"no column {lacks}; it has {', '.join(names)}"[:300])
    return (
        time,
        names.index(records.GLOBAL_STEP) if records.GLOBAL_STEP in names else None,
        names.index(validation),
    )


Columns = tuple[list[float], list[float], list[float]]


def regular(rows: bytes, width: int, columns: tuple[int, int | None, int]) -> Columns | None:
    """Time, step and validation of rows that all have `width` plain cells; None where one does not."""
    cells = rows.replace(b"\n", b",").split(b",")
    num_rows = rows.count(b"\n") + 1
    # To Python '1_0' is 10; nobody who writes results means that.
    if len(cells) != num_rows * width or b"_" in rows:
        return None
    time, step, validation = columns
    try:
        times = list(map(float, cells[time::width]))
        steps = [math.nan] * num_rows if step is None else list(map(float, cells[step::width]))
        values = floats_or_nan(cells[validation::width])
    except ValueError:
        return None
    # One sum in place of a test of every value: it is finite only if all of them are.
    is_sound = math.isfinite(sum(times)) and min(times) > 0 and not any(map(is_odd_step, steps))
    return (times, steps, values) if is_sound else None


def is_odd_step(step: float) -> bool:
    """Whether a number cannot be a number of updates; NaN stands for a column that is not there."""
    return step < 0 or step > MAX_STEP


def floats_or_nan(cells: list[bytes]) -> list[float]:
    """Numbers; NaN for an empty cell."""
    try:
        return list(map(float, cells))
    except ValueError:
        return [float(cell or b"nan") for cell in cells]


def careful(
    rows: bytes, width: int, columns: tuple[int, int | None, int], oddities: list[tuple[Kind, str]]
) -> Columns:
    """As `regular`, row by row; a row that is short, long or not numeric is dropped and reported."""
    times: list[float] = []
    steps: list[float] = []
    values: list[float] = []
    time, step, validation = columns
    for number, row in enumerate(csv.reader(io.StringIO(rows.decode(errors="replace"))), start=2):
        try:
            if len(row) != width:
                raise ValueError(f"{len(row)} cells instead of {width}")
            at = number_in(row[time])
            if not 0 < at < math.inf:  # Nothing is reached before anything was done.
                raise ValueError(f"its time is {at:g}, and nothing is reached before the first update")
            at_step = math.nan if step is None else number_in(row[step] or "nan")
            if is_odd_step(at_step):
                raise ValueError(f"its global_step is {at_step:g}")
            new = at, at_step, number_in(row[validation] or "nan")
        except ValueError as error:
            oddities.append((Kind.BAD_ROW, f"line {number}: {error}"))
            continue
        for column, value in zip((times, steps, values), new):
            column.append(value)
    return times, steps, values


def number_in(cell: str) -> float:
    """The number in a cell, as everybody writes numbers; ValueError for what only Python takes for one.

    >>> number_in("1e3")
    1000.0
    >>> number_in("1_0")
    Traceback (most recent call last):
    ValueError: '1_0' is no number
    """
    if "_" in cell or not cell.isascii():
        raise ValueError(f"{cell!r} is no number")
    return float(cell)


def drop_superseded(
    time: list[float], step: list[float], validation: list[float], oddities: list[tuple[Kind, str]]
) -> Columns:
    """The history that counts after resumes: a row replaces earlier ones of later steps, and repeats."""
    if step == sorted(step) and len(set(step)) == len(step):
        return time, step, validation
    kept: list[int] = []
    for index, at_step in enumerate(step):
        while kept and (
            step[kept[-1]] > at_step or (step[kept[-1]] == at_step and time[kept[-1]] == time[index])
        ):
            kept.pop()
        kept.append(index)
    if len(kept) < len(step):
        oddities.append((Kind.SUPERSEDED_ROW, f"{len(step) - len(kept)} of {len(step)} rows"))
    return (
        [time[index] for index in kept],
        [step[index] for index in kept],
        [validation[index] for index in kept],
    )


def first_hit(validation: Sequence[float], targets: WorkloadTargets) -> int | None:
    """Index of the first evaluation that met the target; None if none did. NaN does not meet it.

    There is no interpolation between evaluations, and equality counts.
    """
    return next((index for index, value in enumerate(validation) if targets.is_met_by(value)), None)
