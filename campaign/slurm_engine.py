"""The Slurm engine: trials as entries of a job array, submitted through submitit.

All that is left of a campaign is submitted at once, and Slurm decides what runs when and where. On its node a job
claims its trial on disk, so claims, heartbeats and records are those of the local engine, and several commands, of any
engine, may work on one campaign. The command waits, or leaves the jobs alone (`--detach`); a later one finds those that
are still queued, and submits only what is not.
"""

import collections
import time
from collections.abc import Sequence

from algoperf.spec import UsageError
from campaign import remote, slurm_queue
from campaign.engine import Engine, Report
from campaign.frugal import Limits
from campaign.job_plan import Job
from campaign.process import last_evaluation
from campaign.slurm_queue import Queue
from campaign.state import State
from campaign.store import Store

MAX_UNCLAIMED = 3
"""Jobs of one trial that end before it has begun: then something is wrong with the nodes or the installation."""


class Task(remote.Task):
    """A trial that was submitted to Slurm."""

    def __init__(self, store: Store, job: Job, name: str):
        super().__init__(store, job, name)
        self.is_to_cancel = False

    def _cancel(self) -> None:
        self.is_to_cancel = True  # All with one call, see `SlurmEngine._ended`.


class SlurmEngine(Engine[Task]):
    """Submits jobs to Slurm, and waits for them.

    Args:
      store: of the campaign, in a folder that all nodes share.
      jobs: all of them.
      queue: takes them.
      limits: what may be stopped; None lets every trial run to its end.
      report: is told states and runs from time to time.
    """

    def __init__(
        self, store: Store, jobs: Sequence[Job], queue: Queue, limits: Limits | None, report: Report
    ):
        super().__init__(store, jobs, limits, report)
        self._queue = queue
        self._unclaimed: collections.Counter[str] = collections.Counter()
        self._looked = 0.0
        self._take_over()

    def _take_over(self) -> None:
        """Finds what earlier commands have submitted and Slurm still has."""
        living = (self._queue.living() or set()) if self._queue.cluster == "slurm" else set()
        for name, key in slurm_queue.submitted(self._store).items():
            if name in living and key in self._jobs and not self.states[key].is_final:
                self._runs[key] = Task(self._store, self._jobs[key], name)
                self._steps_before[key] = 0.0

    def leave(self) -> dict[str, str]:
        """Submits what is not queued yet, and waits for nothing; returns the Slurm job of each by its key."""
        self._start()
        return {key: run.id for key, run in self._runs.items()}

    def _start(self) -> None:
        """Submits all that wait, as one array."""
        waiting = [
            self._jobs[key]
            for key, state in self.states.items()
            if state is State.WAITING and key not in self._runs
        ]
        if not waiting:
            return
        for job in waiting:
            self._steps_before[job.key] = last_evaluation(job.folder)[1]
        for key, name in self._queue.submit(waiting).items():
            self._runs[key] = Task(self._store, self._jobs[key], name)

    def _has_room(self) -> bool:
        return True  # Slurm queues.

    def _launch(self, job: Job) -> Task:
        (name,) = self._queue.submit([job]).values()
        return Task(self._store, job, name)

    def _ended(self) -> list[str]:
        if time.monotonic() - self._looked < self._queue.look_sec:
            return []
        self._looked = time.monotonic()
        self._queue.cancel([run.id for run in self._runs.values() if run.is_to_cancel])
        for run in self._runs.values():
            run.is_to_cancel = False
        living = self._queue.living()
        if living is None:
            return []  # Slurm may be restarting; what runs goes on.
        ended = [key for key, run in self._runs.items() if run.id not in living]
        for key in ended:
            run = self._runs[key]
            run.close()
            self._count_unclaimed(run)
        return ended

    def _count_unclaimed(self, task: Task) -> None:
        """Raises UsageError where one job of a trial after the other ends before the trial has begun."""
        if task.was_asked or task.is_claimed() or self._store.state(task.job) is not State.WAITING:
            return
        self._unclaimed[task.job.key] += 1
        if self._unclaimed[task.job.key] >= MAX_UNCLAIMED:
            tail = self._queue.log_tail(task.id).splitlines()
            said = f": {tail[-1].strip()}" if tail else ""
            raise UsageError(
                f"{MAX_UNCLAIMED} Slurm jobs of {task.job.key} have ended before the trial began{said} (logs: "
                f"{self._queue.folder}/{task.id}_0_log.*). Every node needs this Python, this project and "
                f"{self._store.root.parent}, under the same paths; the same command goes on when that is mended."
            )

    def _refresh(self, key: str) -> None:
        was_running = self.states[key] is State.RUNNING
        super()._refresh(key)
        task = self._runs.get(key)
        if task is not None and not was_running and self.states[key] is State.RUNNING:
            task.started = time.monotonic()
            self._steps_before[key] = last_evaluation(task.job.folder)[1]
