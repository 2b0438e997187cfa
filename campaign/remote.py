"""What engines with a scheduler of their own share: a trial somewhere else, and the command that asks it to end.

On its node a task claims a job in the shared folder and runs it in a fresh process. The command that submitted it
writes a request to stop into the same folder, where the task looks for it.
"""

import abc
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from algoperf import files, records
from algoperf.files import StorageError, storage_errors
from campaign import cores
from campaign.engine import POLL_SEC
from campaign.job_plan import Job
from campaign.process import Place, Run
from campaign.store import Attempt, Outcome, Store

REQUEST_SEC = 0.5
"""Between a task's looks into the shared folder for a request to stop."""


# ---- on a node ---------------------------------------------------------------------------------------------------


def run_claimed(
    store: Store,
    job: Job,
    attempt: Attempt,
    place: Place,
    command: Sequence[str],
    lease: cores.Lease,
    request: Path,
    is_asked: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Runs a trial to its end.

    Args:
      store: of the campaign.
      job: what to run.
      attempt: its claim.
      place: where.
      command: the program that runs a trial.
      lease: its cores, which it holds until its end.
      request: file by which the command asks for its end.
      is_asked: whether the scheduler wants it to end.

    Raises:
      StorageError: if the trial, or this task, could not write.
    """
    run = None
    try:
        run = Run(store, job, attempt, place, command, keep_open=lease.files)
        looked = 0.0
        while True:
            # Before its end is looked at: a trial that got the scheduler's signal, too, was interrupted, not crashed.
            if is_asked():
                run.stop()
            if (outcome := run.poll()) is not None:
                break
            if time.monotonic() - looked > REQUEST_SEC:
                looked = time.monotonic()
                _obey(run, request)
            time.sleep(POLL_SEC)
    except BaseException:
        # This process may live on, as Ray gives it to the next task: its claim would be held for ever.
        if run is not None:
            run.kill()
            run.process.wait()
        with suppress(OSError):
            attempt.update(outcome=Outcome.LOST)
        raise
    if run.storage_error is not None:
        raise run.storage_error
    return outcome


def take_cores(number: int, among: Sequence[int], is_unwanted: Callable[[], bool]) -> cores.Lease | None:
    """Cores for a trial, as soon as they are free; None once it is no longer wanted."""
    while not is_unwanted():
        lease = cores.take(number, among)
        if lease is not None:
            return lease
        # A scheduler frees CPUs with a task, while the trial before may still write its checkpoint.
        time.sleep(REQUEST_SEC)
    return None


def _obey(run: Run, request: Path) -> None:
    try:
        wanted = files.read_json(request)
    except FileNotFoundError:
        return
    if wanted["is_urgent"]:
        run.kill()
    else:
        run.stop(wanted["reason"])


def request_path(store: Store, task: str) -> Path:
    """Where a task, by its name, is asked to end."""
    return store.root / "requests" / f"{task}.json"


# ---- where the command runs --------------------------------------------------------------------------------------


class Task(abc.ABC):
    """A trial that was given to a scheduler: queued, then running.

    Args:
      store: of the campaign.
      job: which trial.
      name: of the task, as its claims on disk have it.
    """

    def __init__(self, store: Store, job: Job, name: str):
        self.job, self.id, self._store = job, name, store
        self.started = time.monotonic()
        self.storage_error: StorageError | None = None
        self._request = request_path(store, name)
        self._asked: dict[str, Any] | None = None

    @abc.abstractmethod
    def _cancel(self) -> None:
        """Takes it out of the scheduler's queue, if it is there."""

    @property
    def was_asked(self) -> bool:
        """Whether it was to end."""
        return self._asked is not None

    def is_claimed(self) -> bool:
        """Whether it has begun."""
        return any(attempt.content.get("task") == self.id for attempt in self._store.attempts(self.job))

    def stop(self, reason: str | None = None) -> None:
        """Asks for a checkpoint and the end; with a reason the trial is not to go on later."""
        if self._asked is None:
            self._ask({"reason": reason, "is_urgent": False})

    def kill(self) -> None:
        """Ends it at once; it goes on from its last checkpoint."""
        if self._asked is None or not self._asked["is_urgent"]:
            self._ask({"reason": None, "is_urgent": True})

    def _ask(self, wanted: dict[str, Any]) -> None:
        with storage_errors(self._request):
            self._request.parent.mkdir(parents=True, exist_ok=True)
        records.write_json(self._request, wanted)
        self._asked = wanted
        self._cancel()

    def close(self) -> None:
        """Leaves nothing on disk."""
        self._request.unlink(missing_ok=True)
