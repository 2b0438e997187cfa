"""Runs jobs with the engine that is asked for."""

import collections
import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from algoperf import backends
from algoperf.spec import UsageError
from campaign import status
from campaign.engine import Report, Running
from campaign.frugal import Limits
from campaign.job_plan import Job
from campaign.local import LocalEngine, places
from campaign.options import Options
from campaign.process import threads_of_user
from campaign.state import State
from campaign.store import Retried, Store

if TYPE_CHECKING:
    from campaign.slurm_engine import SlurmEngine


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
      UsageError: if the engine runs nothing; if no Ray cluster, or no Slurm, can be used.
      StorageError: if the disk is full; the same command continues.
      Interrupted: after a signal.
    """
    if options.engine == "files":
        raise UsageError("--engine=files only writes files, and the targets of a sweep follow from its runs.")
    if options.engine == "ray":
        from campaign import ray_engine  # Imports Ray, an extra.

        with ray_engine.connected(options.ray_address) as nodes:
            share = ray_engine.Share.choose(nodes, options.cpus_per_trial, options.gpus_per_trial, device)
            share = dataclasses.replace(share, threads=threads_of_user(share.cpus))
            live = status.Live(jobs, store, options.workers or share.room(nodes), shown(options))
            states = ray_engine.RayEngine(
                store, jobs, share, options.workers, limits, _both(live, watch), options.trial_command
            ).run()
    elif options.engine == "slurm":
        live = status.Live(jobs, store, options.workers or len(jobs), shown(options))
        slurm = _slurm_engine(options, device, store, jobs, limits, _both(live, watch))
        states = slurm.states if options.detach else slurm.run()
        if options.detach:
            _tell_what_is_left(slurm.leave(), store, limits)
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


def _slurm_engine(
    options: Options, device: str, store: Store, jobs: list[Job], limits: Limits | None, report: Report
) -> "SlurmEngine":
    from campaign.slurm_engine import SlurmEngine
    from campaign.slurm_queue import Queue

    gpus = options.gpus_per_trial if options.gpus_per_trial is not None else int(device == "gpu")
    share = {
        "cpus": options.cpus_per_trial,
        "gpus": gpus,
        "threads": threads_of_user(options.cpus_per_trial or 0),
    }
    queue = Queue(store, dataclasses.replace(options, gpus_per_trial=gpus), share, options.trial_command)
    return SlurmEngine(store, jobs, queue, limits, report)


def _tell_what_is_left(queued: Mapping[str, str], store: Store, limits: Limits | None) -> None:
    """Says what a detached command leaves behind."""
    arrays = ", ".join(sorted({name.partition("_")[0] for name in queued.values()}))
    where = f" as Slurm jobs {arrays}" if arrays else ""
    print(
        f"{len(queued)} trials are queued{where}; --status --experiment_dir={store.root.parent} tells how they do, and "
        "the same command without --detach waits for them and scores them."
    )
    if limits is not None:
        print("Nothing watches them: trials that can no longer change a score run to their end (--frugal).")


def _both(live: Report, watch: Callable[[Mapping[str, State]], None] | None) -> Report:
    """What an engine reports to: the display, and who watches."""

    def report(states: Mapping[str, State], running: Mapping[str, Running]) -> None:
        live(states, running)
        if watch is not None:
            watch(states)

    return report
