"""What all engines have in common: a loop that starts jobs, watches them, and stops those that cannot matter."""

import abc
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import Generic, Protocol, TypeVar

from algoperf.files import StorageError
from algoperf.spec import Interrupted
from campaign.frugal import Limits
from campaign.job_plan import Job
from campaign.process import last_evaluation
from campaign.state import State
from campaign.store import Store

POLL_SEC = 0.05
CHECK_SEC = 1.0
"""Between looks at what running trials have evaluated, and at what other machines do."""


class Running(Protocol):
    """A trial that an engine has started."""

    started: float
    """On time.monotonic."""
    storage_error: StorageError | None
    """Why it could not, or cannot, be recorded."""

    def stop(self, reason: str | None = None) -> None:
        """Asks for a checkpoint and the end; with a reason the trial is not to go on later."""

    def kill(self) -> None:
        """Ends it at once; it goes on from its last checkpoint."""


R = TypeVar("R", bound=Running)
"""What an engine keeps of a trial that it has started."""
Report = Callable[[Mapping[str, State], Mapping[str, Running]], None]


class Engine(abc.ABC, Generic[R]):
    """Runs jobs until none is left that could be claimed here or elsewhere.

    Args:
      store: of the campaign.
      jobs: all of them.
      limits: what may be stopped; None lets every trial run to its end.
      report: is told states and runs from time to time.
    """

    def __init__(self, store: Store, jobs: Sequence[Job], limits: Limits | None, report: Report):
        self._store, self._limits, self._report = store, limits, report
        self._jobs = {job.key: job for job in jobs}
        self.states = store.states(jobs)
        self._runs: dict[str, R] = {}
        self._steps_before: dict[str, float] = {}
        """Where a trial that goes on had its last evaluation; only later ones are its process's own."""
        self._stop_signal, self._is_urgent = 0, False
        self._storage_error: StorageError | None = None
        for key in self.states:
            self._take_in(key)
        self._reopen()

    # ---- what engines differ in --------------------------------------------------------------------------------

    @abc.abstractmethod
    def _has_room(self) -> bool:
        """Whether one more job can be started now."""

    @abc.abstractmethod
    def _launch(self, job: Job) -> R | None:
        """Starts a job; None if somebody else has claimed it."""

    @abc.abstractmethod
    def _ended(self) -> list[str]:
        """Keys of runs that have ended since the last turn, once their outcome is on disk."""

    # ---- one turn ----------------------------------------------------------------------------------------------

    def run(self) -> dict[str, State]:
        """Runs the jobs; returns the state of each.

        Raises:
          Interrupted: after SIGINT or SIGTERM, when all trials have written their checkpoints.
          StorageError: when the disk is full or broken, and all trials have ended.
        """
        checked = 0.0
        with self._signals():
            while True:
                # Before trials that have ended are looked at: one that received the same signal, from the system,
                # counts as interrupted, not as crashed.
                if self._stop_signal or self._storage_error:
                    for run in self._runs.values():
                        self._on_disk(run.kill if self._is_urgent else run.stop)
                for key in self._ended():
                    self._note(self._runs.pop(key).storage_error)
                    self._on_disk(self._refresh, key)
                if self._stop_signal or self._storage_error:
                    if not self._runs:
                        raise self._storage_error or Interrupted(self._stop_signal)
                else:
                    self._on_disk(self._start)
                if time.monotonic() - checked > CHECK_SEC:
                    self._on_disk(self._check)
                    checked = time.monotonic()
                    running = {
                        key: run for key, run in self._runs.items() if self.states[key] is State.RUNNING
                    }
                    self._report(self.states, running)
                if not self._runs and all(state.is_final for state in self.states.values()):
                    return self.states
                time.sleep(POLL_SEC)

    def _on_disk(self, function: Callable[..., None], *arguments: str) -> None:
        """Calls it; where the disk is full or broken, all trials are asked to end, as nothing can be recorded."""
        try:
            function(*arguments)
        except StorageError as error:
            self._note(error)

    def _note(self, error: StorageError | None) -> None:
        self._storage_error = self._storage_error or error

    def _start(self) -> None:
        """Starts jobs in their order while there is room."""
        for key, state in self.states.items():
            if state is not State.WAITING or key in self._runs:
                continue
            if not self._has_room():
                return
            self._steps_before[key] = last_evaluation(self._jobs[key].folder)[1]
            run = self._launch(self._jobs[key])
            if run is not None:
                self._runs[key] = run
            self._refresh(key)

    def _check(self) -> None:
        """Looks after jobs that run elsewhere or have yet to begin, and stops what cannot matter any more."""
        for key, state in self.states.items():
            if (state is State.RUNNING) != (key in self._runs):
                self._refresh(key)
        for run in self._runs.values():
            self._note(run.storage_error)
        if self._limits is None:
            return
        for key, run in self._runs.items():
            if self.states[key] is not State.RUNNING:
                continue
            cost = last_evaluation(self._jobs[key].folder)
            if cost[1] <= self._steps_before[key]:
                # Before its first evaluation it would take a request to stop early for an interruption, and would be
                # started again.
                continue
            reason = self._limits.why_stop(self._jobs[key], cost)
            if reason is not None:
                run.stop(f"{reason.rule}: {reason.text}")

    def _refresh(self, key: str) -> None:
        self.states[key] = self._store.state(self._jobs[key])
        self._take_in(key)

    def _reopen(self) -> None:
        """Lets trials go on that an earlier command stopped for a reason that no longer holds.

        The same folder may be run with other submissions, studies or trials than before.
        """
        limits = self._limits
        while reopened := [
            job
            for key, job in self._jobs.items()
            if self.states[key] is State.STOPPED
            and (limits is None or limits.why_stop(job, last_evaluation(job.folder)) is None)
        ]:  # Until none is left: each that is reopened may have been the reason to stop others.
            for job in reopened:
                self._store.reopen(job)
                self.states[job.key] = self._store.state(job)
                if limits is not None:
                    limits.goes_on(job)

    def _take_in(self, key: str) -> None:
        if self._limits is not None and self.states[key].is_final:
            summary = self._store.summary(self._jobs[key])
            reached = None if summary is None else summary.validation_target_reached
            self._limits.finished(self._jobs[key], reached)

    @contextmanager
    def _signals(self) -> Iterator[None]:
        """The first SIGINT or SIGTERM asks all trials for a checkpoint, a second SIGINT ends them at once."""

        def ask(number: int, frame: FrameType | None) -> None:
            # Only noted, the loop acts on it: a handler may run in the middle of anything, such as writing a file.
            del frame
            self._is_urgent |= bool(self._stop_signal) and number == signal.SIGINT
            self._stop_signal = number

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
