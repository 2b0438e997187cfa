"""The preflight of one trial, as `submission_runner.py --preflight` runs it."""

import functools

from algoperf import backends, frameworks, host_limits, machine
from algoperf.commands import EXIT_FAILED
from algoperf.preflight import forecast, found, probe, report
from algoperf.preflight.probe import ANYWHERE, Limits, Place, Result
from algoperf.run.study import StudyPlan
from algoperf.settings import RunSettings
from algoperf.spec import UsageError


def run(settings: RunSettings, memory_bytes: int | None = None) -> int:
    """Tries the first of the trials that the settings ask for, and says what was found.

    Args:
      settings: of the command.
      memory_bytes: that it may take; None for all that is free.

    Returns:
      0, or 1 if the trial would fail.

    Raises:
      UsageError: for mistakes of the user.
    """
    plan = StudyPlan.of(settings)
    check(plan)
    busy = None if settings.quiet else machine.busy_warning()
    limits = limits_of(memory_bytes)
    result = try_trial(plan, plan.trials[0], limits)
    told = outlook(plan, result)
    facts = result.found.facts
    on = f" on {facts.device}, batch {facts.batch_size}" if facts.device else ""
    print(
        f"preflight: {settings.given_submission} on {plan.workload.name} with {plan.framework}{on}; nothing is recorded"
    )
    if busy is not None:
        print(f"  note: {busy}")
    print("\n".join([*report.lines(plan.workload, result, limits, told), *report.notes(plan.workload, told)]))
    return EXIT_FAILED if list(report.problems(plan.workload, result, limits, told)) else 0


def check(plan: StudyPlan, flag: str = "--preflight") -> None:
    """Raises UsageError for what a preflight, or whatever the flag asks for, cannot try."""
    settings = plan.settings
    if plan.hosts is not None or backends.launch(plan.framework).is_launched():
        raise UsageError(f"{flag} tries one process: leave out --coordinator and torchrun.")
    if (settings.num_processes or 1) > 1:
        raise UsageError(f"{flag} tries one process: leave out --num_processes={settings.num_processes}.")
    if settings.reproduce is not None:
        raise UsageError(f"{flag} tries a trial, and --reproduce repeats one: leave one of them out.")
    frameworks.get(plan.framework).check_installed()


def limits_of(memory_bytes: int | None, num_workers: int = 1) -> Limits:
    """What one of several trials at a time may take.

    Args:
      memory_bytes: as the user says; None for a share of what is free.
      num_workers: trials at a time.
    """
    if memory_bytes is not None:
        return Limits(host_bytes=memory_bytes, device_bytes=memory_bytes)
    return Limits(host_bytes=host_limits.memory().available // num_workers)


def try_trial(plan: StudyPlan, trial: int, limits: Limits, place: Place = ANYWHERE) -> Result:
    """See `probe.probe`; each try is a process."""
    return probe.probe(functools.partial(probe.run_in_process, limits=limits, place=place), plan, trial)


def outlook(plan: StudyPlan, result: Result) -> forecast.Forecast | None:
    """What a trial of the plan takes; None where it does not get that far."""
    if result.found.status != found.FITS:
        return None
    budget_sec = plan.workload.max_allowed_runtime_sec * plan.budget_factor
    return forecast.of(plan.workload, plan.settings, budget_sec, result.found)
