"""Runs the trials that the settings ask for: one in this process, or each in a process of its own."""

import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

from algoperf import backends, files, records, typed_json
from algoperf import settings as settings_module
from algoperf import submission as submissions
from algoperf.backends import environment
from algoperf.commands import EXIT_FAILED, EXIT_SIGNAL_BASE, EXIT_STORAGE, EXIT_USAGE
from algoperf.run import claim, clock, exits, processes, summary, trial
from algoperf.run.config import TrialConfig
from algoperf.run.identity import SOURCE, Identity, difference, identity_of
from algoperf.run.study import StudyPlan
from algoperf.settings import RunSettings
from algoperf.spec import UsageError


def run(settings: RunSettings, ledger: clock.Ledger) -> int:
    """Runs the trials that the settings ask for; returns the exit code.

    One trial runs in this process; several run one after the other, each in a fresh process, so that they share
    neither memory nor compiled functions nor global state.

    Raises:
      UsageError: for mistakes of the user.
      Interrupted: after a signal; the same command continues.
      StorageError: if records cannot be written; the same command continues.
    """
    plan = StudyPlan.of(settings) if settings.reproduce is None else reproduced(settings)
    if len(plan.trials) > 1:
        return _run_each(plan)
    number = plan.trials[0]
    with _early_claim(plan, number):
        return _run_one(plan, number, ledger)


def _early_claim(plan: StudyPlan, number: int) -> contextlib.AbstractContextManager[None]:
    """The claim on the trial's folder before anything expensive; of several processes, the first takes it later."""
    is_alone = plan.hosts is None and not backends.launch(plan.framework).is_launched()
    folder = plan.folder(number)
    if not is_alone or (summary.read(folder) is not None and not plan.settings.overwrite):
        return contextlib.nullcontext()  # What is finished needs none: `trial.run` finds out.
    return claim.on(folder)


def _run_one(plan: StudyPlan, number: int, ledger: clock.Ledger) -> int:
    """Runs one trial in this process, which may be one of several; returns the exit code."""
    launch = backends.launch(plan.framework)
    launch.prepare()  # Before the submission is imported, which may create the devices.
    if plan.hosts is not None:
        launch.join_hosts(plan.hosts)
    ended = run_trial(plan, number, ledger)
    backend = backends.get_backend(plan.framework)
    if backend.process_index == 0:
        print(summary.describe(ended, plan.folder(number)))
    if ended.status != "failed":
        return 0
    if backend.num_processes > 1:
        processes.leave(backend, EXIT_FAILED)
    return EXIT_FAILED


def run_trial(plan: StudyPlan, number: int, ledger: clock.Ledger) -> summary.Summary:
    """Runs one trial in this process, which may be one of several."""
    with exits.refused():  # From the import of the submission on.
        return _run_trial(plan, number, ledger)


def _run_trial(plan: StudyPlan, number: int, ledger: clock.Ledger) -> summary.Summary:
    settings, point = plan.settings, plan.points[number - 1]
    submission = _load_submission(plan)
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
        folder=plan.folder(number),
        torch_compile=backend.compiles_models(settings.torch_compile),
        environment=environment.of_identity(backend),
    )
    return trial.run(config, ledger)


def _load_submission(plan: StudyPlan) -> submissions.Submission:
    """Imports the submission; if that fails in one of several processes, the others are told.

    This must happen before the backend is made: a submission may set options of its framework at import.
    """
    try:
        return submissions.load(plan.submission_file, plan.framework)
    except Exception:
        # A single process: nobody to tell.
        if plan.hosts is None and not backends.launch(plan.framework).is_launched():
            raise
        with processes.watch_failures(backends.get_backend(plan.framework)):
            raise


# ---- several trials ----------------------------------------------------------------------------------------------


def _run_each(plan: StudyPlan) -> int:
    """Runs each trial in its own process; a crash of one does not stop the others. Returns the worst exit code."""
    worst = 0
    for number in plan.trials:
        command = [sys.executable, sys.argv[0], *plan.settings_of(number).as_arguments()]
        code = _run_process(command, {"ALGOPERF_PROCESS_GROUP": f"trial_{number}"})
        # Ended by a signal: whoever sent it wants the whole command to stop.
        if code < 0 or code > EXIT_SIGNAL_BASE:
            return code if code > 0 else EXIT_SIGNAL_BASE - code
        worst = max(worst, code)
        if code in (EXIT_USAGE, EXIT_STORAGE):  # Those after it would meet the same.
            return code
    return worst


def _run_process(command: list[str], environment: Mapping[str, str]) -> int:
    """Runs a trial as a child process and returns its exit code; on signals the child can still write a checkpoint."""
    with subprocess.Popen(command, env={**os.environ, **environment}) as process:

        def pass_on(number: int, frame: FrameType | None) -> None:
            del frame
            if number == signal.SIGTERM:  # Ctrl-C reaches the whole process group by itself.
                process.send_signal(number)

        # SIGINT is handled by doing nothing: this process must outlive its child.
        before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            return process.wait()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


# ---- reproduction ------------------------------------------------------------------------------------------------


def reproduced(settings: RunSettings) -> StudyPlan:
    """The plan to repeat a stored trial from its records, with results in this command's own experiment_dir.

    Raises:
      UsageError: if the folder holds no trial, or submission, workload or suite have changed since.
    """
    assert settings.reproduce is not None
    folder = files.expanded(settings.reproduce)
    stored, identity = _read_record(folder)
    # Never into the folder of the original, which would count as already finished.
    own_dir = files.expanded(settings.experiment_dir)
    if own_dir.resolve() == files.expanded(stored["experiment_dir"]).resolve():
        settings = dataclasses.replace(
            settings, experiment_dir=str(Path(settings.experiment_dir) / "reproduced")
        )
    settings = dataclasses.replace(settings.reproduced_from(stored), submission=stored["submission_file"])
    file, framework = submissions.find(settings.given_submission or "", settings.framework)
    source = submissions.load(file, framework).source_hash
    if source != identity[SOURCE]:
        raise UsageError(
            f"The submission at {file} has changed since {folder} was written (source hash {source}, then "
            f"{identity[SOURCE]}): check out the version of that time to reproduce it."
        )
    plan = StudyPlan.of(settings)
    number = plan.trials[0]
    its_settings = dataclasses.replace(plan.settings_of(number), framework=plan.framework)
    found = difference(identity, identity_of(its_settings, plan.workload, source, plan.points[number - 1]))
    if found is not None:
        raise UsageError(
            f"{folder} cannot be reproduced: its {found.key} was {found.stored!r} and is {found.wanted!r} now. Check "
            "out the workloads, suite and search space of that time."
        )
    return plan


def _check_record(stored: Mapping[str, object]) -> None:
    """Raises MalformedError unless a stored trial has what is needed, each of its type."""
    for name in ("submission_file", "experiment_dir", SOURCE):
        typed_json.value_of(str, stored.get(name), name)
    known = {name: stored[name] for name in settings_module.marks() if stored.get(name) not in (None, "")}
    typed_json.typed(RunSettings, known)


def _read_record(folder: Path) -> tuple[dict[str, Any], Identity]:
    """(flags of the last command that ran a trial, which may have raised a limit; identity of the trial)."""
    try:
        newest = records.newest(folder, records.flags_file) or folder / records.flags_file(0)
        stored = typed_json.value_of(dict[str, Any], records.read_json(newest))
        meta_data = typed_json.value_of(dict[str, Any], records.read_json(folder / records.meta_data_file(0)))
        identity = typed_json.value_of(dict[str, Any], meta_data.get("identity"), "identity")
        _check_record({**stored, SOURCE: identity.get(SOURCE)})
        return stored, identity
    except (OSError, ValueError) as error:
        raise UsageError(
            f"--reproduce={folder} is not the folder of a trial that this version wrote: {str(error).rstrip('.')}. "
            "Pass a folder such as <experiment_dir>/<submission>/study_0/<workload>_<framework>/trial_1."
        ) from None
