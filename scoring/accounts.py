"""Where what others have kept of a trial says something else than its rows and its summary: parent, clock, checkpoint.

Who changes one of these records has to change all of them, and the parent's is written when the trial has ended. What
is not there is not compared: trials that were started by hand have no parent, archives no checkpoints.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf import files, records
from algoperf.run import checkpoint, clock, heartbeat, parent
from algoperf.run.summary import Summary
from scoring.evaluations import EvaluationLog

CLOSE = 1e-6
"""Numbers that were written twice are equal up to how they are written."""
LEDGER_SHARE, LEDGER_SEC = 0.01, 0.1
"""By how much the buckets of a ledger may miss its wall time (R6.5)."""
PARENT_SHARE, PARENT_SEC = 0.05, 15.0
"""By how much a process may last longer than its ledger says: Python's start and end, on a slow disk, each time."""

PROCESSOR_SHARE, PROCESSOR_SEC = 0.05, 1.0
"""By how much processor time may exceed what there is: the kernel counts in ticks, and the two are read one after the
other."""


def find(folder: str, summary: Summary, log: EvaluationLog) -> str | None:
    """The first contradiction in a few words; None where there is none.

    Args:
      folder: of the trial.
      summary: the trial's.
      log: its evaluations.
    """
    return next(_contradictions(Path(folder), summary, log), None)


def _contradictions(folder: Path, summary: Summary, log: EvaluationLog) -> Iterator[str]:
    yield from _of_ledger(summary, log)
    yield from _of_parent(folder, summary)
    yield from _of_processors(folder)
    yield from _of_heartbeat(folder, summary)
    yield from _of_checkpoint(folder, summary, log)


def _of_ledger(summary: Summary, log: EvaluationLog) -> Iterator[str]:
    ledger, seconds = summary.ledger, summary.submission_time_sec
    if ledger is None or seconds is None:
        return
    buckets = {name: _number(ledger.get(name)) for name in clock.BUCKETS}
    wall = _number(ledger.get("wall"))
    if not all(map(math.isfinite, (*buckets.values(), wall))):
        return
    charged = sum(buckets[name] for name in clock.SUBMISSION_BUCKETS)
    if not math.isclose(charged, seconds, rel_tol=CLOSE, abs_tol=1e-6):
        yield f"submission time {seconds:.2f} s in the summary, {charged:.2f} s in its ledger"
    total = sum(buckets.values())
    # The summary itself warns of a ledger that does not add up; one that says that it does is another thing.
    if ledger.get("balanced") and abs(total - wall) > LEDGER_SHARE * wall + LEDGER_SEC + CLOSE:
        yield f"the ledger adds up to {total:.2f} s and calls {wall:.2f} s the same"
    if log.total_sec > wall * (1 + CLOSE):
        yield f"{log.total_sec:.2f} s passed in the rows, {wall:.2f} s in the ledger"


def _of_parent(folder: Path, summary: Summary) -> Iterator[str]:
    processes = parent.read(folder)
    if not processes or summary.ledger is None or summary.crashes or summary.crashes is None:
        return  # What a process did that died is in no ledger but for its submission time.
    wall, seen = _number(summary.ledger.get("wall")), sum(one["wall_sec"] for one in processes)
    if seen > wall * (1 + PARENT_SHARE) + PARENT_SEC * len(processes):
        yield f"its processes lasted {seen:.2f} s, and its ledger knows of {wall:.2f} s"
    if len(processes) == (summary.preemption_count or 0) + 1 and wall > seen * (1 + PARENT_SHARE) + 1:
        yield f"its ledger is about {wall:.2f} s, and its processes lasted {seen:.2f} s"


def _of_processors(folder: Path) -> Iterator[str]:
    """A process that has used more processor time than all processors of its machine have in its wall time.

    Less than that says nothing: honest runs use one thread or all, and wait for devices, disks and other processes.
    """
    contents = [files.read_json_or_none(str(path)) for path in folder.glob(records.meta_data_file("*"))]
    counts = [_number(content.get("cpu_count")) for content in contents if isinstance(content, dict)]
    most = max(counts, default=math.nan)  # Its parts may have run on several machines.
    for one in parent.read(folder) or ():
        has = one["wall_sec"] * most * (1 + PROCESSOR_SHARE) + PROCESSOR_SEC
        if one["cpu_sec"] is not None and one["cpu_sec"] > has:
            yield f"a process used {one['cpu_sec']:.2f} s of {most:.0f} processors in {one['wall_sec']:.2f} s"


def _of_heartbeat(folder: Path, summary: Summary) -> Iterator[str]:
    beat, seconds = heartbeat.read(folder), summary.submission_time_sec
    if beat is None or not beat.is_over or seconds is None:
        return
    if not math.isclose(beat.submission_sec, seconds, rel_tol=CLOSE, abs_tol=1e-6):
        yield f"submission time {seconds:.2f} s in the summary, {beat.submission_sec:.2f} s in the last heartbeat"


def _of_checkpoint(folder: Path, summary: Summary, log: EvaluationLog) -> Iterator[str]:
    about = checkpoint.peek(folder) or {}
    progress = about.get("progress")
    if not isinstance(progress, dict):
        return  # Of an older version.
    times, results = progress.get("eval_times_sec"), progress.get("eval_results")
    if not isinstance(times, list) or not isinstance(results, list):
        return
    metric = f"validation/{summary.target_metric}"
    for index, (seconds, result) in enumerate(zip(times, results, strict=False)):
        if index >= len(log.submission_time_sec):
            yield f"{len(times)} evaluations in the checkpoint, {index} in the rows"
            return
        row = (log.global_step[index], log.submission_time_sec[index], log.validation[index])
        if (what := _difference(row, seconds, result, metric)) is not None:
            yield f"evaluation {index + 1}: {what}"
            return
    ledger = about.get("ledger")
    if isinstance(ledger, dict) and summary.submission_time_sec is not None:
        charged = sum(_number(ledger.get(name)) for name in clock.SUBMISSION_BUCKETS) / 1e9
        if charged > summary.submission_time_sec * (1 + CLOSE) + 1e-6:
            yield f"submission time {charged:.2f} s in the checkpoint, {summary.submission_time_sec:.2f} s at the end"


def _difference(
    row: tuple[float, float, float], seconds: object, result: Sequence[Any], metric: str
) -> str | None:
    """How a row differs from what a checkpoint says of the same evaluation."""
    step, row_sec, value = row
    if not isinstance(result, list) or len(result) != 2 or not isinstance(result[1], Mapping):
        return None
    kept = (
        (result[0], step, "step {:,.0f}"),
        (seconds, row_sec, "{:.2f} s"),
        (result[1].get(metric), value, metric + " {:g}"),
    )
    for there, here, words in kept:
        number = _number(there)
        if math.isnan(number) or math.isnan(here):
            continue
        if not math.isclose(number, here, rel_tol=CLOSE, abs_tol=1e-9):
            return f"{words.format(number)} in the checkpoint, {words.format(here)} in the rows"
    return None


def _number(value: object) -> float:
    return float(value) if isinstance(value, (int, float)) else math.nan
