"""What is due after a step of the timed loop, and how the processes of a distributed run agree on it."""

import math

from algoperf.backends.base import Backend
from algoperf.run import clock

# R6.3: about once a second the device catches up, so queued steps cannot overrun the budget by more than
# that.
PROGRESS_PERIOD_NS = 1_000_000_000

# What can be due after a step, in order of urgency, so that the maximum over all processes is the most urgent.
NOTHING_DUE, PROGRESS_DUE, END_DUE, EVALUATION_DUE = range(4)


class Schedule:
    """Decides what is due between two pauses of the loop.

    To keep a step cheap, the loop itself compares the step with `eval_step` and the time with `check_ns` (in a
    distributed run, the step with `agreement.next_step`), and calls `after` only when one of them is reached.

    Args:
      backend: knows the number of processes.
      ledger: the open time ledger.
      step: updates so far.
      eval_step: the step after which an evaluation is due at any time; infinite if there is none.
      eval_ns: the reading of the ledger from which an evaluation is due; infinite if only steps decide.
      budget_ns: the budget on the submission clock.
    """

    def __init__(
        self,
        backend: Backend,
        ledger: clock.Ledger,
        *,
        step: int,
        eval_step: float,
        eval_ns: float,
        budget_ns: int,
    ):
        self._ledger, self._budget_ns = ledger, budget_ns
        self.eval_step, self._eval_ns = eval_step, eval_ns
        self.agreement = Agreement(backend, step) if backend.num_processes > 1 else None
        """None in a run of one process."""
        now_ns = ledger.enter(clock.OTHER)
        self._progress_ns = now_ns  # So progress is shown after the first step, too.
        self.check_ns = 0.0
        """Before this reading, only a signal or `eval_step` can make something due on this process."""
        self._set_check(now_ns)

    def _set_check(self, now_ns: int) -> None:
        # The submission clock runs at most as fast as wall time, so the budget lasts at least this long.
        left_ns = self._budget_ns - self._ledger.submission_ns
        self.check_ns = min(self._eval_ns, self._progress_ns, now_ns + left_ns)

    def after(self, step: int, now_ns: int, training_complete: bool, stop_signal: int) -> int:
        """The most urgent thing that is due on any process after `step` updates.

        Args:
          step: updates so far.
          now_ns: the reading of the ledger, which is in bucket `other`.
          training_complete: whether the submission has declared itself done.
          stop_signal: number of the signal that asked this process to stop; 0 for none.
        """
        if step >= self.eval_step or now_ns >= self._eval_ns or training_complete:
            due = EVALUATION_DUE
        # After the evaluation: R6.8 decides there whether the budget still allows it.
        elif stop_signal or self._ledger.submission_ns >= self._budget_ns:
            due = END_DUE
        else:
            due = PROGRESS_DUE if now_ns >= self._progress_ns else NOTHING_DUE
        if self.agreement is not None:
            due = self.agreement.on(due, step, now_ns, self.check_ns)
            self._ledger.waited_since(now_ns)
        if due == NOTHING_DUE:
            self._set_check(now_ns)
        return due

    def reported(self, now_ns: int) -> None:
        """To be called when progress has been shown; it is due again after `PROGRESS_PERIOD_NS`."""
        self._progress_ns = now_ns + PROGRESS_PERIOD_NS
        self._set_check(now_ns)


class Agreement:
    """Chooses the steps after which processes of a distributed run compare what is due, as their clocks differ.

    Each comparison waits for the device, so it must be rare. At the speed so far, the next comparison comes at half
    the
    time to the next thing due, and after at most twice as many steps as the last time: with steps of 10 ms about ten
    times in a second instead of a hundred times.
    """

    def __init__(self, backend: Backend, step: int):
        self._backend = backend
        self._step, self._num_steps = step, 1
        self._since_ns: int | None = None
        self.next_step = step + 1

    def on(self, due: int, step: int, now_ns: int, check_ns: float) -> int:
        """The most urgent thing that is due on any process; called by all processes after the same step."""
        wanted = 1
        if self._since_ns is not None and check_ns > now_ns:
            step_ns = (now_ns - self._since_ns) / (step - self._step)
            wanted = int(min(2 * self._num_steps, max(1, (check_ns - now_ns) / (2 * step_ns))))
        # One message carries both: what is due or, as a negative number, how many steps may pass; the maximum of
        # negative numbers is the fewest steps.
        answer = int(self._backend.maximum(float(due if due > NOTHING_DUE else -wanted)))
        self._num_steps = max(1, -answer)
        self._step, self._since_ns, self.next_step = step, now_ns, step + self._num_steps
        return max(answer, NOTHING_DUE)


def next_eval_step(step: int, *, every: int | None, max_steps: int | None) -> float:
    """The step after which an evaluation is due at any time; infinite if there is none.

    Args:
      step: updates so far.
      every: evaluations come after step 1 and every multiple of this; None if time decides.
      max_steps: last step of the run, which ends with an evaluation.

    >>> [next_eval_step(step, every=4, max_steps=10) for step in (0, 1, 4, 8)]
    [1, 4, 8, 10]
    """
    last = math.inf if max_steps is None else max_steps
    if every is None:
        return last
    return min(last, 1 if step == 0 else (step // every + 1) * every)
