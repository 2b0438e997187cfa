"""Runs jobs with the engine that is asked for."""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence

from algoperf import backends
from algoperf.spec import UsageError, no_such
from campaign import status
from campaign.engine import Report, Running
from campaign.frugal import Limits
from campaign.job_plan import Job
from campaign.local import LocalEngine, places
from campaign.process import TRIAL_COMMAND, threads_of_user
from campaign.state import State
from campaign.store import Retried, Store

ENGINES = ("local", "ray")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """How trials are run, not which; named like the flags, whose help says what they mean."""

    plan: bool = False
    status: bool = False
    engine: str = "local"
    workers: int | None = None
    """Trials at a time; None: one, or one for each of `gpus`, and as many as a Ray cluster has room for."""
    gpus: tuple[str, ...] = ()
    ray_address: str | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: int | None = None
    retry_failed: bool = False
    quiet: bool = False
    only_line: bool = False
    """Shows the line that moves, and none for each trial that ends."""
    trial_command: Sequence[str] = TRIAL_COMMAND
    """Tests pass another program."""

    @property
    def num_workers(self) -> int:
        """Of the local engine."""
        return self.workers or len(self.gpus) or 1

    def __post_init__(self) -> None:
        if self.engine not in ENGINES:
            raise no_such("engine", self.engine, ENGINES)
        if self.plan and self.status:
            raise UsageError("Give --plan or --status, not both.")
        least = {"workers": 1, "cpus_per_trial": 1, "gpus_per_trial": 0}
        for name, lowest in least.items():
            value = getattr(self, name)
            if value is not None and value < lowest:
                raise UsageError(f"--{name} must be at least {lowest}, got {value}.")
        for gpu in self.gpus:
            if not gpu.isdecimal() and not gpu.startswith(("GPU-", "MIG-")):
                raise UsageError(
                    f"--gpus={','.join(self.gpus)}: {gpu!r} is no GPU. Give numbers as in --gpus=0,1, or the names "
                    "that `nvidia-smi -L` shows."
                )
        if len(set(self.gpus)) < len(self.gpus):
            raise UsageError(
                f"--gpus={','.join(self.gpus)} names one twice: give each once, or timings would be shared."
            )
        if self.engine == "ray" and self.gpus:
            raise UsageError(
                "--gpus is for --engine=local: Ray deals out GPUs, --gpus_per_trial to each trial."
            )
        for name in ("ray_address", "cpus_per_trial", "gpus_per_trial"):
            if self.engine == "local" and getattr(self, name) is not None:
                raise UsageError(f"--{name} is for --engine=ray; the local engine has --workers and --gpus.")
        if self.engine == "local" and not (self.plan or self.status):
            places(self.num_workers, self.gpus)


def retry_failed(options: Options, store: Store, jobs: Sequence[Job]) -> None:
    """Lets trials that failed be tried again, where that is asked for; to be called before they are run."""
    if not options.retry_failed:
        return
    found = collections.Counter(store.retry(job) for job in jobs)
    for how, text in (
        (Retried.FROM_CHECKPOINT, "go on from their checkpoint"),
        (Retried.AFRESH, "start afresh"),
    ):
        if found[how]:
            print(f"Trials that failed and {text}: {found[how]}.", flush=True)


def run_jobs(
    options: Options,
    device: str,
    store: Store,
    jobs: list[Job],
    limits: Limits | None,
    watch: Callable[[Mapping[str, State]], None] | None = None,
) -> dict[str, State]:
    """Runs what is left of the jobs, and shows how it goes.

    Args:
      options: how to run.
      device: on which trials run: auto, cpu or gpu.
      store: of the jobs.
      jobs: all of them.
      limits: what may be stopped; None lets every trial run to its end.
      watch: is told the states from time to time.

    Returns:
      The final state of every job.

    Raises:
      UsageError: if no Ray cluster can be used.
      StorageError: if the disk is full; the same command continues.
      Interrupted: after a signal.
    """
    if options.engine == "ray":
        from campaign import ray_engine  # Imports Ray, an extra.

        with ray_engine.connected(options.ray_address) as nodes:
            share = ray_engine.Share.choose(nodes, options.cpus_per_trial, options.gpus_per_trial, device)
            share = dataclasses.replace(share, threads=threads_of_user(share.cpus))
            live = status.Live(jobs, store, options.workers or share.room(nodes), shown(options))
            states = ray_engine.RayEngine(
                store, jobs, share, options.workers, limits, _both(live, watch), options.trial_command
            ).run()
    else:
        if options.num_workers > 1 and not options.gpus and device != "cpu" and backends.has_nvidia_gpu():
            raise UsageError(
                f"--workers={options.num_workers} would share this machine's GPUs, and with them their timings: give "
                "one to each by --gpus=0,1,..., or run on the CPU with --device=cpu."
            )
        workers = places(options.num_workers, options.gpus)
        live = status.Live(jobs, store, len(workers), shown(options))
        states = LocalEngine(store, jobs, workers, limits, _both(live, watch), options.trial_command).run()
    live.close()
    return states


def shown(options: Options) -> status.Shown:
    """How much of the progress is shown."""
    if options.quiet:
        return status.Shown.NOTHING
    return status.Shown.LINE if options.only_line else status.Shown.ALL


def _both(live: Report, watch: Callable[[Mapping[str, State]], None] | None) -> Report:
    """What an engine reports to: the display, and who watches."""

    def report(states: Mapping[str, State], running: Mapping[str, Running]) -> None:
        live(states, running)
        if watch is not None:
            watch(states)

    return report
