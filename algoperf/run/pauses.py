"""What happens when the timed loop pauses: evaluation, records and decisions, here in the process of the loop."""

from collections.abc import Callable
from typing import Any, Protocol

from algoperf.backends.base import Backend, exchange_of
from algoperf.bound_workload import Workload
from algoperf.run import clock, judging
from algoperf.run.state import TrialState


class Pauses(Protocol):
    """What the timed loop asks of whoever keeps its time and judges its parameters.

    In each call the device has been waited for, on the clock, and the trial's arrays are in the state. What the state
    says afterwards decides whether the loop goes on.
    """

    def evaluate(self, state: TrialState) -> bool:
        """Evaluates and records, off the clock; False without an evaluation, as where the budget is spent."""

    def pause(self, state: TrialState) -> None:
        """A pause without evaluation: finds out whether the budget is spent."""


class Here:
    """See `Pauses`: all of it in this process.

    Args:
      workload: the bound workload.
      ledger: the open time ledger.
      budget_ns: the budget on the submission clock.
      on_evaluation: called after each evaluation with (state, metrics).
      check: called before each evaluation, off the clock; raises UsageError if it is not to be.
    """

    def __init__(
        self,
        workload: Workload,
        ledger: clock.Ledger,
        budget_ns: int,
        on_evaluation: Callable[[TrialState, dict[str, float]], None],
        check: Callable[[], None] = lambda: None,
    ):
        self._workload, self._ledger, self._budget_ns = workload, ledger, budget_ns
        self._on_evaluation, self._check = on_evaluation, check
        self._backend: Backend = workload.backend

    def evaluate(self, state: TrialState) -> bool:
        self.pause(state)
        if state.budget_spent:  # By `prepare_for_eval`, at the latest (R6.8).
            return False
        workload = self._workload
        self._ledger.enter(clock.OTHER)
        self._check()
        metrics = judging.judge(
            state, workload.spec, self._ledger, _Evaluated(workload, state), self._agreed_metrics
        )
        state.sec_since_eval = 0.0
        self._on_evaluation(state, metrics)
        return True

    def pause(self, state: TrialState) -> None:
        if agreed_submission_ns(self._backend, self._ledger) >= self._budget_ns:
            state.budget_spent = True

    def _agreed_metrics(self, metrics: dict[str, float]) -> dict[str, float]:
        if self._backend.num_processes == 1:
            return metrics
        # Processes may round sums differently, but all must reach the target at the same step.
        return exchange_of(self._backend).broadcast(metrics)


class _Evaluated:
    """The parameters of this process, evaluated by it."""

    def __init__(self, workload: Workload, state: TrialState):
        self._workload = workload
        self._params: Any = state.params
        self._model_state: Any = state.model_state

    def evaluate_split(self, split: str) -> dict[str, float]:
        return self._workload.evaluator.evaluate_split(split, self._params, self._model_state)

    def has_finite_params(self) -> bool:
        is_finite = self._workload.model.has_finite_params(self._params)
        return not self._workload.backend.maximum(float(not is_finite))


def agreed_submission_ns(backend: Backend, ledger: clock.Ledger) -> int:
    """Submission time of the slowest process, which counts for all."""
    if backend.num_processes > 1:
        start_ns = ledger.enter(clock.OTHER)
        latest_sec = backend.maximum(ledger.submission_ns * 1e-9)
        ledger.waited_since(start_ns)
        ledger.set_to_latest(latest_sec)
    return ledger.submission_ns
