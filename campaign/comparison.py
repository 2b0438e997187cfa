"""What `algoperf compare` does, below its flags: several submissions on one workload, by the engine of campaigns."""

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from algoperf import files, frameworks, registry, submission, suites
from algoperf.adapter import is_optimizer
from algoperf.commands import EXIT_FAILED
from algoperf.data import sealed
from algoperf.settings import RunSettings
from algoperf.spec import UsageError
from campaign import benchmark, live_report, status
from campaign.job_plan import Campaign
from campaign.state import State
from scoring import one_workload
from scoring.results import STEPS, SUBMISSION_TIME

NUM_STUDIES = 3
DEFAULT_FOLDER = "comparisons"
MAX_FAILURES = 4
"""Lines about trials that failed; --status has all."""


def optimizer_frameworks(named: str) -> list[str]:
    """Frameworks that an optimizer may be written for, by the package of its name; all if that says nothing."""
    package = named.split(".")[0]
    own = [one.name for one in frameworks.FRAMEWORKS if package in one.packages]
    return own or list(frameworks.names())


def framework_of(given: Sequence[str], named: str | None) -> str:
    """The framework that all submissions run in: the one that is named, or that all of them offer and that is here.

    Args:
      given: submissions, as paths or names.
      named: by the user, if any.

    Raises:
      UsageError: if there is none.
    """
    if named is not None:
        return frameworks.get(named).name
    named_ones = [one for one in given if is_optimizer(one)]
    offered = {one: submission.offered(one) for one in given if one not in named_ones}
    offered |= {one: optimizer_frameworks(one) for one in named_ones}
    common = [name for name in frameworks.names() if all(name in found for found in offered.values())]
    if not common:
        words = "; ".join(f"{one} in {' and '.join(found)}" for one, found in offered.items())
        raise UsageError(f"No framework runs all of them: {words}. Compare those that share one.")
    here = [name for name in common if not frameworks.get(name).missing_packages()]
    if not here:
        frameworks.get(common[0]).check_installed()
    return here[0]


def settled(settings: RunSettings, workload: str, submissions: Sequence[str]) -> RunSettings:
    """What all trials have in common, with workload, framework and suite chosen.

    Args:
      settings: as given.
      workload: that they run on.
      submissions: paths, names or optimizers.

    Raises:
      UsageError: if fewer than two are compared, or one of them or the workload is none.
    """
    if len(submissions) < 2:
        raise UsageError(
            "Name two submissions or more, folders or names that `algoperf list submissions` shows: algoperf compare "
            "nadamw nesterov --workload=digits."
        )
    registry.add_place(settings.workload_path)
    registry.get(workload)
    return dataclasses.replace(
        settings,
        workload=workload,
        framework=framework_of(submissions, settings.framework),
        suite=settings.suite or suites.default_name([workload]),
    )


def folder_of(experiment_dir: str | None, settings: RunSettings) -> Path:
    """Where results are: comparisons/<workload>_<framework> by default."""
    default = Path(DEFAULT_FOLDER) / f"{settings.workload}_{settings.framework}"
    return files.expanded(experiment_dir or default).resolve()


def campaign_of(
    submissions: Sequence[str],
    settings: RunSettings,
    folder: Path,
    *,
    num_studies: int | None = None,
    num_trials: int | None = None,
) -> Campaign:
    """The campaign that a comparison is.

    Args:
      submissions: paths or names.
      settings: from `settled`.
      folder: of the results.
      num_studies: repetitions; `NUM_STUDIES` by default.
      num_trials: points per study in the external ruleset; the suite's number by default.
    """
    assert settings.workload is not None
    return Campaign(
        experiment_dir=folder,
        settings=dataclasses.replace(settings, workload=None),
        submissions=tuple(submissions),
        workloads=(settings.workload,),
        num_studies=num_studies or NUM_STUDIES,
        num_trials=num_trials,
    ).anchored()


def run(campaign: Campaign, config: benchmark.Config, tell: Callable[[dict[str, Any]], object] | None) -> int:
    """Runs what is left of a comparison and prints its result in a few lines; returns the exit code.

    Args:
      campaign: from `campaign_of`.
      config: how to run it.
      tell: takes states and scores for other programs.
    """
    campaign = campaign.with_settings(sealed.settled(campaign.settings, campaign.workloads))
    (workload,) = campaign.workloads
    target = campaign.cut_suite().targets(workload)
    store, jobs = benchmark.planned(campaign, config)
    budget = max(job.budget_sec for job in jobs)
    print(
        f"{workload}, {campaign.settings.framework}, {campaign.ruleset} ruleset, {campaign.num_studies} studies: "
        f"validation {target.metric_name} {target.validation_target:g} within {budget:g} s",
        flush=True,
    )
    states = benchmark.execute(campaign, config, store, jobs)
    for line in status.failures(jobs, states, store)[-MAX_FAILURES:]:
        print(line.strip())
    if not benchmark.has_evaluations(jobs):
        print("There is nothing to compare: no trial came to an evaluation.")
        return EXIT_FAILED
    scored = benchmark.scores(campaign, jobs, with_document=tell is not None)
    print("\n".join(one_workload.lines(scored[SUBMISSION_TIME].board, scored[STEPS].board)))
    print(f"Report: {live_report.path_in(campaign.experiment_dir)}")
    if tell is not None:
        tell({"trials": benchmark.told(jobs, states), "scores": scored[SUBMISSION_TIME].document})
    return EXIT_FAILED if State.FAILED in states.values() else 0
