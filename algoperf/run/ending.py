"""Makes the summary of a trial, in whichever way it ended."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Any, Protocol

from algoperf import direction
from algoperf.run import clock, judging
from algoperf.run.config import TrialFacts
from algoperf.run.state import TrialState
from algoperf.run.summary import PeakMemory, Reached, Summary
from algoperf.workload import WorkloadSpec


class Ran(Protocol):
    """What is known of a trial that has run, for its summary."""

    @property
    def state(self) -> TrialState:
        """Its end; the trees are not looked at."""

    @property
    def ledger(self) -> clock.Ledger:
        """Where its time went."""

    @property
    def batch_size(self) -> int:
        """Examples per update over all devices."""

    @property
    def preemption_count(self) -> int:
        """Number of interruptions."""

    def unread_hyperparameters(self) -> list[str]:
        """Names of hyperparameters that the submission has not read in any part of the run."""

    def all_warnings(self) -> list[str]:
        """What whoever reads the results has to know."""

    def peak_memory(self) -> PeakMemory:
        """Of the process that has trained."""

    def describe_device(self) -> str:
        """What it ran on."""


def summarize(
    config: TrialFacts,
    session: Ran | None,
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
    return dataclasses.replace(known, **_found(config, session, status, warnings))


def _found(config: TrialFacts, session: Ran, status: str, warnings: Sequence[str]) -> dict[str, Any]:
    """The fields of `Summary` that only the session knows."""
    state, spec = session.state, config.workload
    balance = session.ledger.summary()  # First, because it closes the open bucket, which later lines read.
    unread = session.unread_hyperparameters()
    warnings = [*session.all_warnings(), *warnings]
    # Every nanosecond must be in exactly one bucket; a difference means that the clock has a bug.
    if not balance["balanced"]:
        warnings.append(f"The time ledger adds up to {balance['total']:.2f} s of {balance['wall']:.2f} s.")
    if status != "failed" and (what := divergence(state, spec)):
        warnings.append(what)
    warnings += [f"Hyperparameter {name!r} was never read by the submission." for name in unread]
    last = state.eval_results[-1] if state.eval_results else None
    return {
        "status": "diverged" if status != "failed" and divergence(state, spec) else status,
        "unread_hyperparameters": unread,
        "global_batch_size": session.batch_size,
        "global_step": state.global_step,
        "submission_time_sec": session.ledger.submission_ns * 1e-9,
        "validation_target_reached": _first_hit(state, spec, "validation"),
        "test_target_reached": _first_hit(state, spec, "test") if spec.has_test_split else None,
        "best": _best(state, spec),
        "last": None if last is None else {"global_step": last[0], **last[1]},
        "num_evaluations": len(state.eval_results),
        "preemption_count": session.preemption_count,
        "peak_memory": session.peak_memory(),
        "device": session.describe_device(),
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


def _first_hit(state: TrialState, spec: WorkloadSpec, split: str) -> Reached | None:
    for (step, metrics), seconds in zip(state.eval_results, state.eval_times_sec, strict=True):
        if judging.has_reached(spec, split, metrics):
            return {"submission_time_sec": seconds, "global_step": step}
    return None
