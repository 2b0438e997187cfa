"""The local engine: a pool of workers on this machine, each with its own cores or its own GPU."""

import os
import signal
import time
from collections.abc import Callable, Sequence
from contextlib import contextmanager
from typing import Any

from algoperf.spec import UsageError
from algoperf.training import Interrupted
from campaign.frugal import Limits
from campaign.plan import Job
from campaign.process import TRIAL_COMMAND, Place, Run, last_evaluation
from campaign.store import State, Store

POLL_SEC = 0.05
CHECK_SEC = 1.0
"""Between looks at what running trials have evaluated, and at what other machines do."""

Report = Callable[[dict[str, State], dict[str, Run]], None]


def places(num_workers: int, gpus: Sequence[str] = ()) -> list[Place]:
    """A place for each worker: cores are dealt out evenly, GPUs one each.

    Raises:
      UsageError: if there are too few.
    """
    if num_workers < 1:
        raise UsageError(f"--workers must be at least 1, got {num_workers}.")
    if gpus and num_workers > len(gpus):
        raise UsageError(
            f"--workers={num_workers}, but there are {len(gpus)} GPUs ({', '.join(gpus)}): use at most {len(gpus)}, "
            "or timings would be shared."
        )
    cores = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if cores and num_workers > len(cores):
        raise UsageError(
            f"--workers={num_workers}, but there are {len(cores)} cores: use at most {len(cores)}, or timings would be "
            "shared."
        )
    share = len(cores) // num_workers
    return [
        Place(tuple(cores[i * share : (i + 1) * share]), gpus[i] if gpus else None)
        for i in range(num_workers)
    ]


class LocalEngine:
    """Claims jobs and runs them until none is left that could be claimed here or elsewhere.

    Args:
      store: of the campaign.
      jobs: all of them.
      workers: a place for each worker.
      limits: what may be stopped; None lets every trial run to its end.
      report: is told states and runs from time to time.
      command: the program that runs a trial; tests pass another.
    """

    def __init__(
        self,
        store: Store,
        jobs: Sequence[Job],
        workers: Sequence[Place],
        limits: Limits | None,
        report: Report,
        command: Sequence[str] = TRIAL_COMMAND,
    ):
        self._store, self._limits, self._report, self._command = store, limits, report, command
        self._idle = list(workers)
        self._jobs = {job.key: job for job in jobs}
        self.states = store.states(jobs)
        self._runs: dict[str, tuple[Run, Place]] = {}
        self._stop_signal = 0
        for key in self.states:
            self._take_in(key)

    def run(self) -> dict[str, State]:
        """Runs the jobs; returns the state of each.

        Raises:
          Interrupted: after SIGINT or SIGTERM, when all trials have written their checkpoints.
        """
        checked = 0.0
        with self._signals():
            while True:
                self._collect()
                if self._stop_signal and not self._runs:
                    raise Interrupted(self._stop_signal)
                if not self._stop_signal:
                    self._start()
                if time.monotonic() - checked > CHECK_SEC:
                    self._check()
                    checked = time.monotonic()
                    self._report(self.states, {key: run for key, (run, _) in self._runs.items()})
                if all(state.is_final for state in self.states.values()):
                    return self.states
                time.sleep(POLL_SEC)

    # ---- one turn ----------------------------------------------------------------------------------------------

    def _start(self) -> None:
        """Gives every idle worker the next job that can be claimed."""
        for key, state in self.states.items():
            if not self._idle:
                return
            if state is not State.WAITING:
                continue
            attempt = self._store.claim(self._jobs[key])
            if attempt is None:
                self._refresh(key)
                continue
            place = self._idle.pop(0)
            self._runs[key] = Run(self._store, self._jobs[key], attempt, place, self._command), place
            self.states[key] = State.RUNNING

    def _collect(self) -> None:
        """Frees the workers whose process has ended."""
        for key, (run, place) in list(self._runs.items()):
            if run.poll() is not None:
                del self._runs[key]
                self._idle.append(place)
                self._refresh(key)

    def _check(self) -> None:
        """Stops what cannot matter any more, and looks after jobs that run elsewhere."""
        for key, state in self.states.items():
            if state is State.RUNNING and key not in self._runs:
                self._refresh(key)
        if self._limits is None:
            return
        for key, (run, _) in self._runs.items():
            reason = self._limits.why_stop(self._jobs[key], last_evaluation(self._jobs[key].folder))
            if reason is not None:
                run.stop(f"{reason.rule}: {reason.text}")

    def _refresh(self, key: str) -> None:
        self.states[key] = self._store.state(self._jobs[key])
        self._take_in(key)

    def _take_in(self, key: str) -> None:
        if self._limits is not None and self.states[key].is_final:
            summary = self._store.summary(self._jobs[key]) or {}
            self._limits.finished(self._jobs[key], summary.get("validation_target_reached"))

    @contextmanager
    def _signals(self) -> Any:
        """The first SIGINT or SIGTERM asks all trials for a checkpoint, a second SIGINT ends them at once."""

        def ask(number: int, frame: Any) -> None:
            del frame
            is_second = self._stop_signal and number == signal.SIGINT
            self._stop_signal = number
            for run, _ in self._runs.values():
                run.kill() if is_second else run.stop()

        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
