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
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf import files, holders, records
from algoperf.holders import identity_of_process, is_alive
from algoperf.run import checkpoint, claim
from algoperf.run import summary as summaries
from algoperf.run.identity import Difference, differences, recorded_files
from algoperf.run.summary import Summary
from campaign import attempt_file, mixture
from campaign.job_plan import Job
from campaign.state import State

FOLDER = ".campaign"
MAX_CRASHES = 2  # The second attempt tells a fault of the submission from one of the machine.
MAX_LOST = 10
"""In a row without any progress: then it is neither chance nor one bad machine."""


class Outcome(enum.StrEnum):
    """How an attempt ended."""

    DONE = "done"
    CRASHED = "crashed"
    REFUSED = "refused"
    """Wrong input: trying again is of no use before that is mended."""
    STALLED = "stalled"
    """The last of `MAX_LOST` that were lost: trying again is of no use before the reason is found."""
    INTERRUPTED = "interrupted"
    """The campaign was stopped, or its disk was full; the trial goes on from its checkpoint."""
    LOST = "lost"
    """Its holder is gone, which is no fault of the trial: it goes on from its checkpoint elsewhere."""


HOPELESS = (Outcome.REFUSED, Outcome.STALLED)
"""Outcomes after which a trial is not tried again by itself."""


class Retried(enum.Enum):
    """How a trial that had failed is tried again."""

    AFRESH = enum.auto()
    FROM_CHECKPOINT = enum.auto()


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
        """Renews the claim."""
        with files.storage_errors(self.path):
            holders.beat(self.path)

    def is_lost(self) -> bool:
        """Whether somebody else has written it down as lost, or has made the next attempt."""
        written = files.read_json(self.path).get("outcome") == Outcome.LOST
        return written or self.path.with_name(f"{self.number + 1}.json").exists()

    @property
    def is_forgiven(self) -> bool:
        """Whether it ended before the trial was to be tried afresh."""
        return bool(self.content.get("forgiven"))


class Store:
    """The campaign's own records below an experiment folder.

    Args:
      experiment_dir: root of the campaign's results.
      accept_changes: whether trials count that ran under other code of the project or other versions of packages.
    """

    def __init__(self, experiment_dir: Path, accept_changes: bool = False):
        self.root = experiment_dir / FOLDER
        self._accept_changes = accept_changes
        self._watch = holders.Watch(self.root)

    # ---- attempts ----------------------------------------------------------------------------------------------

    def attempts(self, job: Job) -> list[Attempt]:
        """All attempts at a job, first one first."""
        folder = self._folder(job)
        found = []
        for number in _numbers(folder):  # One of them may have been deleted, as where it was damaged.
            path = folder / f"{number}.json"
            try:
                # Created and not yet filled: its holder is at work, or died right then.
                content = files.read_json(path) if path.stat().st_size else {}
            except FileNotFoundError:
                continue
            except ValueError as error:
                content = error  # Filled at once, so what is there was changed since.
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
        lost = self._lost_in_a_row(job, seen)
        if len(lost) >= MAX_LOST:
            self.end(job, lost[-1], Outcome.STALLED, _stalled_text(job, lost))
            return None
        # The number after the attempts that were looked at. If another machine has added one since, creating the file
        # fails, as it must: the state that was found no longer holds.
        number = max((attempt.number for attempt in seen), default=0) + 1
        path = self._folder(job) / f"{number}.json"
        try:
            with files.storage_errors(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                # Creating exclusively is atomic on network file systems as well, where locks need not work.
                os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o644))
        except FileExistsError:
            return None
        attempt = Attempt(number, path, {})
        now = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds")
        own = [identity_of_process(os.getpid())]
        try:
            attempt.update(
                host=socket.gethostname(), holders=own, started=now, progress=_progress(job), **facts
            )
        except files.StorageError:
            path.unlink()  # An empty claim would block the job until it is stale.
            raise
        return attempt

    def end(
        self, job: Job, attempt: Attempt, outcome: Outcome, error: str | None = None, **facts: Any
    ) -> None:
        """Writes down how an attempt ended; a trial that is not tried again gets a summary, for scoring to read."""
        attempt.update(outcome=outcome, **facts, **({} if error is None else {"error": error}))
        crashes = self._num_crashes(self.attempts(job))
        if (outcome in HOPELESS or crashes >= MAX_CRASHES) and self.summary(job) is None:
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
        if attempt.outcome is not None or True in self._lives(attempt):
            return False
        attempt.update(outcome=Outcome.LOST)
        return True

    def retry(self, job: Job) -> Retried | None:
        """Lets a trial that has failed, or crashed, be tried again: its earlier attempts count no more.

        It goes on from its last whole checkpoint. Where there is none, the trial starts afresh, without what it left.
        It also does where there is one of another version of the submission or of other settings, which could not go on
        from it; then what it left is kept in `earlier/` beside the attempts.

        Returns:
          How; None if it had not failed.

        Raises:
          UsageError: if a checkpoint may be whole and cannot be read here.
        """
        attempts = self.attempts(job)
        state = self._judge(job, self.summary(job), attempts)
        has_crashed = state is State.WAITING and attempts and attempts[-1].outcome is Outcome.CRASHED
        if state is not State.FAILED and not has_crashed:
            return None
        header = checkpoint.header(job.folder)
        stored = (header or {}).get("identity") or records.newest_meta_data(job.folder).get("identity") or {}
        is_same = bool(stored) and not any(
            not (self._accept_changes and one.is_acceptable) for one in differences(stored, job.identity)
        )
        goes_on = header is not None and is_same
        if goes_on:
            (job.folder / records.SUMMARY).unlink(missing_ok=True)
        elif header is not None:
            records.move(job.folder, self.root / "earlier" / job.key / str(len(attempts)))
        else:
            records.clear(job.folder)
        for attempt in attempts:
            attempt.update(forgiven=True)
        return Retried.FROM_CHECKPOINT if goes_on else Retried.AFRESH

    def reopen(self, job: Job) -> None:
        """Lets a trial that was stopped early go on from its last checkpoint."""
        (job.folder / records.SUMMARY).unlink(missing_ok=True)

    def _folder(self, job: Job) -> Path:
        return self.root / "attempts" / job.key

    def _is_held(self, attempt: Attempt) -> bool:
        """Whether an attempt that has not ended is still at work, as far as can be seen from here."""
        lives = self._lives(attempt)
        if True in lives:
            return True
        if lives and None not in lives:
            return False
        return self._watch.is_fresh(attempt.path)  # Of another machine or container, or not filled yet.

    @staticmethod
    def _lives(attempt: Attempt) -> list[bool | None]:
        """Whether each process that holds the attempt lives: the command, and its trial, which may outlive it."""
        host = attempt.content.get("host")
        return [is_alive({**one, "host": host}) for one in attempt.content.get("holders") or ()]

    def is_of_this_machine(self, attempt: Attempt) -> bool:
        """Whether processes that hold the attempt can be seen from here."""
        host = attempt.content.get("host")
        return any(holders.is_here({**one, "host": host}) for one in attempt.content.get("holders") or ())

    def _lost_in_a_row(self, job: Job, attempts: Sequence[Attempt]) -> list[Attempt]:
        """The last attempts, as long as all were lost and none has brought the trial further."""
        found: list[Attempt] = []
        now = _progress(job)
        for attempt in reversed(attempts):
            is_lost = attempt.outcome in (None, Outcome.LOST)  # An open one, or the job would not be waiting.
            if not is_lost or attempt.is_forgiven or attempt.content.get("progress") != now:
                break
            found.insert(0, attempt)
        return found

    # ---- states ------------------------------------------------------------------------------------------------

    def state(self, job: Job) -> State:
        """Where a job stands.

        Raises:
          UsageError: if its folder holds another trial.
        """
        return self._state(job, self.attempts(job))

    def _state(self, job: Job, attempts: list[Attempt]) -> State:
        summary = self.summary(job)
        found = mixture.Mixture(job, self._differences(job, summary, attempts))
        if found.refused(self._accept_changes):
            raise found.error()
        return self._judge(job, summary, attempts)

    @staticmethod
    def _differences(job: Job, summary: Summary | None, attempts: list[Attempt]) -> list[Difference]:
        """In what the trial that is in a job's folder differs from the job."""
        identity = None if summary is None else summary.identity
        # An unfinished trial: its own process would refuse to continue another one.
        if identity is None and attempts:
            identity = records.newest_meta_data(job.folder).get("identity")
        if not identity or not differences(identity, job.identity):
            return []
        return differences(identity, job.identity, recorded_files(job.folder), job.sources.files)

    def _judge(self, job: Job, summary: Summary | None, attempts: list[Attempt]) -> State:
        if summary is not None:
            if summary.status == "stopped":
                return State.STOPPED
            if summary.status != "failed" and not summary.goes_on(job.max_steps):
                return State.DONE
        if attempts and attempts[-1].outcome is None and self._is_held(attempts[-1]):
            return State.RUNNING
        if claim.is_held(
            job.folder
        ):  # By a command that is no part of a campaign, or a trial that outlived its own.
            return State.RUNNING
        if attempts and attempts[-1].outcome in HOPELESS and not attempts[-1].is_forgiven:
            return State.FAILED
        crashes = self._num_crashes(attempts)
        return State.FAILED if crashes >= MAX_CRASHES else State.WAITING

    def summary(self, job: Job) -> Summary | None:
        """What a finished trial left; None while there is nothing."""
        return summaries.read(job.folder)

    @staticmethod
    def _num_crashes(attempts: Iterable[Attempt]) -> int:
        return sum(one.outcome is Outcome.CRASHED and not one.is_forgiven for one in attempts)

    def states(self, jobs: Iterable[Job]) -> dict[str, State]:
        """Key -> state.

        Raises:
          UsageError: if folders hold other trials, or trials of other code; says how many, and what has changed.
        """
        found: dict[str, State] = {}
        mixed: list[mixture.Mixture] = []
        for job in jobs:
            attempts, summary = self.attempts(job), self.summary(job)
            found[job.key] = self._judge(job, summary, attempts)
            differing = mixture.Mixture(job, self._differences(job, summary, attempts))
            if differing.differences:
                mixed.append(differing)
        if any(one.refused(self._accept_changes) for one in mixed):
            raise mixture.error_of(
                [one for one in mixed if one.refused(self._accept_changes)], found, self.root.parent
            )
        return found

    def mixtures(self, jobs: Iterable[Job], states: Mapping[str, State]) -> list[str]:
        """A line for each kind of difference among the trials of a campaign that was accepted, or cannot be refused."""
        summaries_of = {job.key: self.summary(job) for job in jobs}
        mixed = [
            mixture.Mixture(job, self._differences(job, summaries_of[job.key], self.attempts(job)))
            for job in jobs
        ]
        return mixture.lines([one for one in mixed if one.differences], states, summaries_of.values())


def _numbers(folder: Path) -> list[int]:
    """Of the attempts in a folder, in ascending order."""
    try:
        names = os.listdir(folder)
    except FileNotFoundError:
        return []
    stems = (name.removesuffix(".json") for name in names if name.endswith(".json"))
    return sorted(int(stem) for stem in stems if stem.isascii() and stem.isdecimal())


def _progress(job: Job) -> int:
    """Updates that the last checkpoint of a trial has; -1 where there is none."""
    newest = checkpoint.list_checkpoints(job.folder)[:1]
    return max((int(path.name.removeprefix(records.CHECKPOINT_PREFIX)) for path in newest), default=-1)


def _stalled_text(job: Job, lost: Sequence[Attempt]) -> str:
    hosts = sorted({str(one.content.get("host", "?")) for one in lost})
    return (
        f"{len(lost)} attempts in a row on {', '.join(hosts)} were lost before {job.key} came any further: find out "
        f"what ended them (logs beside {lost[-1].log}), and run it again with --retry_failed."
    )
