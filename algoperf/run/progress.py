"""Progress of a running trial: one line that is overwritten on a terminal, plain lines elsewhere."""

import sys
import time
from typing import TextIO

PLAIN_PERIOD_SEC = 15.0  # Between lines in a file or pipe, where nothing can be overwritten.


def duration(seconds: float) -> str:
    """For example '42s', '3m07s', '2h05m'."""
    # Up to 100 s and 100 min the smaller unit is still easy to read.
    if seconds < 100:
        return f"{seconds:.0f}s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest:02d}s" if minutes < 100 else f"{minutes // 60}h{minutes % 60:02d}m"


class Progress:
    """Prints step, steps/s, submission time and budget, last validation metric and target, and time left.

    Args:
      metric_name: name of the target metric.
      target: the validation target.
      budget_sec: the budget on the submission clock.
      enabled: False prints nothing.
      file: where to print; stderr by default.
    """

    def __init__(
        self,
        metric_name: str,
        target: float,
        budget_sec: float,
        enabled: bool = True,
        file: TextIO | None = None,
    ):
        self._metric_name, self._target, self._budget_sec = metric_name, target, budget_sec
        self._file = file or sys.stderr
        self._enabled = enabled
        self._moves = self._file.isatty()
        self._last_print = 0.0
        self._last: tuple[int, float] | None = None
        self._speed = 0.0
        self._value: float | None = None

    def _line(self, step: int, submission_sec: float) -> str:
        if self._last is not None and submission_sec > self._last[1] and step > self._last[0]:
            # Since the last line, so that a change of speed shows at once.
            self._speed = (step - self._last[0]) / (submission_sec - self._last[1])
        self._last = (step, submission_sec)
        value = "none yet" if self._value is None else f"{self._value:.4g}"
        left = max(0.0, self._budget_sec - submission_sec)
        return (
            f"step {step:,}  {self._speed:,.1f} steps/s  {duration(submission_sec)} of {duration(self._budget_sec)}  "
            f"validation {self._metric_name} {value} (target {self._target:g})  at most {duration(left)} left"
        )

    def step(self, step: int, submission_sec: float) -> None:
        """Shows progress between evaluations."""
        now = time.monotonic()
        if not self._enabled or (not self._moves and now - self._last_print < PLAIN_PERIOD_SEC):
            return
        self._last_print = now
        line = self._line(step, submission_sec)
        if self._moves:
            # Back to the start of the line, and clear it.
            print(f"\r\x1b[K{line}", end="", file=self._file, flush=True)
        else:
            print(line, file=self._file, flush=True)

    def evaluation(self, step: int, submission_sec: float, value: float) -> None:
        """Prints a line about an evaluation, which is not overwritten."""
        self._value = value
        self._last_print = time.monotonic()
        if self._enabled:
            start = "\r\x1b[K" if self._moves else ""
            print(f"{start}{self._line(step, submission_sec)}", file=self._file, flush=True)
