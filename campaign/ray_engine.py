"""The Ray engine: trials as tasks of an existing Ray cluster (Ray Core).

The command submits a task per trial, as many as the cluster has room for. A task claims the job on its node, in the
shared folder, and runs it there in a fresh process, so claims, heartbeats and records are those of the local engine,
and several commands, of either engine, may work on one campaign. To stop a trial the command writes a request into the
shared folder, which the task sees.

Failures: when a node dies, its tasks die with it; when the command ends, so do all its tasks; and a task takes its
trial with it, often before a last checkpoint is written. A trial on a node that Ray reports as dead is started again
elsewhere at once, from its last checkpoint, and this does not count as a crash of the trial. Ray's own retries are off,
because the claims on disk decide who runs what.

Cores: Ray counts CPUs but binds nothing to them. Where Ray's nodes on a machine count at least the cores that their
processes may use, every trial is bound to cores of its own, across all of those nodes. Where they count fewer, as in a
container with a quota, it is unknown which cores belong to the cluster: only the number of threads of a trial is
limited. A GPU is given to one trial; a trial without one sees none.
"""

import collections
import os
import signal
import socket
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algoperf.files import StorageError
from algoperf.spec import UsageError
from campaign import cores, remote
from campaign.engine import Engine, Report
from campaign.frugal import Limits
from campaign.job_plan import ROOT, Job
from campaign.process import TRIAL_COMMAND, Place
from campaign.state import State
from campaign.store import MAX_LOST, Attempt, Outcome, Store

try:
    import ray
except ModuleNotFoundError:  # An extra; `connected` says so.
    ray = None

ANSWER_SEC = 5.0
"""For a cluster to take a connection; Ray alone would try for minutes."""


@contextmanager
def connected(address: str | None) -> Iterator[list[dict[str, Any]]]:
    """Connects to a running cluster for the time of the context; gives its nodes, as `ray.nodes` describes them.

    Args:
      address: host:port of its head; None takes $RAY_ADDRESS, else the cluster that this machine is a node of.

    Raises:
      UsageError: if Ray is not installed or no cluster answers.
    """
    if ray is None:
        raise UsageError("--engine=ray needs Ray, which is not installed: pip install -e '.[ray]'.")
    address = address or os.environ.get("RAY_ADDRESS") or "auto"
    advice = (
        "Start one with `ray start --head`, join this machine to it with `ray start --address=<host>:6379`, and give "
        "--ray_address=<host>:6379."
    )
    if address != "auto":
        host, _, port = address.rpartition(":")
        if not host or not port.isdecimal() or "/" in host:
            raise UsageError(
                f"--ray_address={address} is not <host>:<port>, the address of the cluster's head."
            )
        try:
            socket.create_connection((host, int(port)), ANSWER_SEC).close()
        except OSError as error:
            raise UsageError(f"No Ray cluster answers at {address} ({error}). {advice}") from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level="ERROR")
    except (
        ConnectionError,
        RuntimeError,
        ValueError,
    ) as error:  # Not there; another version; not a node of it.
        raise UsageError(f"No Ray cluster can be used at {address} ({error}). {advice}") from None
    try:
        yield ray.nodes()
    finally:
        ray.shutdown()


@dataclass(frozen=True)
class Share:
    """What a trial takes of a node."""

    cpus: int
    gpus: int
    threads: str | None = field(default=None, repr=False)
    """See `Place.threads`; from where the command runs, as Ray sets the variable of its tasks itself."""

    @classmethod
    def choose(
        cls, nodes: Sequence[Mapping[str, Any]], cpus: int | None, gpus: int | None, device: str
    ) -> "Share":
        """What is asked for; by default a GPU if there are any, and all CPUs that a node has for a trial.

        The least of all nodes counts, so that a trial has the same number of them wherever it runs.

        Args:
          nodes: of the cluster, as `ray.nodes` describes them.
          cpus: of a trial; None chooses.
          gpus: of a trial; None chooses.
          device: on which trials run: auto, cpu or gpu.

        Raises:
          UsageError: if no node has as much.

        >>> nodes = [{"Alive": True, "Resources": {"CPU": 8.0, "GPU": 2.0}}, {"Alive": True, "Resources": {"CPU": 4.0}}]
        >>> Share.choose(nodes, None, None, "cpu"), Share.choose(nodes, None, None, "auto")
        (Share(cpus=4, gpus=0), Share(cpus=4, gpus=1))
        """
        alive = [_resources(node) for node in nodes if node["Alive"]]
        if gpus is None:
            has_gpus = any(has_gpu for _, has_gpu in alive)
            gpus = int(device == "gpu" or (device == "auto" and has_gpus))
        if cpus is None:
            shares = [num // max(1, own // gpus if gpus else 1) for num, own in alive if num and own >= gpus]
            cpus = max(1, min(shares, default=1))
        share = cls(cpus, gpus)
        if not share.room(nodes):
            has = "; ".join(f"{num} CPUs and {own} GPUs" for num, own in alive)
            raise UsageError(
                f"No node of the Ray cluster has room for a trial of {cpus} CPUs and {gpus} GPUs: its nodes have "
                f"{has}. Lower --cpus_per_trial or --gpus_per_trial, or add a node."
            )
        return share

    def room(self, nodes: Sequence[Mapping[str, Any]]) -> int:
        """How many trials the living nodes hold at a time.

        >>> Share(2, 0).room([{"Alive": True, "Resources": {"CPU": 5.0}}, {"Alive": False, "Resources": {"CPU": 8.0}}])
        2
        """
        alive = [_resources(node) for node in nodes if node["Alive"]]
        return sum(min(num // self.cpus, own // self.gpus if self.gpus else num) for num, own in alive)


def _resources(node: Mapping[str, Any]) -> tuple[int, int]:
    """(CPUs, GPUs) of a node."""
    return int(node["Resources"].get("CPU", 0)), int(node["Resources"].get("GPU", 0))


# ---- on a node ---------------------------------------------------------------------------------------------------


def run_trial(store: Store, job: Job, share: Share, command: Sequence[str]) -> Outcome | None:
    """The task: claims a job and runs it to its end; None if another has claimed it or it is no longer wanted."""
    # `ray.cancel` is for tasks in the queue, but would interrupt one that has begun, too. That one is asked through its
    # request file, so that its trial can write a checkpoint.
    signal.signal(signal.SIGINT, lambda *_: None)
    context = ray.get_runtime_context()
    request = remote.request_path(store, context.get_task_id())
    lease = _lease(share.cpus, request)
    if lease is None:
        return None
    try:
        attempt = store.claim(job, node=context.get_node_id(), task=context.get_task_id())
        if attempt is None:
            return None
        # Ray shows a trial the GPUs that it has been given, and all where it has been given none.
        place = Place(lease.cores, None if share.gpus else "", share.threads)
        return remote.run_claimed(store, job, attempt, place, command, lease, request)
    finally:
        lease.close()


def _lease(number: int, request: Path) -> cores.Lease | None:
    """Cores for a trial; an empty lease where cores cannot be assigned; None if the trial is no longer wanted."""
    usable = cores.usable()
    here = [
        _resources(node)[0] for node in ray.nodes() if node["NodeManagerHostname"] == socket.gethostname()
    ]
    if sum(here) < len(usable) or number > len(usable):
        return cores.Lease(())
    return remote.take_cores(number, usable, request.exists)


# ---- where the command runs --------------------------------------------------------------------------------------


class Task(remote.Task):
    """A trial that was submitted to the cluster."""

    def __init__(self, store: Store, job: Job, ref: "ray.ObjectRef"):
        super().__init__(store, job, ref.task_id().hex())
        self.ref = ref

    def _cancel(self) -> None:
        if not self.is_claimed():
            ray.cancel(self.ref)


class RayEngine(Engine[Task]):
    """Submits jobs to the cluster that this process is connected to.

    Args:
      store: of the campaign, in a folder that all nodes share.
      jobs: all of them.
      share: what a trial takes of a node.
      max_trials: how many are submitted at a time; None for as many as there is room for on the living nodes.
      limits: what may be stopped; None lets every trial run to its end.
      report: is told states and runs from time to time.
      command: the program that runs a trial; tests pass another.
    """

    def __init__(
        self,
        store: Store,
        jobs: Sequence[Job],
        share: Share,
        max_trials: int | None,
        limits: Limits | None,
        report: Report,
        command: Sequence[str] = TRIAL_COMMAND,
    ):
        super().__init__(store, jobs, limits, report)
        self._share, self._max_trials, self._command = share, max_trials, command
        self._crashed: set[str] = set()
        self._unclaimed: collections.Counter[str] = collections.Counter()
        """Job -> tasks that were lost before they could claim it, which leave no attempt."""
        # No retries by Ray: a task that is started again would find its job claimed by the task that died.
        self._task = ray.remote(run_trial).options(
            num_cpus=share.cpus, num_gpus=share.gpus, max_retries=0, scheduling_strategy="SPREAD"
        )
        self._look_at_nodes()

    def _has_room(self) -> bool:
        return len(self._runs) < (self._max_trials or self._room)

    def _launch(self, job: Job) -> Task:
        ref = self._task.remote(self._store, job, self._share, self._command)
        return Task(self._store, job, ref)

    def _ended(self) -> list[str]:
        keys = {task.ref: key for key, task in self._runs.items()}
        if not keys:
            return []
        ended, _ = ray.wait(list(keys), num_returns=len(keys), timeout=0)
        for ref in ended:
            self._take_out(self._runs[keys[ref]])
        return [keys[ref] for ref in ended]

    def _take_out(self, task: Task) -> None:
        """Notes what Ray says of a task that has ended; how its trial ended is on disk.

        Raises:
          UsageError: if nodes cannot run trials at all.
        """
        task.close()
        try:
            ray.get(task.ref)
        except (
            ray.exceptions.WorkerCrashedError,
            ray.exceptions.NodeDiedError,
            ray.exceptions.ObjectLostError,
            ray.exceptions.TaskCancelledError,  # By us, in the queue.
        ):
            self._crashed.add(task.id)
            self._look_at_nodes()
            self._count_unclaimed(task)
        except ray.exceptions.OutOfMemoryError as error:
            last = self._last_attempt(task.job)
            if last is not None and last.content.get("task") == task.id and last.outcome is None:
                self._store.end(task.job, last, Outcome.CRASHED, str(error))
        except ray.exceptions.RayError as error:
            cause = getattr(error, "cause", None)
            if isinstance(cause, StorageError):
                task.storage_error = cause
                return
            message = str(error).strip().splitlines()[-1]
            raise UsageError(
                f"{task.job.key} cannot run on the Ray cluster: {message}. Every node needs this repository "
                f"({ROOT}), what it needs installed, and the folder {self._store.root.parent}, under the same paths."
            ) from error

    def _count_unclaimed(self, task: Task) -> None:
        """Raises UsageError where Ray loses one task of a job after the other, before its trial can begin."""
        if task.was_asked or task.is_claimed():
            return
        self._unclaimed[task.job.key] += 1
        if self._unclaimed[task.job.key] >= MAX_LOST:
            raise UsageError(
                f"Ray has lost {MAX_LOST} tasks of {task.job.key} before the trial began: see the logs of its workers "
                "(/tmp/ray/session_latest/logs on each node); the same command goes on when that is mended."
            )

    def _check(self) -> None:
        self._look_at_nodes()
        super()._check()

    def _look_at_nodes(self) -> None:
        nodes = ray.nodes()
        self._room = self._share.room(nodes)
        self._dead = {node["NodeID"] for node in nodes if not node["Alive"]}

    def _refresh(self, key: str) -> None:
        task = self._runs.get(key)
        was_running = self.states[key] is State.RUNNING
        super()._refresh(key)
        if task is None and self._lose_dead(self._jobs[key]):
            super()._refresh(key)
        if task is not None and not was_running:
            task.started = time.monotonic()

    def _lose_dead(self, job: Job) -> bool:
        """Records as lost the last attempt if its node is dead, or if its task has crashed on this machine.

        A crashed task on another machine may have left its trial running there, so its claim has to expire.
        """
        last = self._last_attempt(job)
        if last is None:
            return False
        is_crashed = last.content.get("task") in self._crashed and self._store.is_of_this_machine(last)
        is_dead = is_crashed or last.content.get("node") in self._dead
        return is_dead and self._store.lose(last)

    def _last_attempt(self, job: Job) -> Attempt | None:
        attempts = self._store.attempts(job)
        return attempts[-1] if attempts else None
