"""What a campaign keeps on disk, so that it can be killed, continued, and shared between machines.

    <experiment_dir>/.campaign/attempts/<job's place>/<n>.json    attempts at a job, from 1
    <experiment_dir>/.campaign/attempts/<job's place>/<n>.log     what its process printed

An attempt is a claim: the file of attempt n is created exclusively, so one machine alone gets it, and attempt n + 1
may be created only when n has ended or its holder is gone. Whether a job is done is said by the summary in its trial
folder alone.
"""

import dataclasses
import datetime
import enum
import os
import socket
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import psutil

from algoperf import files, records
from algoperf.run import summary as summaries
from algoperf.run.identity import SOURCE, difference
from algoperf.run.summary import Summary
from algoperf.spec import UsageError
from campaign import attempt_file
from campaign.job_plan import Job

FOLDER = ".campaign"
HEARTBEAT_SEC = 10.0
STALE_AFTER_SEC = 60.0
"""A holder on another machine that has been silent for so long is gone."""
MAX_CRASHES = 2  # The second attempt tells a fault of the submission from one of the machine.


class State(enum.StrEnum):
    """Of a job; the value is what tables show."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped early"
    FAILED = "failed"

    @property
    def is_final(self) -> bool:
        return self in (State.DONE, State.STOPPED, State.FAILED)


class Outcome(enum.StrEnum):
    """How an attempt ended."""

    DONE = "done"
    CRASHED = "crashed"
    REFUSED = "refused"
    """Wrong input: trying again is of no use before that is mended."""
    INTERRUPTED = "interrupted"
    """The campaign was stopped; the trial goes on from its checkpoint."""
    LOST = "lost"
    """Its holder is gone, which is no fault of the trial: it goes on from its checkpoint elsewhere."""


@dataclasses.dataclass(frozen=True)
class Attempt:
    """A claim on a job, open or ended."""

    number: int
    path: Path
    content: dict[str, Any]

    @property
    def outcome(self) -> Outcome | None:
        value = self.content.get("outcome")
        return None if value is None else Outcome(value)

    @property
    def log(self) -> Path:
        return self.path.with_suffix(".log")

    def update(self, **changes: Any) -> None:
        """Writes changes to the file."""
        self.content.update(changes)
        records.write_json(self.path, self.content)

    def beat(self) -> None:
        """Renews the claim: the age of the file says when its holder was last known to be alive."""
        os.utime(self.path)

    def is_lost(self) -> bool:
        """Whether somebody else has written it down as lost, or has made the next attempt."""
        written = files.read_json(self.path).get("outcome") == Outcome.LOST
        return written or self.path.with_name(f"{self.number + 1}.json").exists()

    @property
    def is_forgiven(self) -> bool:
        """Whether it ended before the trial was to be tried afresh."""
        return bool(self.content.get("forgiven"))


def identity_of_process(pid: int) -> dict[str, Any]:
    """What tells a process from a later one that got the same number."""
    return {"pid": pid, "created": psutil.Process(pid).create_time()}


def is_alive(process: dict[str, Any]) -> bool:
    """Whether a process of this machine still runs."""
    try:
        found = psutil.Process(process["pid"])
        # With a tolerance, as psutil derives the creation time from the boot time, which is adjusted with the clock.
        # A zombie has ended; only its parent has not read its exit code yet.
        return abs(found.create_time() - process["created"]) < 1 and found.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


class Store:
    """The campaign's own records below an experiment folder.

    Args:
      experiment_dir: root of the campaign's results.
    """

    def __init__(self, experiment_dir: Path):
        self.root = experiment_dir / FOLDER

    # ---- attempts ----------------------------------------------------------------------------------------------

    def attempts(self, job: Job) -> list[Attempt]:
        """All attempts at a job, first one first."""
        folder = self._folder(job)
        found = []
        for number in range(1, 1_000_000):
            path = folder / f"{number}.json"
            try:
                content = files.read_json(path)
            except FileNotFoundError:
                break
            except ValueError:  # Created and not yet filled: its holder is at work, or died right then.
                content = {}
            found.append(Attempt(number, path, attempt_file.checked(path, content, list(Outcome))))
        return found

    def claim(self, job: Job, **facts: Any) -> Attempt | None:
        """A new attempt that belongs to this process; None if somebody else was faster or it is not wanted.

        Args:
          job: what to claim.
          facts: written down with it.
        """
        seen = self.attempts(job)
        if self._state(job, seen) is not State.WAITING:
            return None
        # The number after the attempts that were looked at. If another machine has added one since, creating the file
        # fails, as it must: the state that was found no longer holds.
        number = len(seen) + 1
        path = self._folder(job) / f"{number}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            # Creating exclusively is atomic on network file systems as well, where locks need not work.
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            return None
        attempt = Attempt(number, path, {})
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        holders = [identity_of_process(os.getpid())]
        attempt.update(host=socket.gethostname(), holders=holders, started=now, **facts)
        return attempt

    def end(
        self, job: Job, attempt: Attempt, outcome: Outcome, error: str | None = None, **facts: Any
    ) -> None:
        """Writes down how an attempt ended; a trial that is not tried again gets a summary, for scoring to read."""
        attempt.update(outcome=outcome, **facts, **({} if error is None else {"error": error}))
        crashes = self._num_crashes(self.attempts(job))
        if (outcome is Outcome.REFUSED or crashes >= MAX_CRASHES) and self.summary(job) is None:
            given_up = Summary(
                status="failed",
                submission=job.submission,
                workload=job.workload,
                framework=job.framework,
                study=job.study,
                trial=job.trial,
                hyperparameters=job.point,
                budget_sec=job.budget_sec,
                error=error,
                exit_code=facts.get("exit_code"),
            )
            summaries.write(job.folder, given_up)

    def lose(self, attempt: Attempt) -> bool:
        """Records as lost an attempt whose holder is reported to be dead, without waiting for `STALE_AFTER_SEC`.

        A holder on this machine is checked first: as long as its process exists, it may still write a checkpoint, and
        the attempt stays open.

        Returns:
          Whether the attempt was recorded as lost.
        """
        if attempt.outcome is not None or self._runs_here(attempt):
            return False
        attempt.update(outcome=Outcome.LOST)
        return True

    def retry(self, job: Job) -> bool:
        """Lets a trial that has failed, or crashed, start afresh: without its attempts, records and checkpoints.

        Returns:
          Whether it had.
        """
        attempts = self.attempts(job)
        state = self._judge(job, self.summary(job), attempts)
        has_crashed = state is State.WAITING and attempts and attempts[-1].outcome is Outcome.CRASHED
        if state is not State.FAILED and not has_crashed:
            return False
        records.clear(job.folder)
        for attempt in attempts:
            attempt.update(forgiven=True)
        return True

    def reopen(self, job: Job) -> None:
        """Lets a trial that was stopped early go on from its last checkpoint."""
        (job.folder / records.SUMMARY).unlink(missing_ok=True)

    def _folder(self, job: Job) -> Path:
        return self.root / "attempts" / job.key

    def _is_held(self, attempt: Attempt) -> bool:
        """Whether an attempt that has not ended is still at work."""
        is_fresh = self._age_sec(attempt.path) < STALE_AFTER_SEC
        if attempt.content.get("host") != socket.gethostname():
            return is_fresh
        return self._runs_here(attempt)

    @staticmethod
    def _runs_here(attempt: Attempt) -> bool:
        """Whether a process that holds the attempt runs here: the command, or its trial, which may outlive it."""
        return attempt.content.get("host") == socket.gethostname() and any(
            map(is_alive, attempt.content["holders"])
        )

    def _age_sec(self, path: Path) -> float:
        """Seconds since the claim was last renewed, on the clock of the file system, which all machines share."""
        # Clocks that agree within half a minute settle most cases without writing a file.
        if time.time() - path.stat().st_mtime < STALE_AFTER_SEC / 2:
            return 0.0
        # What a file that is written now is dated tells the time there.
        probe = self.root / f"clock_{socket.gethostname()}_{os.getpid()}"
        probe.touch()
        now = probe.stat().st_mtime
        probe.unlink()
        return now - path.stat().st_mtime

    # ---- states ------------------------------------------------------------------------------------------------

    def state(self, job: Job) -> State:
        """Where a job stands.

        Raises:
          UsageError: if its folder holds another trial.
        """
        return self._state(job, self.attempts(job))

    def _state(self, job: Job, attempts: list[Attempt]) -> State:
        summary = self.summary(job)
        identity = None if summary is None else summary.identity
        # An unfinished trial: its own process would refuse to continue another one.
        if identity is None and attempts:
            identity = records.newest_meta_data(job.folder).get("identity")
        self._check_same(job, identity or {})
        return self._judge(job, summary, attempts)

    def _judge(self, job: Job, summary: Summary | None, attempts: list[Attempt]) -> State:
        if summary is not None:
            if summary.status == "stopped":
                return State.STOPPED
            if summary.status != "failed" and not summary.goes_on(job.max_steps):
                return State.DONE
        if attempts:
            last = attempts[-1]
            if last.outcome is None and self._is_held(last):
                return State.RUNNING
            if last.outcome is Outcome.REFUSED and not last.is_forgiven:
                return State.FAILED
        crashes = self._num_crashes(attempts)
        return State.FAILED if crashes >= MAX_CRASHES else State.WAITING

    def summary(self, job: Job) -> Summary | None:
        """What a finished trial left; None while there is nothing."""
        return summaries.read(job.folder)

    @staticmethod
    def _num_crashes(attempts: Iterable[Attempt]) -> int:
        return sum(one.outcome is Outcome.CRASHED and not one.is_forgiven for one in attempts)

    @staticmethod
    def _check_same(job: Job, stored: Mapping[str, Any]) -> None:
        found = difference(stored, job.identity)
        if found is None:
            return
        if found.key == SOURCE:
            raise UsageError(
                f"{job.folder} holds a trial of {job.submission!r} as its files were then (source hash {found.stored}, "
                f"now {found.wanted}): put them back, or use another --experiment_dir. Trials that failed start afresh "
                "with --retry_failed."
            )
        raise UsageError(
            f"{job.folder} holds a trial with another {found.key} ({found.stored!r}, now {found.wanted!r}): use the "
            "settings of that time, or another --experiment_dir."
        )

    def states(self, jobs: Iterable[Job]) -> dict[str, State]:
        """Key -> state."""
        return {job.key: self.state(job) for job in jobs}
