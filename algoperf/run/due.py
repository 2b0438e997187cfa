"""What is due after a step of the timed loop, and how the processes of a distributed run agree on it."""

import math

from algoperf.backends.base import Backend
from algoperf.run import clock

PROGRESS_PERIOD_NS = 1_000_000_000

# What can be due after a step, the most urgent last.
NOTHING_DUE, PROGRESS_DUE, END_DUE, EVALUATION_DUE = range(4)


class Schedule:
    """What is due between two pauses of the loop.

    So that a step costs a comparison or two, the loop looks at `eval_step` and at `check_ns` (in a distributed run, at
    `agreement.next_step`) by itself and asks `after` only when one of them is reached.

    Args:
      backend: counts the processes.
      ledger: the open time ledger.
      step: updates so far.
      eval_step: after which an evaluation is due whatever the time; infinite where none is.
      eval_ns: reading of the ledger from which on an evaluation is due; infinite where steps alone decide.
      budget_ns: of the submission clock.
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
        """None with one process."""
        now_ns = ledger.enter(clock.OTHER)
        self._progress_ns = now_ns  # A sign of life after the first step of every stretch.
        self.check_ns = 0.0
        """Nothing can be due on this process before this reading, but for a signal or by `eval_step`."""
        self._set_check(now_ns)

    def _set_check(self, now_ns: int) -> None:
        # The budget cannot be spent before this much wall time has passed.
        left_ns = self._budget_ns - self._ledger.submission_ns
        self.check_ns = min(self._eval_ns, self._progress_ns, now_ns + left_ns)

    def after(self, step: int, now_ns: int, training_complete: bool, stop_signal: int) -> int:
        """What is most urgent after `step` updates, on any process.

        Args:
          step: updates so far.
          now_ns: reading of the ledger, in whose bucket `other` this is called.
          training_complete: whether the submission has declared itself done.
          stop_signal: number of the signal that asked this process to stop; 0 for none.
        """
        if step >= self.eval_step or now_ns >= self._eval_ns or training_complete:
            due = EVALUATION_DUE
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
        """The progress that was due has been shown; the next is due after `PROGRESS_PERIOD_NS`."""
        self._progress_ns = now_ns + PROGRESS_PERIOD_NS
        self._set_check(now_ns)


class Agreement:
    """When the processes of a distributed run compare what is due, as their clocks differ; the same steps for all.

    Comparing waits for the device. So the next time is half as far away as whatever is due next would be at the speed
    so far, and at most twice as many steps as the last time: in a second of 10 ms steps about ten times, not a hundred.
    """

    def __init__(self, backend: Backend, step: int):
        self._backend = backend
        self._step, self._num_steps = step, 1
        self._since_ns: int | None = None
        self.next_step = step + 1

    def on(self, due: int, step: int, now_ns: int, check_ns: float) -> int:
        """What is most urgent for any process, which counts for all."""
        wanted = 1
        if self._since_ns is not None and check_ns > now_ns:
            step_ns = (now_ns - self._since_ns) / (step - self._step)
            wanted = int(min(2 * self._num_steps, max(1, (check_ns - now_ns) / (2 * step_ns))))
        # One message: what is due or, below 0, how many steps may pass.
        answer = int(self._backend.maximum(float(due if due > NOTHING_DUE else -wanted)))
        self._num_steps = max(1, -answer)
        self._step, self._since_ns, self.next_step = step, now_ns, step + self._num_steps
        return max(answer, NOTHING_DUE)


def next_eval_step(step: int, *, every: int | None, max_steps: int | None) -> float:
    """The step after which an evaluation is due whatever the time; infinite where there is none.

    Args:
      step: updates so far.
      every: evaluations come after step 1 and every multiple of it; None leaves them to time.
      max_steps: of the run, which ends with an evaluation.

    >>> [next_eval_step(step, every=4, max_steps=10) for step in (0, 1, 4, 8)]
    [1, 4, 8, 10]
    """
    last = math.inf if max_steps is None else max_steps
    if every is None:
        return last
    return min(last, 1 if step == 0 else (step // every + 1) * every)
