"""The timed loop: data selection, update, and evaluation when due, until the run ends.

Rules of the clock (RULES.md, section 6): submission time is data selection + update + prepare_for_eval. Steps do not
wait for the device. About once a second, and before the clock pauses (evaluation, end, checkpoint), the harness waits
for all queued work, so that work is charged to the submission and never to the evaluation.
"""

import dataclasses
import math
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

from algoperf.backends.base import SubmissionError
from algoperf.bound_workload import Workload
from algoperf.random_utils import StepKeys
from algoperf.run import clock, due, pauses, shown
from algoperf.run.state import TrialState
from algoperf.settings import RunSettings
from algoperf.spec import Batch, Hyperparameters, Interrupted, TrainingCompleteError


@dataclasses.dataclass(frozen=True, kw_only=True)
class LoopOptions:
    """When to evaluate and when to stop."""

    budget_sec: float
    """The budget on the submission clock."""
    eval_period_sec: float
    """Least wall time between evaluations."""
    eval_steps: tuple[int, ...] | None = None
    """The updates after which to evaluate, instead of what settings and period say; ascending."""
    settings: RunSettings
    """Of the run; the loop reads what is about evaluating and stopping by itself."""


class TrainingLoop:
    """Trains one trial from its current state to its end.

    Args:
      workload: the bound workload, its model initialised.
      submission: module with the submission's functions.
      hyperparameters: the namedtuple, or None.
      state: the state to start from. The loop changes it in place, so that a caller who catches a signal or an error
        has the newest state; it changes no other argument.
      queue: endless training batches.
      ledger: the open time ledger.
      keys: global_step -> keys for data selection, update and prepare_for_eval.
      options: when to evaluate and stop.
      wants_train_state: whether `update_params` takes `train_state`.
      on_evaluation: called after each evaluation with (state, metrics), charged to logging and checkpoint by
        itself.
      on_progress: called about once a second with (state, submission seconds).
      judge: who evaluates and keeps the budget, in place of this process; it gets no `on_evaluation`.
    """

    def __init__(
        self,
        workload: Workload,
        submission: types.ModuleType,
        hyperparameters: Hyperparameters | None,
        state: TrialState,
        queue: Iterator[Batch],
        ledger: clock.Ledger,
        keys: StepKeys,
        options: LoopOptions,
        wants_train_state: bool = False,
        on_evaluation: Callable[[TrialState, dict[str, float]], None] = lambda state, metrics: None,
        on_progress: Callable[[TrialState, float], None] = lambda state, seconds: None,
        judge: pauses.Pauses | None = None,
    ):
        self.workload, self.submission, self.hyperparameters = workload, submission, hyperparameters
        self.state, self.queue, self.ledger, self.keys, self.options = state, queue, ledger, keys, options
        self.on_progress = on_progress
        self.stop_signal = 0
        self._wants_train_state = wants_train_state
        self._backend, self._model = workload.backend, workload.model
        self._budget_ns = round(options.budget_sec * 1e9)
        self.pauses = judge or pauses.Here(workload, ledger, self._budget_ns, on_evaluation)
        self._next_eval_ns = 0
        self._last_eval_ns: int | None = None
        self._train_state: dict[str, Any] = {}

    # ---- the loop ----------------------------------------------------------------------------------------------

    def run(self) -> str:
        """Trains to the end; returns the status of the trial (`records.STATUSES`).

        Raises:
          Interrupted: after a signal; the state is consistent and device work is done.
        """
        now = self.ledger.enter(clock.OTHER)
        remaining = max(0.0, self.options.eval_period_sec - self.state.sec_since_eval)
        self._next_eval_ns = now + round(remaining * 1e9)
        if math.isfinite(self.state.sec_since_eval):
            self._last_eval_ns = now - round(self.state.sec_since_eval * 1e9)
        self._fill_train_state()
        while True:
            status = self.state.end_status(self.options.settings)
            if status is not None:
                return status
            evaluate = self._steps_until_pause()
            self._wait(clock.UPDATE)
            if evaluate:
                self._evaluate()
            else:
                self._check_returned()
                self.pauses.pause(self.state)
            stop_signal = self._agree_on_flags()
            if stop_signal:
                if self._last_eval_ns is not None:
                    self.state.sec_since_eval = (self.ledger.enter(clock.OTHER) - self._last_eval_ns) / 1e9
                raise Interrupted(stop_signal)

    def _schedule(self) -> due.Schedule:
        settings, step = self.options.settings, self.state.global_step
        every = None if settings.skip_evals else settings.eval_every_steps
        by_time = every is None and not settings.skip_evals
        eval_step = due.next_eval_step(step, every=every, max_steps=settings.max_global_steps)
        if self.options.eval_steps is not None:
            by_time = False
            eval_step = next((one for one in self.options.eval_steps if one > step), math.inf)
        return due.Schedule(
            self._backend,
            self.ledger,
            step=step,
            eval_step=eval_step,
            eval_ns=self._next_eval_ns if by_time else math.inf,
            budget_ns=self._budget_ns,
        )

    def _fixed_arguments(self) -> dict[str, Any]:
        """The arguments of `update_params` that are the same at every step until an evaluation."""
        workload = self.workload
        arguments = {
            "workload": workload,
            "current_params_types": workload.model_params_types,
            "hyperparameters": self.hyperparameters,
            "loss_type": workload.loss_type,
            "eval_results": self._results_to_read(),
        }
        if self._wants_train_state:
            arguments["train_state"] = types.MappingProxyType(self._train_state)
        return arguments

    def _results_to_read(self) -> list[tuple[int, shown.ShownMetrics]]:
        """A copy of the evaluations without the test split: whoever writes into it changes no record."""
        return shown.of(self.state.eval_results)

    def _steps_until_pause(self) -> bool:
        """Trains until something is due; returns whether that is an evaluation.

        The hot loop: what it does besides calling the submission takes a few microseconds a step.
        """
        state, ledger, keys, train_state = self.state, self.ledger, self.keys, self._train_state
        workload, hyperparameters, queue = self.workload, self.hyperparameters, self.queue
        data_selection, update_params = self.submission.data_selection, self.submission.update_params
        arguments, schedule = self._fixed_arguments(), self._schedule()
        params, model_state, optimizer_state = state.params, state.model_state, state.optimizer_state
        # Only these locals refer to the arrays while the submission runs, because JAX submissions donate them.
        state.params = state.model_state = state.optimizer_state = None
        step = state.global_step
        # Copied into locals, because every step reads them.
        agreement, check_ns, eval_step = schedule.agreement, schedule.check_ns, schedule.eval_step
        wall_offset_sec = time.time() - ledger.enter(clock.OTHER) * 1e-9
        try:
            while True:
                data_key, update_key, _ = keys(step)
                ledger.enter("data_selection")
                batch = data_selection(
                    workload, queue, optimizer_state, params, model_state, hyperparameters, step, data_key
                )
                ledger.enter("update")
                try:
                    returned = update_params(
                        current_param_container=params,
                        model_state=model_state,
                        batch=batch,
                        optimizer_state=optimizer_state,
                        global_step=step,
                        rng=update_key,
                        **arguments,
                    )
                    optimizer_state, params, model_state = returned
                    del returned
                except TrainingCompleteError:
                    state.training_complete = True
                except (TypeError, ValueError) as error:
                    if "returned" in locals():  # The call succeeded, but its result is no triple.
                        raise _no_triple("update_params", returned) from error
                    raise
                now = ledger.enter("other")
                step += 1
                submission_sec = ledger.submission_ns * 1e-9
                train_state["accumulated_submission_time"] = submission_sec
                train_state["last_step_end_time"] = now * 1e-9 + wall_offset_sec
                if step == 1:
                    self._model.check_update(params, model_state)
                    self._backend.check_optimizer_state(optimizer_state, "update_params")
                if agreement is None:
                    is_due = now >= check_ns or self.stop_signal
                else:
                    is_due = step >= agreement.next_step
                if is_due or step >= eval_step or state.training_complete:
                    if agreement is not None:
                        # First, on the clock: the comparison itself also waits for the device, off the clock.
                        self._wait(clock.UPDATE)
                        now = ledger.enter("other")
                    found = schedule.after(step, now, state.training_complete, self.stop_signal)
                    if found >= due.END_DUE:
                        return found == due.EVALUATION_DUE and not self.options.settings.skip_evals
                    if found == due.PROGRESS_DUE:
                        schedule.reported(self._report_progress(step))
                    check_ns = schedule.check_ns
        finally:
            state.params, state.model_state, state.optimizer_state = params, model_state, optimizer_state
            state.global_step = step

    def _report_progress(self, step: int) -> int:
        """Shows progress; returns the reading of the ledger afterwards.

        First waits for the device, about once a second: then the shown time is right, and queued steps cannot overrun
        the budget by more than a second. It costs one dispatch.
        """
        self._wait(clock.UPDATE)
        self.state.global_step = step
        self.ledger.enter(clock.LOGGING)
        self.on_progress(self.state, self.ledger.submission_ns * 1e-9)
        return self.ledger.enter(clock.OTHER)

    # ---- pauses ------------------------------------------------------------------------------------------------

    def _wait(self, bucket: str) -> None:
        """Waits for all queued device work and charges it to `bucket`."""
        self.ledger.enter(bucket)
        self._backend.wait()
        self.ledger.enter(clock.OTHER)

    def _agree_on_flags(self) -> int:
        """In a distributed run, spreads flags of any process to all; returns the number of the stop signal, or 0."""
        if self._backend.num_processes > 1:
            self.state.training_complete = bool(self._backend.maximum(float(self.state.training_complete)))
            return int(self._backend.maximum(float(self.stop_signal)))
        return self.stop_signal

    def _fill_train_state(self) -> None:
        state, ledger = self.state, self.ledger
        self._train_state.update(
            validation_goal_reached=state.validation_goal_reached,
            test_goal_reached=state.test_goal_reached,
            is_time_remaining=not state.budget_spent,
            training_complete=state.training_complete,
            accumulated_submission_time=ledger.submission_ns * 1e-9,
            accumulated_eval_time=ledger.seconds(*clock.EVALUATION_BUCKETS),
            accumulated_logging_time=ledger.seconds(clock.LOGGING, clock.CHECKPOINT),
        )
        self._train_state.setdefault("last_eval_time", 0.0)
        self._train_state.setdefault("last_step_end_time", time.time())

    def _evaluate(self) -> None:
        """prepare_for_eval on the clock; then, if the budget allows, evaluation of all splits off the clock (R6.8)."""
        self._prepare_for_eval()
        self._check_returned()
        if not self.pauses.evaluate(self.state):
            return
        self._train_state["last_eval_time"] = time.time()
        self._fill_train_state()
        # After logging and checkpoint: R6.7 counts the period from the end of the records.
        self._last_eval_ns = self.ledger.enter(clock.OTHER)
        self._next_eval_ns = self._last_eval_ns + round(self.options.eval_period_sec * 1e9)

    def _check_returned(self) -> None:
        """Looks at what was returned, each time: what passed once may be another model later (R3.12, R3.13)."""
        self._model.check_update(self.state.params, self.state.model_state)

    def _prepare_for_eval(self) -> None:
        prepare = getattr(self.submission, "prepare_for_eval", None)
        if prepare is None:
            return
        state, workload = self.state, self.workload
        # The third key of the step that has just been done; the next step has new ones.
        rng = self.keys(state.global_step - 1)[2]
        params, model_state, optimizer_state = state.params, state.model_state, state.optimizer_state
        state.params = state.model_state = state.optimizer_state = None
        self.ledger.enter(clock.PREPARE_FOR_EVAL)
        returned = prepare(
            workload=workload,
            current_param_container=params,
            current_params_types=workload.model_params_types,
            model_state=model_state,
            hyperparameters=self.hyperparameters,
            loss_type=workload.loss_type,
            optimizer_state=optimizer_state,
            eval_results=self._results_to_read(),
            global_step=state.global_step,
            rng=rng,
        )
        try:
            state.optimizer_state, state.params, state.model_state = returned
        except (TypeError, ValueError) as error:
            raise _no_triple("prepare_for_eval", returned) from error
        del returned
        # Work that it queued is charged to it, not to the evaluation (R6.4).
        self._wait(clock.PREPARE_FOR_EVAL)
        self._backend.check_optimizer_state(state.optimizer_state, "prepare_for_eval")


def _no_triple(function: str, returned: object) -> SubmissionError:
    size = f" of {len(returned)} items" if isinstance(returned, (tuple, list)) else ""
    return SubmissionError(
        f"{function} must return (optimizer_state, params, model_state), got {type(returned).__name__}{size}."
    )
