"""How far the clock of a running trial is, on disk once a second: what a process has used that dies without a word.

A run goes on from its last checkpoint. What was used after it is charged all the same (R6.25), or whoever ends himself
would have trained for nothing: heartbeat.json says how much that was, and how often it has happened.
"""

import contextlib
import threading
import weakref
from dataclasses import asdict, dataclass
from pathlib import Path

from algoperf import files, records, typed_json
from algoperf.run import clock

BEAT_SEC = 1.0
"""Between two beats; so much more is charged of a process that died on the clock."""
TOLD_SEC = 0.01
"""Of lost time about which people are told: less is rounding."""


@dataclass(kw_only=True)
class Beat:
    """The content of heartbeat.json."""

    submission_sec: float = 0.0
    """On the submission clock, lost time included."""
    start_sec: float = 0.0
    """The same when this process began."""
    is_running: bool = False
    """Whether the clock was running."""
    is_over: bool = False
    """Whether the process has ended as it should: with its trial, or with a checkpoint."""
    crashes: int = 0
    """Processes of this trial that ended otherwise."""
    lost_sec: float = 0.0
    """Of `submission_sec`, what was used after a checkpoint from which another process went on."""


def read(folder: Path) -> Beat | None:
    """The last beat in a trial's folder; None where there is none, or it is not whole."""
    content = files.read_json_or_none(str(folder / records.HEARTBEAT))
    try:
        return typed_json.typed(Beat, content, allows_others=True)
    except typed_json.MalformedError:
        return None


def carried_on(earlier: Beat | None, now_sec: float) -> Beat:
    """The first beat of a process, with what the process before it has used in vain.

    Args:
      earlier: the last beat of that; None for the first process.
      now_sec: submission time of the checkpoint from which the run goes on; 0 without one.

    >>> carried_on(Beat(submission_sec=8.0, start_sec=2.0), now_sec=5.0)
    Beat(submission_sec=8.0, start_sec=8.0, is_running=False, is_over=False, crashes=1, lost_sec=3.0)
    """
    if earlier is None:
        return Beat(submission_sec=now_sec, start_sec=now_sec)
    used_sec = earlier.submission_sec
    if not earlier.is_over and earlier.is_running:
        used_sec += BEAT_SEC
    # Where it made no checkpoint, what was lost before it is counted already.
    new_sec = max(0.0, used_sec - max(earlier.start_sec, now_sec))
    start_sec = max(used_sec, now_sec)
    return Beat(
        submission_sec=start_sec,
        start_sec=start_sec,
        crashes=earlier.crashes + (not earlier.is_over),
        lost_sec=earlier.lost_sec + new_sec,
    )


class Heartbeat:
    """Writes the beats of a trial from a thread, until `finish`, or until its ledger is gone.

    Args:
      folder: of the trial.
      ledger: the open time ledger, with the time of the checkpoint from which the run goes on; lost time is added.
    """

    def __init__(self, folder: Path, ledger: clock.Ledger):
        before_sec = ledger.submission_ns / 1e9
        self.beat = carried_on(read(folder), before_sec)
        self.charged_sec = self.beat.submission_sec - before_sec
        """Lost time that was added."""
        ledger.add_submission_ns(round(self.charged_sec * 1e9))
        self._path, self._ledger, self._ended = (
            folder / records.HEARTBEAT,
            weakref.ref(ledger),
            threading.Event(),
        )
        self._write()
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def warning(self) -> str | None:
        """What to tell of lost time."""
        if self.charged_sec < TOLD_SEC:
            return None
        return (
            f"{self.charged_sec:.2f} s count that were used after the checkpoint from which this goes on (R6.25); "
            f"{self.beat.crashes} processes of this trial have ended without a word so far."
        )

    def finish(self, is_over: bool) -> None:
        """Writes the last beat.

        Args:
          is_over: whether the process ends as it should.
        """
        self._ended.set()
        self.beat.is_over = is_over
        self._write()

    def _beat(self) -> None:
        while not self._ended.wait(BEAT_SEC):
            if not self._write():
                return

    def _write(self) -> bool:
        """Whether there was something to write and a place for it."""
        ledger = self._ledger()
        if ledger is None:
            return False
        self.beat.submission_sec, self.beat.is_running = ledger.running_ns() / 1e9, ledger.is_running
        with contextlib.suppress(OSError):  # The trial finds it out for itself, and says so.
            files.write_json(self._path, asdict(self.beat))
            return True
        return False
