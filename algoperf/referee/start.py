"""Runs what a command asks for, refereed or not."""

import contextlib
import dataclasses
import os
from collections.abc import Callable

from algoperf import backends
from algoperf import submission as submissions
from algoperf.referee.referee import Referee
from algoperf.run import clock, here, runner, sources, summary
from algoperf.run.config import TrialFacts
from algoperf.run.reproduce import Repetition
from algoperf.run.study import StudyPlan, submission_name
from algoperf.settings import RunSettings
from algoperf.spec import UsageError


def run(
    settings: RunSettings, ledger: clock.Ledger, planned: Callable[[StudyPlan], object] = lambda plan: None
) -> int:
    """Runs the trials that the settings ask for; returns the exit code. See `runner.run`."""
    return runner.run(settings, ledger, _run_one, planned)


def _run_one(plan: StudyPlan, number: int, ledger: clock.Ledger, repetition: Repetition | None) -> int:
    """Runs one trial with a referee; returns the exit code."""
    num_processes = _num_processes(plan)
    if num_processes is None:
        return 0
    if not hasattr(os, "memfd_create"):
        raise UsageError("--referee needs Linux: leave it out.")
    runner.announce(plan, repetition)
    folder = plan.folder(number)
    return runner.told(run_trial(plan, number, ledger, num_processes), folder, folder, repetition)


def _num_processes(plan: StudyPlan) -> int | None:
    """How many processes train together; None in a process of torchrun that has nothing to do.

    The first process that torchrun has started becomes the referee, and starts the group anew; the others end.

    Raises:
      UsageError: for what cannot be refereed.
    """
    wanted, launch = plan.settings.num_processes, backends.launch(plan.framework)
    if plan.hosts is not None:
        raise UsageError(
            "--referee runs a trial on one host: leave out --coordinator, or --referee. One process of JAX uses all "
            "devices of its host."
        )
    launched = launch.launched()
    if launched is None:
        launch.in_group(0, wanted or 1, 0)  # Refuses what the framework does not have.
        return wanted or 1
    if launched.index > 0:
        return None
    if launched.count != launched.on_host:
        raise UsageError(
            "--referee runs a trial on one host, and torchrun has started it on several: on one of them say "
            "`python submission_runner.py … --referee --num_processes=<its GPUs>`."
        )
    if wanted not in (None, launched.count):
        raise UsageError(
            f"--num_processes={wanted}, and torchrun has started {launched.count}: leave out one of them."
        )
    return launched.count


def run_trial(plan: StudyPlan, number: int, ledger: clock.Ledger, num_processes: int = 1) -> summary.Summary:
    """Runs or continues one trial; returns its summary, which is also written to its folder.

    Args:
      plan: has the trial.
      number: of the trial, from 1.
      ledger: the open time ledger.
      num_processes: how many train together.
    """
    facts = TrialFacts(
        settings=dataclasses.replace(plan.settings, framework=plan.framework, trial=number),
        workload=plan.workload,
        submission=submissions.SubmissionFacts(
            name=submission_name(plan.submission_file),
            path=plan.submission_file,
            framework=plan.framework,
            source_hash=submissions.source_hash(plan.submission_file),
        ),
        suite=plan.suite,
        point=plan.points[number - 1],
        budget_factor=plan.budget_factor,
        folder=plan.folder(number),
        sources=sources.of(plan.submission_file, plan.framework, plan.families),
        eval_steps=plan.eval_steps,
    )
    with contextlib.ExitStack() as claims:
        finished = here.begin(facts, claims)
        if finished is not None:
            return finished
        return Referee(plan, facts, ledger, num_processes).run()
