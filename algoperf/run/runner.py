"""Runs the trials that the settings ask for: one in this process, or each in a process of its own."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from algoperf import backends, files
from algoperf import submission as submissions
from algoperf.backends import environment
from algoperf.commands import EXIT_FAILED, EXIT_SIGNAL_BASE, EXIT_STORAGE, EXIT_USAGE, trial_command
from algoperf.data import sealed
from algoperf.run import claim, clock, exits, parent, processes, sources, summary, trial
from algoperf.run.config import TrialConfig
from algoperf.run.intact import Intact
from algoperf.run.reproduce import Repetition
from algoperf.run.session import Host
from algoperf.run.study import StudyPlan
from algoperf.settings import RunSettings

RunOne = Callable[[StudyPlan, int, clock.Ledger, Repetition | None], int]
"""Runs a trial of a plan, by its number; returns the exit code. See `_run_one`."""


def run(
    settings: RunSettings,
    ledger: clock.Ledger,
    refereed: RunOne | None = None,
    planned: Callable[[StudyPlan], object] = lambda plan: None,
) -> int:
    """Runs the trials that the settings ask for; returns the exit code.

    One trial runs in this process; several run one after the other, each in a fresh process, so that they share
    neither memory nor compiled functions nor global state.

    Args:
      settings: of the command.
      ledger: the open time ledger.
      refereed: runs one trial with a referee, where a trial is to have one; others run in this process.
      planned: is told the plan before the first trial begins.

    Raises:
      UsageError: for mistakes of the user.
      Interrupted: after a signal; the same command continues.
      StorageError: if records cannot be written; the same command continues.
    """
    settings = sealed.settled(settings, filter(None, [settings.workload]))
    repetition = None if settings.reproduce is None else Repetition.of(settings)
    plan = StudyPlan.of(settings) if repetition is None else repetition.plan
    planned(plan)
    if len(plan.trials) > 1:
        return _run_each(plan)
    number = plan.trials[0]
    with _early_claim(plan, number):
        run_one = refereed if plan.settings.referee and refereed is not None else _run_one
        return run_one(plan, number, ledger, repetition)


def _early_claim(plan: StudyPlan, number: int) -> contextlib.AbstractContextManager[None]:
    """The claim on the trial's folder before anything expensive; of several processes, the first takes it later."""
    is_alone = plan.hosts is None and not backends.launch(plan.framework).is_launched()
    folder = plan.folder(number)
    if not is_alone or (summary.read(folder) is not None and not plan.settings.overwrite):
        return contextlib.nullcontext()  # What is finished needs none: `trial.run` finds out.
    return claim.on(folder)


def _run_one(plan: StudyPlan, number: int, ledger: clock.Ledger, repetition: Repetition | None) -> int:
    """Runs one trial in this process, which may be one of several; returns the exit code.

    A repetition of a stored trial is compared with it, and ends with `EXIT_FAILED` where they differ.
    """
    assert not plan.settings.referee  # `algoperf.referee.start` runs those.
    announce(plan, repetition)
    folder = plan.folder(number).absolute()  # Now: a submission may go to another working directory.
    launch = backends.launch(plan.framework)
    launch.prepare()  # Before the submission is imported, which may create the devices.
    if plan.hosts is not None:
        launch.join_hosts(plan.hosts)
    ended = run_trial(plan, number, ledger)
    backend = backends.get_backend(plan.framework)
    if backend.process_index == 0:
        code = told(ended, plan.folder(number), folder, repetition)
        if repetition is not None:
            return code
    if ended.status != "failed":
        return 0
    if backend.num_processes > 1:
        processes.leave(backend, EXIT_FAILED)
    return EXIT_FAILED


def announce(plan: StudyPlan, repetition: Repetition | None) -> None:
    """Says what a repetition repeats, before it runs."""
    if repetition is not None and not plan.settings.quiet:
        print("\n".join([f"repeats {repetition.stored.place}", *repetition.expected()]), file=sys.stderr)


def told(ended: summary.Summary, place: Path, folder: Path, repetition: Repetition | None) -> int:
    """Says how a trial has ended, and how a repetition compares with what it repeats; returns the exit code.

    Args:
      ended: how it ended.
      place: its folder as the user has named it.
      folder: the same from the root.
      repetition: None where it repeats nothing.
    """
    print(summary.describe(ended, place))
    if repetition is None:
        return EXIT_FAILED if ended.status == "failed" else 0
    text, is_equal = repetition.report(ended, folder)
    print(text)
    return 0 if is_equal else EXIT_FAILED


def run_trial(
    plan: StudyPlan,
    number: int,
    ledger: clock.Ledger,
    host: Host | None = None,
    known: sources.Sources | None = None,
) -> summary.Summary:
    """Runs one trial in this process, which may be one of several.

    Args:
      plan: has the trial.
      number: of the trial, from 1.
      ledger: the open time ledger.
      host: who evaluates and keeps the records; this process by default.
      known: the code that decides the trial, where another process has read it; else it is read here.
    """
    with exits.refused():  # From the import of the submission on.
        return _run_trial(plan, number, ledger, host, known)


def _run_trial(
    plan: StudyPlan, number: int, ledger: clock.Ledger, host: Host | None, known: sources.Sources | None
) -> summary.Summary:
    # Before the submission is imported, which may go to another working directory.
    point, folder = plan.points[number - 1], plan.folder(number).absolute()
    settings = plan.settings
    if settings.data_dir is not None:
        settings = dataclasses.replace(settings, data_dir=str(files.expanded(settings.data_dir).absolute()))
    found = known or sources.of(plan.submission_file, plan.framework, plan.families)
    submission, intact = _load_submission(plan, None if host is None else host.speaker)
    backend = backends.get_backend(plan.framework)
    if not settings.quiet and backend.process_index == 0:
        print(
            f"{submission.name} on {plan.workload.name} with {plan.framework} on {backend.describe_device()}, "
            f"{settings.tuning_ruleset} ruleset, study {settings.study}, trial {number}"
            + (f", {point}" if point else ""),
            file=sys.stderr,
        )
    config = TrialConfig(
        settings=dataclasses.replace(settings, framework=plan.framework, trial=number),
        workload=plan.workload,
        submission=submission,
        suite=plan.suite,
        point=point,
        budget_factor=plan.budget_factor,
        folder=folder,
        torch_compile=backend.compiles_models(settings.torch_compile),
        environment=environment.of_identity(backend),
        device=backend.device_kind(),
        sources=found,
        eval_steps=plan.eval_steps,
        intact=intact,
    )
    return trial.run(config, ledger, host)


def _load_submission(
    plan: StudyPlan, speaker: processes.Speaker | None
) -> tuple[submissions.Submission, Intact]:
    """Imports the submission; if that fails in one of several processes, the others are told.

    This must happen before the backend is made: a submission may set options of its framework at import.

    Returns:
      The submission, and what it must leave as it is.

    Raises:
      UsageError: if it has not.
    """
    try:
        intact = Intact.of(plan.workload, plan.framework)
        found = submissions.load(plan.submission_file, plan.framework)
        intact.check()
        return found, intact
    except Exception:
        # A single process: nobody to tell.
        if plan.hosts is None and not backends.launch(plan.framework).is_launched():
            raise
        with processes.watch_failures(backends.get_backend(plan.framework), speaker):
            raise


# ---- several trials ----------------------------------------------------------------------------------------------


def _run_each(plan: StudyPlan) -> int:
    """Runs each trial in its own process; a crash of one does not stop the others. Returns the worst exit code."""
    worst = 0
    for number in plan.trials:
        command = [*trial_command(), *plan.settings_of(number).as_arguments()]
        code = _run_process(command, {"ALGOPERF_PROCESS_GROUP": f"trial_{number}"}, plan.folder(number))
        # Ended by a signal: whoever sent it wants the whole command to stop.
        if code < 0 or code > EXIT_SIGNAL_BASE:
            return code if code > 0 else EXIT_SIGNAL_BASE - code
        worst = max(worst, code)
        if code in (EXIT_USAGE, EXIT_STORAGE):  # Those after it would meet the same.
            return code
    return worst


def _run_process(command: list[str], environment: Mapping[str, str], folder: Path) -> int:
    """Runs a trial as a child process and returns its exit code; on signals the child can still write a checkpoint.

    Args:
      command: of the child.
      environment: what it has besides that of this process.
      folder: of the trial, for what this process measures of it.
    """
    with subprocess.Popen(command, env={**os.environ, **environment}) as process:
        watched = parent.Watched(process, folder)

        def pass_on(number: int, frame: FrameType | None) -> None:
            del frame
            if number == signal.SIGTERM:  # Ctrl-C reaches the whole process group by itself.
                process.send_signal(number)

        # SIGINT is handled by doing nothing: this process must outlive its child.
        before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            code = watched.wait()
            watched.record()
            return code
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
