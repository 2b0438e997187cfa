"""Runs what a command asks for, refereed or not."""

import contextlib
import dataclasses
import os

from algoperf import backends
from algoperf import submission as submissions
from algoperf.referee.referee import Referee
from algoperf.run import clock, here, runner, sources, summary
from algoperf.run.config import TrialFacts
from algoperf.run.reproduce import Repetition
from algoperf.run.study import StudyPlan, submission_name
from algoperf.settings import RunSettings
from algoperf.spec import UsageError


def run(settings: RunSettings, ledger: clock.Ledger) -> int:
    """Runs the trials that the settings ask for; returns the exit code. See `runner.run`."""
    return runner.run(settings, ledger, _run_one)


def _run_one(plan: StudyPlan, number: int, ledger: clock.Ledger, repetition: Repetition | None) -> int:
    """Runs one trial with a referee; returns the exit code."""
    if plan.hosts is not None or backends.launch(plan.framework).is_launched():
        raise UsageError(
            "--referee starts the processes of a trial itself, and one of them trains: leave out torchrun and "
            "--coordinator, or --referee."
        )
    if not hasattr(os, "memfd_create"):
        raise UsageError("--referee needs Linux: leave it out.")
    runner.announce(plan, repetition)
    folder = plan.folder(number)
    return runner.told(run_trial(plan, number, ledger), folder, folder, repetition)


def run_trial(plan: StudyPlan, number: int, ledger: clock.Ledger) -> summary.Summary:
    """Runs or continues one trial; returns its summary, which is also written to its folder.

    Args:
      plan: has the trial.
      number: of the trial, from 1.
      ledger: the open time ledger.
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
        return Referee(plan, facts, ledger).run()
