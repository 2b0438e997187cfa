"""The preflight of a plan: each submission on each of its workloads is tried once, and the whole is forecast."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from algoperf import host_limits, machine
from algoperf.commands import EXIT_FAILED
from algoperf.preflight import report, start
from algoperf.preflight.forecast import Forecast
from algoperf.preflight.probe import Limits, Result
from algoperf.preflight.probe import Place as TriedPlace
from algoperf.run.progress import duration
from algoperf.run.study import StudyPlan
from algoperf.spec import UsageError
from campaign.execution import Options
from campaign.job_plan import Campaign, Job, make_jobs
from campaign.local import places
from campaign.process import LAUNCH
from campaign.store import Store
from scoring.text import table, terminal_width

Pair = tuple[str, str]
"""Submission and workload."""


@dataclass(frozen=True)
class Tried:
    """One submission on one workload."""

    plan: StudyPlan
    result: Result
    forecast: Forecast | None


def run(campaign: Campaign, options: Options, memory_bytes: int | None = None) -> int:
    """Tries what a campaign would run, one after the other, and says what it comes to; returns the exit code.

    Args:
      campaign: what is to be run.
      options: how; workers divide cores, and memory where `memory_bytes` is None.
      memory_bytes: that one trial may take.

    Returns:
      0, or 1 if something of it would fail.

    Raises:
      UsageError: for mistakes of the user.
    """
    if options.plan or options.status:
        raise UsageError("Give one of --plan, --status and --preflight.")
    if options.engine != "local":
        raise UsageError(
            f"--preflight tries trials on this machine: leave out --engine={options.engine}, and start it on one like "
            "those that will run them."
        )
    store = Store(campaign.experiment_dir, accept_changes=True)
    jobs = make_jobs(campaign)
    states = store.states(jobs)
    left = [job for job in jobs if not states[job.key].is_final]
    if not left:
        print(f"preflight: nothing is left to be done in {campaign.experiment_dir}.")
        return 0
    limits = start.limits_of(memory_bytes, options.num_workers)
    busy = None if options.quiet else machine.busy_warning()
    tried = {}
    for job in left:
        if (job.submission, job.workload) not in tried:
            tried[job.submission, job.workload] = _tried(job, options, limits)
    print(_table(tried))
    lines = [*_problems(tried, limits), *_whole(campaign, options, left, tried, memory_bytes)]
    print("\n".join([*([f"note: {busy}"] if busy else []), *_notes(tried), *lines]))
    fails = any(line.startswith(_MARKS) for line in lines)
    return EXIT_FAILED if fails else 0


_MARKS = ("FAILS", "OUT OF MEMORY", "NO ROOM")


def _tried(job: Job, options: Options, limits: Limits) -> Tried:
    plan = StudyPlan.of(job.settings)
    start.check(plan)
    place = places(options.num_workers, options.gpus)[0]
    command = (*LAUNCH, str(os.getpid()), ",".join(map(str, place.cores)))
    result = start.try_trial(
        plan, job.trial, limits, TriedPlace(command=command, environment=place.environment())
    )
    return Tried(plan, result, start.outlook(plan, result))


def _table(tried: Mapping[Pair, Tried]) -> str:
    """A row for every submission on every workload."""
    header = ["submission", "workload", "batch", "memory", "most in", "optimizer", "first update"]
    header += ["update", "updates", "of hint", "evaluation", "one trial", "disk"]
    rows = []
    for (submission, workload), one in tried.items():
        first, ahead = one.result.found, one.forecast
        peak = max(first.phases, key=lambda phase: phase.peak_bytes, default=None)
        facts = first.facts
        row = [submission, workload, str(facts.batch_size or "?")]
        row += ["?", "?"] if peak is None else [report.size(peak.peak_bytes), peak.name]
        row += [report.size(facts.optimizer_bytes)]
        if ahead is None:
            row += [first.status, *[""] * 6]
        else:
            row += [report.seconds(ahead.update_sec + ahead.compile_sec), report.seconds(ahead.update_sec)]
            row += [f"{ahead.num_updates:,}", f"{ahead.of_hint:.0%}", report.seconds(ahead.evaluation_sec)]
            row += [duration(ahead.wall_sec), report.size(ahead.disk_bytes)]
        rows.append(row)
    return table(header, rows, num_left=2, width=terminal_width())


def _problems(tried: Mapping[Pair, Tried], limits: Limits) -> Iterator[str]:
    for one in tried.values():
        yield from report.problems(one.plan.workload, one.result, limits, one.forecast)


def _notes(tried: Mapping[Pair, Tried]) -> Iterator[str]:
    for one in tried.values():
        yield from report.notes(one.plan.workload, one.forecast)


def _whole(
    campaign: Campaign,
    options: Options,
    left: Sequence[Job],
    tried: Mapping[Pair, Tried],
    memory_bytes: int | None,
) -> Iterator[str]:
    """The forecast of all that is to be done, and what there is no room for."""
    ahead = [tried[job.submission, job.workload].forecast for job in left]
    known = [one for one in ahead if one is not None]
    missing = (
        "" if len(known) == len(ahead) else f", without {len(ahead) - len(known)} trials that cannot be run"
    )
    if not known:
        return
    hours = sum(one.wall_sec for one in known) / 3600
    disk = sum(one.disk_bytes for one in known)
    memory = options.num_workers * max(one.host_bytes for one in known)
    workers = f"{options.num_workers} worker{'s' if options.num_workers > 1 else ''}"
    yield (
        f"{len(known)} trials, if none reaches its target{missing}: {hours:.2f} machine-hours, "
        f"{duration(hours * 3600 / options.num_workers)} with {workers}; {report.size(memory)} of memory, "
        f"{report.size(disk)} of disk."
    )
    free = shutil.disk_usage(_existing(campaign.experiment_dir)).free
    if disk > free:
        yield (
            f"NO ROOM: {campaign.experiment_dir} has {report.size(free)} free, and results take {report.size(disk)}: "
            "free some, or give another --experiment_dir."
        )
    available = host_limits.memory().available
    if memory_bytes is None and memory > available:
        yield (
            f"NO ROOM: {workers} take {report.size(memory)} of memory, and {report.size(available)} are free: give "
            "fewer --workers."
        )


def _existing(folder: Path) -> Path:
    """The folder, or the nearest above it that is there."""
    return next(one for one in (folder, *folder.parents) if one.exists())
