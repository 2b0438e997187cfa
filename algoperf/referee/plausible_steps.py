"""A step cannot beat the hardware: how long one takes at least, and how long those of a trial took."""

import statistics
from collections.abc import Sequence

from algoperf.referee.book import Book
from algoperf.referee.findings import FOR_REVIEW

SAFETY = 0.5
"""Of the bound. The measured peak may be too low on a busy machine, fast convolutions need fewer operations than are
counted (2.25 times, for the usual ones), and a gradient every other step is allowed (R3.10)."""
MIN_INTERVALS = 3
"""Between evaluations, until their median says something; the first one holds the compilation and does not count."""


def least_step_sec(operations_per_example: float, peak_per_sec: float, batch_size: int) -> float:
    """How long one forward and backward pass over a batch takes at least.

    Args:
      operations_per_example: of both passes.
      peak_per_sec: operations that all devices of the run do at best.
      batch_size: examples per step, over all devices.

    >>> least_step_sec(1e6, 2e9, batch_size=100)
    0.025
    """
    return SAFETY * operations_per_example * batch_size / peak_per_sec


def median_step_sec(steps: Sequence[int], seconds: Sequence[float]) -> float | None:
    """The median time of a step over the intervals between evaluations; None where there are few.

    Args:
      steps: updates at each evaluation.
      seconds: submission time there.

    >>> median_step_sec([1, 11, 21, 31, 41], [5.0, 6.0, 7.0, 8.0, 19.0])
    0.1
    """
    intervals = [
        (seconds[later] - seconds[later - 1]) / (steps[later] - steps[later - 1])
        for later in range(1, len(steps))
        if steps[later] > steps[later - 1]
    ]
    return statistics.median(intervals) if len(intervals) >= MIN_INTERVALS else None


def step_sec_of(book: Book) -> float | None:
    """`median_step_sec` of a trial."""
    return median_step_sec([step for step, _ in book.state.eval_results], book.state.eval_times_sec)


def check(book: Book, operations_per_example: float, peak_per_sec: float, has_accelerator: bool) -> None:
    """Adds a finding if the steps of a trial were faster than they can be; keeps the figures for the records.

    Args:
      book: of the trial.
      operations_per_example: as the evaluator has counted them.
      peak_per_sec: as it has measured it, on one device or all processors.
      has_accelerator: whether devices compute beside each other; those made of one host's processors share them.
    """
    step_sec = step_sec_of(book)
    if step_sec is None or peak_per_sec <= 0:
        return
    said = book.of_processes.get("num_devices")
    num_devices = said if has_accelerator and isinstance(said, int) and said > 0 else 1
    peak_per_sec *= num_devices
    least_sec = least_step_sec(operations_per_example, peak_per_sec, book.batch_size)
    book.hardware = {
        "operations_per_step": operations_per_example * book.batch_size,
        "peak_operations_per_sec": peak_per_sec,
        "least_step_sec": least_sec,
        "median_step_sec": step_sec,
    }
    if step_sec < least_sec:
        text = (
            f"A step took {1000 * step_sec:.3g} ms (median), and the forward and backward pass of {book.batch_size} "
            f"examples takes {1000 * least_sec:.3g} ms at least, at {SAFETY:.0%} of the operations counted and "
            f"{peak_per_sec / 1e9:.3g} billion a second: what is a step here?"
        )
        book.findings.add("R3.18", FOR_REVIEW, book.state.global_step, text)
