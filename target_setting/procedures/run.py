"""A sweep from its first run to the targets; killed or stopped, the same command goes on.

Sweep, reruns, weak runs, targets. Which runs these are is in `sweep_jobs.py`.
"""

import dataclasses
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf import files, frameworks
from algoperf.commands import EXIT_FAILED
from algoperf.run.progress import duration
from algoperf.spec import UsageError
from campaign import status
from campaign.execution import retry_failed, run_jobs
from campaign.job_plan import Job
from campaign.options import Options as CampaignOptions
from campaign.store import Store
from target_setting import analysis, sweep_jobs, target_rules
from target_setting.procedure_flags import Common
from target_setting.sweep import ANALYSIS, RERUNS, SWEEP, WEAK, SweepTrial, read_sweep
from target_setting.sweep_jobs import SweepConfig
from target_setting.sweep_tables import on


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """The flags that say what to run; `SweepConfig` checks them."""

    workload: str | None = None
    """Another name of --workloads, for one."""
    trials: int = 20
    """Points of each algorithm, the same on every workload."""
    reruns: int = 5
    """Runs of the best point with new seeds."""
    weak_runs: int = 0
    """Runs of the best point at a tenth of its learning rate, for calibration."""
    set_by: tuple[str, ...] = ()
    """Those of --algorithms whose best point is run again and sets the targets; all by default."""
    rerun_point: str | None = None
    """JSON file with a point that is run again in place of the best one of --set_by."""
    max_steps: int | None = None
    """Updates of each run and horizon of its schedule; 3/4 of the step hint by default."""
    tuning_search_space: str | None = None
    """JSON file for all algorithms, or the name of one beside each; by default tuning_search_space_broad.json there,
    else tuning_search_space.json."""
    rng_seed: int = 0
    """Fixes points, data order, initialisation and submissions."""
    data_dir: str | None = None
    """Root of prepared data; $ALGOPERF_DATA_DIR, else ~/data/algoperf."""
    device: str = "auto"
    """auto, cpu or gpu."""
    accept_changes: bool = False
    """Count trials that ran under other code of the project or other versions, and go on with the rest."""
    min_reruns: int = 5
    """Fewest reruns that targets are set from."""
    runtime_budget: str = "workload"
    """workload keeps budget and step hint of the workload; measured takes 4/3 of the reruns' medians."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunOptions(CampaignOptions):
    """The flags that say how, and not what, to run; and where the targets go."""

    output_dir: Path | None = None


def start(common: Common, options: Options, how: Mapping[str, Any]) -> int:
    """Runs what the flags ask for; `how` are those of `campaign.flags`.

    Raises:
      UsageError: if they leave open what to run, and as `run`.
      Interrupted: as `run`.
    """
    settings = dataclasses.asdict(options)
    workload = settings.pop("workload")
    workloads = (*common.workloads, *([workload] if workload else ()))
    framework = (frameworks.get(common.framework) if common.framework else frameworks.preferred()).name
    sweep_dir = files.expanded(common.sweep_dir).resolve() if common.sweep_dir else None
    if how["status"] and (workloads or sweep_dir):
        folder = sweep_dir or sweep_jobs.default_sweep_dir(workloads, framework).resolve()
        config = sweep_jobs.saved_config(folder)
    elif not workloads:
        raise UsageError("Say what to set targets for: --workload=<name>, or --workloads=<name>,<name>, ...")
    else:
        config = SweepConfig(
            sweep_dir=sweep_dir or sweep_jobs.default_sweep_dir(workloads, framework).resolve(),
            workloads=workloads,
            algorithms=common.algorithms or sweep_jobs.ALGORITHMS,
            framework=framework,
            **settings,
        )
    return run(config, RunOptions(**how, output_dir=common.output_path))


def run(config: SweepConfig, how: RunOptions) -> int:
    """Runs what is left of the sweep, the reruns and the weak runs, sets and prints the targets; or plan or status.

    Returns:
      The exit code: 1 if a workload was left out, because its runs gave no finite metric.

    Raises:
      UsageError: for what the user can put right; finished trials stay.
      Interrupted: after a signal; the same command continues.
    """
    if how.status or how.plan:
        print(status_text(config) if how.status else plan_text(config, how.num_workers))
        return 0
    if how.detach:
        raise UsageError(
            "A sweep runs the best points again, so it waits for its trials: leave out --detach."
        )
    sweep_jobs.prepare(config, config.sweep_dir)
    left_out: dict[str, str] = {}
    for part in parts(config):
        jobs, without = _jobs(config, part)
        left_out.update(without)
        store = sweep_jobs.store_of(config, part)
        retry_failed(how, store, jobs)
        states = run_jobs(how, config.device, store, jobs, limits=None)
        lines = [f"{part}: {len(jobs)} trials, {status.counts_text(states)}."]
        lines += [*status.failures(jobs, states, store), *_cut_short(jobs, store)]
        print("\n".join(lines), flush=True)
    outcome = analysis.run(
        analysis.Config(
            procedure="targets",
            sweep_dir=config.sweep_dir,
            output_dir=how.output_dir,
            workloads=tuple(name for name in config.workloads if name not in left_out),
            framework=config.framework,
            min_reruns=config.min_reruns,
            runtime_budget=config.runtime_budget,
        )
    )
    folder = how.output_dir or config.sweep_dir / ANALYSIS
    assert isinstance(outcome.content, dict)
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
    point = sweep_jobs.given_point(config.rerun_point) if config.rerun_point else None
    setters = tuple(config.submission(given)[1] for given in config.set_by)
    sweep = read_sweep(
        config.sweep_dir, algorithms=setters, workloads=config.workloads, framework=config.framework
    )
    found: dict[str, SweepTrial] = {}
    without: dict[str, str] = {}
    for workload in config.workloads:
        trials = on(workload, sweep.trials)
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
    """Jobs of a part, and why workloads are left out of it; `points` as for `sweep_jobs.best_point_jobs`."""
    if part == SWEEP:
        return sweep_jobs.sweep_jobs(config), {}
    best, without = best_points(config)
    return sweep_jobs.best_point_jobs(config, part, best, points), without


def _cut_short(jobs: Sequence[Job], store: Store) -> list[str]:
    """A warning about trials that time ended before their updates did."""
    summaries = ((job, store.summary(job)) for job in jobs)
    found = [job for job, summary in summaries if summary and summary.status == "budget_exhausted"]
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
        sweep_jobs.prepare(config, Path(folder))
        jobs = sweep_jobs.sweep_jobs(config, Path(folder))
    store = sweep_jobs.store_of(config, SWEEP)
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
    sweep_jobs.saved_config(config.sweep_dir)  # Says so if there is nothing.
    lines: list[str] = []
    for part in parts(config):
        with tempfile.TemporaryDirectory() as points:
            jobs, without = _jobs(config, part, Path(points))
        store = sweep_jobs.store_of(config, part)
        states = store.states(jobs)
        expectations = status.Expectations(store, jobs, states)
        left = sum(expectations.of(job).seconds for job in jobs if not states[job.key].is_final)
        lines.append(f"{part}: {status.status_text(jobs, states, store, left)}")
        lines += [f"  left out: {reason}" for reason in without.values()]
        if not all(state.is_final for state in states.values()):
            break
    return "\n".join(lines)
