"""One attempt at one job: a fresh process of submission_runner.py, its log, its end, and what the end means."""

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from algoperf import records
from algoperf.commands import EXIT_SIGNAL_BASE, EXIT_STORAGE, EXIT_USAGE, trial_command
from algoperf.files import StorageError, storage_errors
from algoperf.holders import HEARTBEAT_SEC, identity_of_process
from algoperf.run import claim, parent
from algoperf.spec import UsageError
from campaign.job_plan import ROOT, Job
from campaign.store import Attempt, Outcome, Store

# -I and -S leave out site-packages and user settings: the launcher needs the standard library only, and starts faster.
LAUNCH = (sys.executable, "-I", "-S", str(ROOT / "campaign" / "launch.py"))
TRIAL_COMMAND = trial_command()
THREADS = "OMP_NUM_THREADS"
"""Variable with the number of threads that compute one operation of PyTorch on a CPU."""
LOG_TAIL_CHARS = 4000
# A trial that obeys exits with 128 + the signal; one that had not installed its handlers yet dies of the signal itself.
STOPPED_CODES = {
    code
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL)
    for code in (-number, EXIT_SIGNAL_BASE + number)
}


@dataclass(frozen=True)
class Place:
    """Where a process may run."""

    cores: tuple[int, ...] = ()
    """Numbers of the processors; empty leaves it to the system."""
    gpu: str | None = None
    """The one GPU it sees; '' for none; None leaves it to the system."""
    threads: str | None = None
    """What the user has set as OMP_NUM_THREADS, see `threads_of_user`; None: as many as cores."""

    def environment(self) -> dict[str, str]:
        """The environment of a process that keeps to its place."""
        found = dict(os.environ)
        if self.threads is not None:
            found[THREADS] = self.threads
        elif self.cores:
            # Not every library asks which cores it may use, and threads beyond their number wait for each other.
            found[THREADS] = str(len(self.cores))
        if self.gpu is not None:
            found["CUDA_VISIBLE_DEVICES"] = self.gpu
        return found


def threads_of_user(num_cores: int) -> str | None:
    """What the user has set as OMP_NUM_THREADS for trials that get `num_cores` each (0: not known); None if nothing.

    Raises:
      UsageError: if trials cannot run with it.
    """
    threads = os.environ.get(THREADS)
    if not threads:
        return None
    levels = threads.split(",")  # One number for each level of parallel regions within each other.
    if not all(level.strip().isdecimal() and int(level) for level in levels):
        raise UsageError(f"{THREADS}={threads} must be a number from 1: set it so, or unset it.")
    if num_cores and int(levels[0]) > num_cores:
        raise UsageError(
            f"{THREADS}={threads}, but each trial gets {num_cores} cores, and threads beyond their number wait for "
            f"each other: set it to at most {num_cores}, unset it, or run fewer trials at a time."
        )
    return threads


class Run:
    """A trial's process, started.

    Args:
      store: of the campaign.
      job: what to run.
      attempt: its claim.
      place: where.
      command: before the job's arguments; tests pass another program.
      keep_open: file descriptors that the process holds, too.
    """

    def __init__(
        self,
        store: Store,
        job: Job,
        attempt: Attempt,
        place: Place,
        command: Sequence[str] = TRIAL_COMMAND,
        keep_open: Sequence[int] = (),
    ):
        self.job, self.attempt, self.place, self._store = job, attempt, place, store
        self.started = self._last_beat = time.monotonic()
        self.is_stopping = False
        self.storage_error: StorageError | None = None
        (job.folder / records.SUMMARY).unlink(missing_ok=True)  # Of an attempt that failed, or went less far.
        with storage_errors(attempt.log), open(attempt.log, "wb") as log:
            self.process = subprocess.Popen(
                [*LAUNCH, str(os.getpid()), ",".join(map(str, place.cores)), *command, *job.arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=place.environment(),
                pass_fds=keep_open,
                process_group=0,  # Ctrl-C is for the command, which asks trials for a checkpoint.
            )
        self._watched = parent.Watched(self.process, job.folder)
        try:
            attempt.update(holders=[*attempt.content["holders"], identity_of_process(self.process.pid)])
        except StorageError as error:  # The trial will find the same; the engine asks it to end.
            self.storage_error = error

    def poll(self) -> Outcome | None:
        """The outcome once the process has ended, recorded; None while it runs."""
        code = self._watched.poll()
        if code is None:
            if time.monotonic() - self._last_beat > HEARTBEAT_SEC:
                if self.attempt.is_lost():
                    self.kill()  # Another command has declared this attempt lost; the trial may run elsewhere by now.
                try:
                    self.attempt.beat()
                except StorageError as error:
                    self.storage_error = error
                self._last_beat = time.monotonic()
            return None
        return self._ended(code)

    def stop(self, reason: str | None = None) -> None:
        """Asks for a checkpoint and the end; with a reason the trial is not to go on later."""
        if self.is_stopping:
            return
        if reason is not None:
            # Written first: the trial reads it when the signal arrives.
            records.write_json(self.job.folder / records.STOP, {"reason": reason})
        self.is_stopping = True
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """Ends it at once; it goes on from its last checkpoint."""
        self.is_stopping = True
        self.process.kill()

    def _ended(self, code: int) -> Outcome:
        if self.attempt.is_lost():
            return Outcome.LOST  # Whatever its end was like, the next attempt decides.
        self._watched.record()
        outcome, error = self._meaning(code)
        if code == EXIT_STORAGE:
            self.storage_error = StorageError(errno.ENOSPC, "its trial could not", str(self.job.folder))
        seconds = round(time.monotonic() - self.started, 3)
        try:
            self._store.end(self.job, self.attempt, outcome, error, exit_code=code, seconds=seconds)
        except (
            StorageError
        ) as problem:  # The attempt stays open, and counts as lost when this command has ended.
            self.storage_error = problem
        return outcome

    def _meaning(self, code: int) -> tuple[Outcome, str | None]:
        """What an exit code comes to, and the error that goes with it."""
        summary = self._store.summary(self.job)
        # The exit code alone is not enough: a submission may end the process with code 0 before there are results.
        if code == 0 and summary is not None:
            return Outcome.DONE, None
        if self.is_stopping and code in STOPPED_CODES:
            return Outcome.INTERRUPTED, None
        if code == EXIT_STORAGE:
            return Outcome.INTERRUPTED, self._log_tail()
        if code == EXIT_USAGE:
            if claim.is_held(self.job.folder):  # By somebody who was faster: whatever that comes to counts.
                return Outcome.INTERRUPTED, self._log_tail()
            return Outcome.REFUSED, self._log_tail()
        return Outcome.CRASHED, (summary and summary.error) or self._log_tail() + _of_signal(code)

    def _log_tail(self) -> str:
        return self.attempt.log.read_text(errors="replace")[-LOG_TAIL_CHARS:].strip()


def _of_signal(code: int) -> str:
    """A line about an end by a signal, of which the trial itself cannot say anything; '' for another exit code."""
    if code >= 0:
        return ""
    name = signal.Signals(-code).name if -code in list(signal.Signals) else f"signal {-code}"
    reason = (
        "as the system does where memory is full"
        if -code == signal.SIGKILL
        else "from outside or by a fault in native code"
    )
    return f"\nIts process was ended by {name}, {reason}."


def last_evaluation(folder: Path) -> tuple[float, float]:
    """(submission seconds, step) of the newest evaluation of a trial; zeros before the first."""
    try:
        columns = records.read_csv(folder / records.EVAL_MEASUREMENTS)
        return columns[records.SUBMISSION_TIME][-1], columns[records.GLOBAL_STEP][-1]
    except (FileNotFoundError, KeyError, IndexError):
        return 0.0, 0.0
