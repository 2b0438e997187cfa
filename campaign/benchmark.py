"""What `run_benchmark.py` does, below its flags."""

import dataclasses
import typing
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf import files, frameworks, records, registry, submission, typed_json
from algoperf.commands import EXIT_FAILED
from algoperf.data import locate, sealed
from algoperf.data.prepared import setup_command
from algoperf.settings import RunSettings, given
from algoperf.spec import UsageError
from campaign import live_report, plan_files, refereed, slurm_queue, status, study
from campaign.execution import retry_failed, run_jobs
from campaign.frugal import Limits
from campaign.job_plan import Campaign, Job, make_jobs
from campaign.options import Options
from campaign.state import State
from campaign.store import FOLDER, Store
from scoring import provisional, published, score_field, text
from scoring.results import AXES, SUBMISSION_TIME

SAVED = "campaign.json"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config(Options):
    """The flags of run_benchmark.py beside those of the campaign."""

    frugal: bool | None = None
    """None: as the suite says."""
    report: bool = False
    """Whether report.html follows the campaign; at its end it is written in any case."""


Tell = Callable[[dict[str, Any]], object]


def run(campaign: Campaign, config: Config, tell: Tell | None = None) -> int:
    """Plans, shows or runs a campaign, and prints the scores at its end.

    Args:
      campaign: what to run.
      config: how.
      tell: takes the same for other programs: the state of every trial and, at the end, the scores by seconds.

    Returns:
      0, or 1 if trials failed.

    Raises:
      UsageError: for what the user can put right.
      StorageError: if the disk is full or broken; the same command continues.
      Interrupted: after a signal; the same command continues.
    """
    store, jobs = planned(campaign, config)
    if config.plan or config.status:
        states = store.states(jobs)
        expectations = status.Expectations(store, jobs, states)
        if config.plan:
            check_scores(campaign, jobs)
            print(status.plan_text(jobs, states, expectations, config.num_workers))
            for line in (*store.mixtures(jobs, states), *missing_data(jobs)):
                print(line)
        else:
            left = sum(expectations.of(job).seconds for job in jobs if not states[job.key].is_final)
            lines = [*slurm_queue.status_lines(store), *store.mixtures(jobs, states)]
            lines += refereed.lines(jobs, store)
            print("\n".join([status.status_text(jobs, states, store, left), *lines]))
            print(scores_so_far(campaign, jobs, states))
        if tell is not None:
            tell({"trials": told(jobs, states)})
        return 0
    states = execute(campaign, config, store, jobs)
    if config.detach or config.engine == "files":  # Trials are elsewhere, and not at their end.
        if tell is not None:
            tell({"trials": told(jobs, states)})
        return 0
    lines = [*status.savings(jobs, states, store), *status.failures(jobs, states, store)]
    lines += [*store.mixtures(jobs, states), *refereed.lines(jobs, store)]
    lines += refereed.sealed(campaign.experiment_dir)
    print("\n".join([f"{len(jobs)} trials: {status.counts_text(states)}.", *lines]))
    if not has_evaluations(jobs):
        print("There are no scores: no trial came to an evaluation.")
        if tell is not None:
            tell({"trials": told(jobs, states), "scores": None})
        return EXIT_FAILED
    scored = scores(campaign, jobs, with_document=tell is not None)
    print(scores_text(scored))
    if tell is not None:
        tell({"trials": told(jobs, states), "scores": scored[SUBMISSION_TIME].document})
    return EXIT_FAILED if State.FAILED in states.values() else 0


def planned(campaign: Campaign, config: Config) -> tuple[Store, list[Job]]:
    """The folder of a campaign, checked, and all its trials.

    Raises:
      UsageError: for what can be found out before anything runs.
    """
    # Whoever only looks is told what is mixed, and mixes nothing.
    store = Store(campaign.experiment_dir, campaign.settings.accept_changes or config.status)
    jobs = make_jobs(campaign)
    if not config.status:
        # Read, not imported: that may take a minute, and the framework's memory in this process.
        for file in dict.fromkeys(str(job.settings.submission) for job in jobs):
            submission.check_imports(Path(file))
    if not (config.plan or config.status):
        files.make_folder(store.root, "--experiment_dir")
    return store, jobs


def execute(campaign: Campaign, config: Config, store: Store, jobs: list[Job]) -> dict[str, State]:
    """Runs what is left of a campaign; returns where every trial stands at the end."""
    retry_failed(config, store, jobs)
    store.states(jobs)  # Refuses a folder with other trials, before anything is written.
    check_scores(campaign, jobs)
    save(campaign, store, config)
    if config.engine == "files":
        print(plan_files.write(config, campaign.experiment_dir, jobs, store.states(jobs)))
        return store.states(jobs)
    suite = campaign.cut_suite()
    is_frugal = suite.frugal if config.frugal is None else config.frugal
    limits = Limits(jobs, suite, suite.ruleset(campaign.ruleset).num_studies) if is_frugal else None
    watch = None
    if config.report:
        at_end = scoring_config(campaign, jobs, SUBMISSION_TIME)
        watch = live_report.LiveReport(at_end, jobs, live_report.path_in(campaign.experiment_dir))
    return run_jobs(config, campaign.settings.device, store, jobs, limits, watch)


def has_evaluations(jobs: Sequence[Job]) -> bool:
    """Whether any trial came to an evaluation, so that there is something to score."""
    return any((job.folder / records.EVAL_MEASUREMENTS).exists() for job in jobs)


def missing_data(jobs: Sequence[Job]) -> list[str]:
    """A line for every workload whose data are not there; those of small ones are made on first use."""
    lines = []
    settings = {job.workload: job.settings for job in jobs}
    for name, own in settings.items():
        spec = sealed.with_data(registry.get(name), own.data_seed)
        try:
            data, folder = registry.data_module(spec), locate.folder_of(spec, own.data_dir)
            makes_it = spec.is_mini and not spec.data_instance
            is_there = makes_it or not data.NEEDS_FILES or data.is_ready(spec, folder)
        except UsageError as error:  # A package that the data need.
            lines.append(f"Missing: {error}")
            continue
        if not is_there:
            lines.append(f"Missing: the data of {name} in {folder}. {setup_command(spec, folder)}")
    return lines


def check_scores(campaign: Campaign, jobs: Sequence[Job]) -> None:
    """Raises UsageError now for what the scoring would only find when all is done."""
    for job in jobs:
        # Scoring compares one framework at a time, and would refuse the folder after days of work.
        for other in frameworks.names():
            folder = job.folder.parent.with_name(f"{job.workload}_{other}")
            if other != job.framework and folder.exists():
                raise UsageError(
                    f"{folder} holds results of {job.submission!r} in {other}, and one score takes one framework: give "
                    f"another --experiment_dir, or --framework={other}."
                )
    if campaign.compare_to:
        for axis in AXES:
            published.load(campaign.compare_to, campaign.ruleset, campaign.cut_suite(), axis)


def told(jobs: Sequence[Job], states: Mapping[str, State]) -> list[dict[str, Any]]:
    """What other programs are told of the trials."""
    return [{"trial": job.key, "folder": str(job.folder), "state": states[job.key].value} for job in jobs]


def scores(
    campaign: Campaign, jobs: Sequence[Job], with_document: bool = False
) -> dict[str, score_field.Scored]:
    """Axis -> scores of the campaign's submissions, by seconds and by updates; writes report.html."""
    path = live_report.path_in(campaign.experiment_dir)
    return {
        axis: score_field.run(
            dataclasses.replace(
                scoring_config(campaign, jobs, axis),
                report=path if axis == SUBMISSION_TIME else None,
                with_document=with_document and axis == SUBMISSION_TIME,
            )
        )
        for axis in AXES
    }


def scores_text(scored: Mapping[str, score_field.Scored]) -> str:
    """The scores for people."""
    return "\n\n".join(one.text() for one in scored.values())


def scores_so_far(campaign: Campaign, jobs: Sequence[Job], states: Mapping[str, State]) -> str:
    """Bounds of scores and ranks by the trials that have ended, and which of the others could still change a rank."""
    ended = live_report.so_far(scoring_config(campaign, jobs, SUBMISSION_TIME), jobs, states)
    if ended is None:
        return "There are no scores yet: no trial has ended."
    try:
        board = score_field.run(*ended).board
    except UsageError as error:  # Of trials that ended without any result.
        return f"There are no scores yet: {error}"
    parts = [provisional.summary(board, text.terminal_width()), provisional.table(board)]
    return "\n".join(["Scores so far, by seconds:", *filter(None, parts)])


def scoring_config(campaign: Campaign, jobs: Sequence[Job], axis: str) -> score_field.Config:
    """What the scoring of a campaign is told."""
    return score_field.Config(
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


def save(campaign: Campaign, store: Store, config: Config | None = None) -> None:
    """Writes down what was asked, as a study file, so that --status elsewhere needs only the folder."""
    store.root.mkdir(parents=True, exist_ok=True)
    others = {} if config is None else {"frugal": config.frugal, "report": config.report}
    records.write_json(store.root / SAVED, study.content_of(campaign, config, **others))


def saved_campaign(experiment_dir: Path) -> Campaign:
    """The campaign that runs, or ran, in a folder.

    Raises:
      UsageError: if there is none.
    """
    path = experiment_dir / FOLDER / SAVED
    try:
        content = typed_json.value_of(dict[str, Any], files.read_json(path))
        if "version" not in content:
            return _campaign(content, experiment_dir)
    except (FileNotFoundError, NotADirectoryError):
        raise UsageError(
            f"No campaign in {experiment_dir}: start one with --submissions=<folder>,... or give its --experiment_dir."
        ) from None
    except (
        TypeError,
        ValueError,
    ) as error:  # A setting that this version has not; MalformedError, UsageError.
        raise UsageError(
            f"{path} is damaged: {str(error).rstrip('.')}. The campaign's own command writes it again."
        ) from None
    return study.campaign_of(study.read(path), experiment_dir)


def _campaign(content: Mapping[str, Any], experiment_dir: Path) -> Campaign:
    """What a file says that was written before campaigns were kept as study files."""
    hints = typing.get_type_hints(Campaign)
    own = [field.name for field in dataclasses.fields(Campaign)]
    of_paths_and_trials = ("experiment_dir", "settings")
    fields: dict[str, Any] = {
        name: typed_json.value_of(hints[name], value, name)
        if name in own and name not in of_paths_and_trials
        else value
        for name, value in content.items()
    }
    # Older campaigns hold the settings of their trials beside what is their own.
    older = {name: fields.pop(name) for name in list(fields) if name not in own}
    of_trials = typed_json.value_of(dict[str, Any], fields.get("settings", {}), "settings")
    settings = given({**of_trials, **older})
    typed_json.typed(RunSettings, dataclasses.asdict(settings))
    if "submissions" not in fields:
        raise typed_json.MalformedError("it lacks 'submissions'")
    return Campaign(**{**fields, "experiment_dir": experiment_dir, "settings": settings})
