"""What `run_benchmark.py` does, below its flags."""

import dataclasses
import json
from typing import Any

from algoperf import records
from algoperf.spec import UsageError, no_such
from campaign import status
from campaign.frugal import Limits
from campaign.local import LocalEngine, places
from campaign.plan import Campaign, Job, make_jobs
from campaign.store import FOLDER, State, Store
from scoring import command as scoring_command
from scoring import published
from scoring.records import AXES

ENGINES = ("local", "ray")
SAVED = "campaign.json"
EXIT_FAILED = 1


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """The flags of run_benchmark.py beside those of the campaign."""

    plan: bool = False
    status: bool = False
    engine: str = "local"
    workers: int | None = None
    """Trials at a time; None: one, and as many as a Ray cluster has room for."""
    gpus: tuple[str, ...] = ()
    ray_address: str | None = None
    cpus_per_trial: int | None = None
    gpus_per_trial: int | None = None
    frugal: bool | None = None
    """None: as the suite says."""
    quiet: bool = False

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
        if self.engine == "ray" and self.gpus:
            raise UsageError(
                "--gpus is for --engine=local: Ray deals out GPUs, --gpus_per_trial to each trial."
            )
        for name in ("ray_address", "cpus_per_trial", "gpus_per_trial"):
            if self.engine == "local" and getattr(self, name) is not None:
                raise UsageError(f"--{name} is for --engine=ray; the local engine has --workers and --gpus.")


def run(campaign: Campaign, config: Config) -> int:
    """Plans, shows or runs a campaign, and prints the scores at its end.

    Returns:
      0, or 1 if trials failed.

    Raises:
      UsageError: for what the user can put right.
      Interrupted: after a signal; the same command continues.
    """
    store = Store(campaign)
    jobs = make_jobs(campaign)
    states = store.states(jobs)
    if config.plan or config.status:
        expectations = status.Expectations(store, jobs, states)
        if config.plan:
            print(status.plan_text(jobs, states, expectations, config.workers or 1))
        else:
            left = sum(expectations.of(job).seconds for job in jobs if not states[job.key].is_final)
            print(status.status_text(jobs, states, store, left))
        return 0
    check_comparison(campaign)
    _save(campaign, store)
    suite = campaign.cut_suite()
    is_frugal = suite.frugal if config.frugal is None else config.frugal
    limits = Limits(jobs, suite, suite.ruleset(campaign.ruleset).num_studies) if is_frugal else None
    states = _run_jobs(campaign, config, store, jobs, limits)
    lines = [*status.savings(jobs, states, store), *status.failures(jobs, states, store)]
    print("\n".join([f"{len(jobs)} trials: {status.counts_text(states)}.", *lines]))
    print(scores_text(campaign, jobs))
    return EXIT_FAILED if State.FAILED in states.values() else 0


def check_comparison(campaign: Campaign) -> None:
    """Raises UsageError now for what the scoring would only find when all is done."""
    if campaign.compare_to:
        for axis in AXES:
            published.load(campaign.compare_to, campaign.ruleset, campaign.cut_suite(), axis)


def _run_jobs(
    campaign: Campaign, config: Config, store: Store, jobs: list[Job], limits: Limits | None
) -> dict[str, State]:
    """Runs the jobs with the engine that is asked for."""
    if config.engine == "ray":
        from campaign import ray_engine  # Imports Ray, an extra.

        with ray_engine.connected(config.ray_address) as nodes:
            share = ray_engine.Share.choose(
                nodes, config.cpus_per_trial, config.gpus_per_trial, campaign.device
            )
            live = status.Live(jobs, store, config.workers or share.room(nodes), enabled=not config.quiet)
            states = ray_engine.RayEngine(store, jobs, share, config.workers, limits, live).run()
    else:
        num_workers = config.workers or 1
        live = status.Live(jobs, store, num_workers, enabled=not config.quiet)
        states = LocalEngine(store, jobs, places(num_workers, config.gpus), limits, live).run()
    live.close()
    return states


def scores_text(campaign: Campaign, jobs: list[Job]) -> str:
    """The scores of the campaign's submissions, by seconds and by updates."""
    texts = []
    for axis in AXES:
        config = scoring_command.Config(
            submissions_dir=campaign.experiment_dir,
            suite=campaign.suite,
            ruleset=campaign.ruleset,
            axis=axis,
            include=tuple(dict.fromkeys(job.submission for job in jobs)),
            workloads=campaign.workloads,
            num_studies=campaign.num_studies,
            num_trials=campaign.num_trials,
            compare_to=campaign.compare_to,
            calibrate=campaign.calibrate,
        )
        texts.append(scoring_command.run(config).text())
    return "\n\n".join(texts)


def _save(campaign: Campaign, store: Store) -> None:
    """Writes down what was asked, so that --status elsewhere needs only the folder."""
    store.root.mkdir(parents=True, exist_ok=True)
    content: dict[str, Any] = {**dataclasses.asdict(campaign), "experiment_dir": str(campaign.experiment_dir)}
    records.write_json(store.root / SAVED, content)


def saved_campaign(experiment_dir: Any) -> Campaign:
    """The campaign that runs, or ran, in a folder.

    Raises:
      UsageError: if there is none.
    """
    path = experiment_dir / FOLDER / SAVED
    try:
        content = json.loads(path.read_text())
    except FileNotFoundError:
        raise UsageError(
            f"No campaign in {experiment_dir}: start one with --submissions=<folder>,... or give its --experiment_dir."
        ) from None
    fields = {name: tuple(value) if isinstance(value, list) else value for name, value in content.items()}
    return Campaign(**{**fields, "experiment_dir": experiment_dir})
