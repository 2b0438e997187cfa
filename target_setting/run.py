"""What `set_targets.py run` does, below its flags: the sweep, the reruns, weak runs, the targets."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path

from algoperf.commands import EXIT_FAILED
from algoperf.run.progress import duration
from campaign import status
from campaign.execution import Options, retry_failed, run_jobs
from campaign.job_plan import Job
from campaign.store import Store
from target_setting import command, plan
from target_setting import targets as target_rules
from target_setting.plan import SweepConfig
from target_setting.sweep import RERUNS, SWEEP, WEAK, SweepTrial, read_sweep


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """The flags that say how, and not what, to run."""

    output_dir: Path | None = None


def run(config: SweepConfig, options: RunOptions) -> int:
    """Runs what is left of the sweep, the reruns and the weak runs, sets and prints the targets; or plan or status.

    Returns:
      The exit code: 1 if a workload was left out, because its runs gave no finite metric.

    Raises:
      UsageError: for what the user can put right; finished trials stay.
      Interrupted: after a signal; the same command continues.
    """
    if options.status or options.plan:
        print(status_text(config) if options.status else plan_text(config, options.num_workers))
        return 0
    plan.prepare(config, config.sweep_dir)
    left_out: dict[str, str] = {}
    for part in parts(config):
        jobs, without = _jobs(config, part)
        left_out.update(without)
        store = plan.store_of(config, part)
        retry_failed(options, store, jobs)
        states = run_jobs(options, config.device, store, jobs, limits=None)
        lines = [f"{part}: {len(jobs)} trials, {status.counts_text(states)}."]
        lines += [*status.failures(jobs, states, store), *_cut_short(jobs, store)]
        print("\n".join(lines), flush=True)
    outcome = command.run(
        command.Config(
            procedure="targets",
            sweep_dir=config.sweep_dir,
            output_dir=options.output_dir,
            workloads=tuple(name for name in config.workloads if name not in left_out),
            framework=config.framework,
            min_reruns=config.min_reruns,
            runtime_budget=config.runtime_budget,
        )
    )
    folder = options.output_dir or config.sweep_dir / command.ANALYSIS
    set_on = list(outcome.content["targets"])
    use = (
        f"To use the targets: python submission_runner.py --suite={folder / 'targets.json'} "
        f"--workload={set_on[0]} ..."
    )
    print(f"\n{outcome.text()}\n\n{use}")
    missing = [name for name in config.workloads if name not in set_on]
    for name in missing:
        print(f"\nWarning: {name} has no targets. {left_out.get(name, 'Its reruns gave none, see above.')}")
    return EXIT_FAILED if missing else 0


def best_points(config: SweepConfig) -> tuple[dict[str, SweepTrial], dict[str, str]]:
    """Workload -> best trial in the folder, of all algorithms or those that set the targets; -> why there is none.

    With a point that is given, it stands in the trial's place: of it only algorithm, workload and point count.

    Raises:
      UsageError: if no workload has one.
    """
    point = plan.given_point(config.rerun_point) if config.rerun_point else None
    setters = tuple(config.submission(given)[1] for given in config.set_by)
    sweep = read_sweep(
        config.sweep_dir, algorithms=setters, workloads=config.workloads, framework=config.framework
    )
    found: dict[str, SweepTrial] = {}
    without: dict[str, str] = {}
    for workload in config.workloads:
        trials = [trial for trial in sweep.trials if trial.workload == workload]
        if not trials:
            without[workload] = f"No trial on {workload} in {config.sweep_dir} can be read: see --status."
        elif point:
            found[workload] = dataclasses.replace(trials[0], point=point)
        else:
            try:
                found[workload] = target_rules.best(trials)
            except target_rules.NoResultError as error:
                without[workload] = str(error)
    if not found:
        raise target_rules.NoResultError(next(iter(without.values())))
    return found, without


def parts(config: SweepConfig) -> tuple[str, ...]:
    """Of the sweep folder, in the order in which they run."""
    return (SWEEP, RERUNS, WEAK) if config.weak_runs else (SWEEP, RERUNS)


def _jobs(config: SweepConfig, part: str, points: Path | None = None) -> tuple[list[Job], dict[str, str]]:
    """Jobs of a part, and why workloads are left out of it; `points` as for `plan.best_point_jobs`."""
    if part == SWEEP:
        return plan.sweep_jobs(config), {}
    best, without = best_points(config)
    return plan.best_point_jobs(config, part, best, points), without


def _cut_short(jobs: Sequence[Job], store: Store) -> list[str]:
    """A warning about trials that time ended before their updates did."""
    found = [job for job in jobs if (store.summary(job) or {}).get("status") == "budget_exhausted"]
    if not found:
        return []
    return [
        f"  warning: {len(found)} trials ended at their time limit before {found[0].max_steps} updates, as "
        f"{found[0].key}: this machine is too slow, or they hung."
    ]


# ---- plan and status ------------------------------------------------------------------------------------------------


def plan_text(config: SweepConfig, num_workers: int) -> str:
    """Every trial of the sweep with its point and cost, and what the reruns will take; nothing is kept on disk."""
    with tempfile.TemporaryDirectory() as folder:
        plan.prepare(config, Path(folder))
        jobs = plan.sweep_jobs(config, Path(folder))
    store = plan.store_of(config, SWEEP)
    states = store.states(jobs)
    expectations = status.Expectations(store, jobs, states)
    lines = [status.plan_text(jobs, states, expectations, num_workers)]
    for workload in config.workloads:
        own = [job for job in jobs if job.workload == workload]
        seconds = (config.reruns + config.weak_runs) * max(expectations.of(job).seconds for job in own)
        weak = f" and {config.weak_runs} of its weak version" if config.weak_runs else ""
        lines.append(
            f"{workload}: {own[0].max_steps:,} updates a run. Then {config.reruns} reruns of the best point{weak}, in "
            f"about {duration(seconds / num_workers)}."
        )
    lines.append(f"All goes to {config.sweep_dir}.")
    return "\n".join(lines)


def status_text(config: SweepConfig) -> str:
    """Where the parts of the sweep stand, wherever they run. Nothing is written into the sweep folder."""
    plan.saved_config(config.sweep_dir)  # Says so if there is nothing.
    lines: list[str] = []
    for part in parts(config):
        with tempfile.TemporaryDirectory() as points:
            jobs, without = _jobs(config, part, Path(points))
        store = plan.store_of(config, part)
        states = store.states(jobs)
        expectations = status.Expectations(store, jobs, states)
        left = sum(expectations.of(job).seconds for job in jobs if not states[job.key].is_final)
        lines.append(f"{part}: {status.status_text(jobs, states, store, left)}")
        lines += [f"  left out: {reason}" for reason in without.values()]
        if not all(state.is_final for state in states.values()):
            break
    return "\n".join(lines)
