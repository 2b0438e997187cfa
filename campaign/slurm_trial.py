"""What a Slurm job does on its node: claims one trial in the shared folder and runs it to its end.

submitit starts it, and asks it for a checkpoint when Slurm says that it is preempted or that its time is nearly over
(SIGUSR2): the trial writes its checkpoint and ends, the job goes back into the queue, and when it runs again the trial
goes on. SIGTERM, as before a preemption without that signal, does the same, but for the queue: Slurm itself then puts
the job back, or takes it away.

The trial is watched by a thread, as the main one waits for signals: a handler that ran amid the writing of a record
would find it half written.
"""

import os
import signal
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from campaign import cores, remote
from campaign.job_plan import Job
from campaign.process import Place
from campaign.store import Outcome, Store

SHOWN_SEC = 0.1
"""How soon a signal acts."""
LINGER_SEC = 600.0
"""After SIGTERM a job stays until Slurm ends it: one that ended by itself would count as complete, not as preempted."""
OWN_SIGNALS = {signal.SIGUSR1, signal.SIGUSR2}
"""Sent to every process of a job. They are for this one; a trial would die of them."""


@dataclass
class Trial:
    """A function without arguments, as submitit takes them; see the text of the module."""

    store: Store
    job: Job
    command: Sequence[str]
    cpus: int | None = None
    """Processors; None takes what Slurm gives."""
    gpus: int = 0
    threads: str | None = None
    """See `Place.threads`."""
    _is_asked: bool = field(default=False, repr=False)
    _has_ended: bool = field(default=False, repr=False)
    _result: list[Outcome | None] = field(default_factory=list, repr=False)
    _error: BaseException | None = field(default=None, repr=False)

    def __call__(self) -> str | None:
        """Runs the trial; returns how it ended, None if somebody else has it or it is no longer wanted."""
        import submitit

        self._is_asked = self._has_ended = False
        environment = submitit.JobEnvironment()
        is_slurm = environment.cluster == "slurm"
        terminated: list[int] = []

        def on_term(number: int, frame: FrameType | None) -> None:
            del frame
            terminated.append(number)
            self._is_asked = True

        signal.signal(signal.SIGTERM, on_term)
        threading.Thread(target=self._work, args=(environment.job_id,)).start()
        try:
            self._wait()
        except BaseException:
            self._is_asked = True
            raise
        if self._error is not None:
            raise self._error
        if terminated and is_slurm:
            time.sleep(LINGER_SEC)
        return str(self._result[0]) if self._result and self._result[0] is not None else None

    def checkpoint(self) -> Any:
        """Called by submitit in place of going on: what the job is to do when it has left the queue again."""
        import submitit

        self._is_asked = True
        self._wait()
        again = Trial(self.store, self.job, self.command, self.cpus, self.gpus, self.threads)
        return submitit.helpers.DelayedSubmission(again)

    def _wait(self) -> None:
        # No lock: signals arrive in here, and their handlers wait in here, too.
        while not self._has_ended:
            time.sleep(SHOWN_SEC)

    def _work(self, task: str) -> None:
        # The mask of this thread is that of the processes that it starts.
        signal.pthread_sigmask(signal.SIG_BLOCK, OWN_SIGNALS)
        try:
            self._result.append(self._run(task))
        except BaseException as error:
            self._error = error
        finally:
            self._has_ended = True

    def _run(self, task: str) -> Outcome | None:
        request = remote.request_path(self.store, task)
        restart = os.environ.get("SLURM_RESTART_COUNT", "0")
        usable = cores.usable()
        number = self.cpus or int(os.environ.get("SLURM_CPUS_ON_NODE") or len(usable))
        lease: cores.Lease | None = cores.Lease(())
        if number <= len(usable):
            lease = remote.take_cores(number, usable, lambda: self._is_asked or request.exists())
        if lease is None or request.exists():
            return None
        try:
            self._give_up_earlier(task, restart)
            attempt = self.store.claim(self.job, task=task, restart=restart, engine="slurm")
            if attempt is None:
                return None
            place = Place(lease.cores, None if self.gpus else "", self.threads)
            return remote.run_claimed(
                *(self.store, self.job, attempt, place, self.command, lease, request),
                is_asked=lambda: self._is_asked,
            )
        finally:
            lease.close()

    def _give_up_earlier(self, task: str, restart: str) -> None:
        """Records as lost what this job did before it was queued again, where its node died: Slurm has seen to that."""
        attempts = self.store.attempts(self.job)
        last = attempts[-1] if attempts else None
        if last is not None and last.content.get("task") == task and last.content.get("restart") != restart:
            self.store.lose(last)
