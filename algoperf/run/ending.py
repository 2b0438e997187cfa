"""Makes the summary of a trial, in whichever way it ended."""

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

from algoperf import direction, machine
from algoperf.run.config import TrialConfig
from algoperf.run.session import Session
from algoperf.run.summary import Reached, Summary
from algoperf.run.training import TrialState
from algoperf.workload import WorkloadSpec


def summarize(
    config: TrialConfig,
    session: Session | None,
    status: str,
    *,
    error: str | None = None,
    warnings: Sequence[str] = (),
    stop_reason: str | None = None,
) -> Summary:
    """The summary of a trial that has ended.

    Args:
      config: the trial.
      session: the trial's objects; None if set-up did not get that far.
      status: one of `records.STATUSES`; a run whose last losses are not finite counts as 'diverged'.
      error: the error of the submission or the input.
      warnings: further warnings, besides those of the session.
      stop_reason: why the trial was stopped and is not to be continued.
    """
    spec = config.workload
    known = Summary(
        status=status,
        submission=config.submission.name,
        workload=spec.name,
        framework=config.framework,
        ruleset=config.settings.tuning_ruleset,
        suite=config.suite,
        study=config.settings.study,
        trial=config.trial,
        hyperparameters=config.point,
        budget_sec=config.budget_sec,
        target_metric=spec.target_metric_name,
        validation_target=spec.validation_target_value,
        test_target=spec.test_target_value,
        eval_every_steps=config.settings.eval_every_steps,
        identity=config.identity(),
        error=error,
        warnings=list(warnings),
        stop_reason=stop_reason,
    )
    if session is None:
        return known
    return dataclasses.replace(known, **_found(session, status, warnings))


def _found(session: Session, status: str, warnings: Sequence[str]) -> dict[str, Any]:
    """The fields of `Summary` that only the session knows."""
    state, workload = session.state, session.workload
    balance = session.ledger.summary()  # First, because it closes the open bucket, which later lines read.
    unread = session.unread_hyperparameters()
    warnings = [*session.warnings, *session.checkpoints.warnings, *warnings]
    # Every nanosecond must be in exactly one bucket; a difference means that the clock has a bug.
    if not balance["balanced"]:
        warnings.append(f"The time ledger adds up to {balance['total']:.2f} s of {balance['wall']:.2f} s.")
    if status != "failed" and (what := divergence(state, session.config.workload)):
        warnings.append(what)
    warnings += [f"Hyperparameter {name!r} was never read by the submission." for name in unread]
    last = state.eval_results[-1] if state.eval_results else None
    return {
        "status": "diverged" if status != "failed" and divergence(state, session.config.workload) else status,
        "unread_hyperparameters": unread,
        "global_batch_size": session.batch_size,
        "global_step": state.global_step,
        "submission_time_sec": session.ledger.submission_ns * 1e-9,
        "validation_target_reached": _first_hit(state, workload.has_reached_validation_target),
        "test_target_reached": _first_hit(state, workload.has_reached_test_target),
        "best": _best(state, session.config.workload),
        "last": None if last is None else {"global_step": last[0], **last[1]},
        "num_evaluations": len(state.eval_results),
        "preemption_count": session.preemption_count,
        "peak_memory": {
            "host_bytes": machine.peak_host_memory_bytes(),
            "device_bytes": session.backend.device_memory(),
        },
        "device": session.backend.describe_device(),
        "ledger": balance,
        "compilations": session.ledger.compilations,
        "warnings": warnings,
    }


def divergence(state: TrialState, spec: WorkloadSpec) -> str | None:
    """What has become of a run that missed its target and whose last evaluation is not finite; None of any other."""
    if not state.eval_results or state.validation_goal_reached:
        return None
    step, metrics = state.eval_results[-1]
    # Any split will do: a submission can keep its training loss finite and be lost all the same.
    target = f"validation/{spec.target_metric_name}"
    for name, value in metrics.items():
        if (name.endswith("loss") or name == target) and not math.isfinite(value):
            return f"Diverged: {name} was {value} at step {step}."
    return None


def _best(state: TrialState, spec: WorkloadSpec) -> dict[str, float] | None:
    """The first evaluation with the best validation metric; None if no value is finite."""
    key = f"validation/{spec.target_metric_name}"
    rows = [
        {"global_step": step, **metrics}
        for step, metrics in state.eval_results
        if math.isfinite(metrics.get(key, math.nan))
    ]
    # The first of equal values: it took the least time.
    best = direction.best([row[key] for row in rows], spec.higher_is_better)
    return next((row for row in rows if row[key] == best), None)


def _first_hit(state: TrialState, has_reached: Callable[[dict[str, float]], bool]) -> Reached | None:
    for (step, metrics), seconds in zip(state.eval_results, state.eval_times_sec, strict=True):
        if has_reached(metrics):
            return {"submission_time_sec": seconds, "global_step": step}
    return None
