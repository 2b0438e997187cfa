"""The local engine: a pool of workers on this machine, each with its own cores or its own GPU."""

import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path

from algoperf.spec import UsageError
from campaign import cores
from campaign.engine import Engine, Report
from campaign.frugal import Limits
from campaign.job_plan import Job
from campaign.process import TRIAL_COMMAND, Place, Run, threads_of_user
from campaign.state import State
from campaign.store import Store


def places(num_workers: int, gpus: Sequence[str] = ()) -> list[Place]:
    """A place for each worker: cores are dealt out evenly, GPUs one each.

    Raises:
      UsageError: if there are too few.
    """
    if num_workers < 1:
        raise UsageError(f"--workers must be at least 1, got {num_workers}.")
    if len(set(gpus)) < len(gpus):
        raise UsageError(
            f"--gpus={','.join(gpus)} names one twice: give each once, or timings would be shared."
        )
    if gpus and num_workers > len(gpus):
        raise UsageError(
            f"--workers={num_workers}, but there are {len(gpus)} GPUs ({', '.join(gpus)}): use at most {len(gpus)}, "
            "or timings would be shared."
        )
    usable = cores.usable()
    if usable and num_workers > len(usable):
        raise UsageError(
            f"--workers={num_workers}, but there are {len(usable)} cores: use at most {len(usable)}, or timings would "
            "be shared."
        )
    # Equal for all, or trials would not be comparable; a remainder stays idle.
    share = len(usable) // num_workers
    threads = threads_of_user(share)
    return [
        Place(tuple(usable[i * share : (i + 1) * share]), gpus[i] if gpus else None, threads)
        for i in range(num_workers)
    ]


class LocalEngine(Engine[Run]):
    """Claims jobs and runs them in processes of its own.

    Args:
      store: of the campaign.
      jobs: all of them.
      workers: a place for each worker.
      limits: what may be stopped; None lets every trial run to its end.
      report: is told states and runs from time to time.
      command: the program that runs a trial; tests pass another.
      locks: folder that says which cores are taken; by default one for all commands of a user of this machine.
    """

    def __init__(
        self,
        store: Store,
        jobs: Sequence[Job],
        workers: Sequence[Place],
        limits: Limits | None,
        report: Report,
        command: Sequence[str] = TRIAL_COMMAND,
        locks: Path | None = None,
    ):
        super().__init__(store, jobs, limits, report)
        self._idle, self._command, self._locks = list(workers), command, locks
        self._lease: cores.Lease | None = None
        """Cores for the next trial, on which no trial of another command runs."""
        self._has_waited = False

    def run(self) -> dict[str, State]:
        try:
            return super().run()
        finally:
            self._release()  # However it ended: cores that are held would block all other commands of this user.

    def _start(self) -> None:
        super()._start()
        self._release()

    def _has_room(self) -> bool:
        if self._idle and self._lease is None:
            self._lease = cores.take(len(self._idle[0].cores), cores.usable(), self._locks)
            if self._lease is None and not self._has_waited:
                self._has_waited = True
                print("Waiting for cores: trials of another command run on this machine.", file=sys.stderr)
        return self._lease is not None

    def _launch(self, job: Job) -> Run | None:
        attempt = self._store.claim(job)
        if attempt is None:
            return None
        assert self._lease is not None
        place = dataclasses.replace(self._idle.pop(0), cores=self._lease.cores)
        run = Run(self._store, job, attempt, place, self._command, keep_open=self._lease.files)
        self._release()  # Here; the trial holds its cores until it ends.
        return run

    def _release(self) -> None:
        if self._lease is not None:
            self._lease.close()
            self._lease = None

    def _ended(self) -> list[str]:
        ended = [key for key, run in self._runs.items() if run.poll() is not None]
        self._idle += [self._runs[key].place for key in ended]
        return ended
