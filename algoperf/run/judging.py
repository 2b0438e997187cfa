"""What an evaluation means for a trial, wherever the parameters are that are evaluated."""

import math
from collections.abc import Callable, Mapping
from typing import Protocol

from algoperf.evaluation import named, splits_of
from algoperf.run import clock
from algoperf.run.state import TrialState
from algoperf.workload import WorkloadSpec

Metrics = dict[str, float]


class Candidate(Protocol):
    """Parameters that are to be evaluated."""

    def evaluate_split(self, split: str) -> Metrics:
        """Metric name -> value on one of `evaluation.SPLITS`."""

    def has_finite_params(self) -> bool:
        """Whether every parameter is finite, on all processes of a run."""


def judge(
    state: TrialState,
    spec: WorkloadSpec,
    ledger: clock.Ledger,
    candidate: Candidate,
    agree: Callable[[Metrics], Metrics] = lambda metrics: metrics,
) -> Metrics:
    """Evaluates all splits of the workload off the clock and enters the result, with the goals reached, into the state.

    Args:
      state: changed in place, but for its trees.
      spec: has the targets.
      ledger: the open time ledger, which stands at the submission time of this evaluation.
      candidate: what is evaluated.
      agree: makes the metrics the same on all processes of a run.
    """
    metrics: Metrics = {}
    for split, prefix in splits_of(spec).items():
        ledger.enter(f"eval_{prefix}")
        metrics.update(named(spec, split, candidate.evaluate_split(split)))
    ledger.enter(clock.OTHER)
    metrics = agree(metrics)
    state.validation_goal_reached |= has_reached(spec, "validation", metrics)
    state.test_goal_reached |= has_reached(spec, "test", metrics)
    state.eval_results.append((state.global_step, metrics))
    state.eval_times_sec.append(ledger.submission_ns * 1e-9)
    # Parameters are checked only here: a finite metric makes non-finite parameters very unlikely.
    if not all(map(math.isfinite, metrics.values())):
        state.has_diverged = not candidate.has_finite_params()
    return metrics


def has_reached(spec: WorkloadSpec, split: str, metrics: Mapping[str, float]) -> bool:
    """Whether an evaluation meets the target of 'validation' or 'test'; True of a test split that there is not."""
    target = spec.validation_target_value if split == "validation" else spec.test_target_value
    if target is None:
        return True
    return spec.meets(metrics.get(f"{split}/{spec.target_metric_name}", math.nan), target)
