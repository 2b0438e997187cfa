"""The referee of one trial: its clock, budget, schedule and decisions. It imports no framework and no submission.

The clock stops when the trainee says that it has done a step and waited for its device, and starts when the referee
says *go*. In between the trainee hands over its parameters, for which there is an allowance, and is stopped while the
evaluator evaluates them.
"""

import signal
import time
from types import FrameType
from typing import Any

from algoperf import backends, machine
from algoperf.confinement import kernel
from algoperf.data import locate
from algoperf.referee import (
    allowance,
    cgroup,
    channel,
    claims,
    confined,
    freeze,
    parcel,
    plausible,
    plausible_steps,
    trainee,
)
from algoperf.referee.book import Book
from algoperf.referee.channel import Closed, Message
from algoperf.referee.children import Child
from algoperf.referee.custody import Custody
from algoperf.referee.ended import Ended
from algoperf.referee.findings import FORBIDDEN
from algoperf.referee.set_up import SetUp
from algoperf.referee.trainees import Trainees
from algoperf.run import clock, due, here
from algoperf.run.config import TrialFacts
from algoperf.run.judging import judge
from algoperf.run.shown import metrics_of
from algoperf.run.study import StudyPlan
from algoperf.run.summary import Summary
from algoperf.spec import Interrupted, UsageError

GRACE_SEC = 10.0
"""Beyond the budget (of tests, at most as long as that), until a trainee that says nothing is stopped."""
STOP_SEC = 60.0
"""How long a trainee that was asked to stop gets for its step, before it is stopped without a checkpoint."""
ODD_PAUSES = 3
"""So many pauses without a reason are no finding."""
EARLY_PERIODS = 0.02
"""By so much of a period an evaluation may come before it is due: clocks and messages."""


class Referee:
    """Runs one trial in children of this process: one evaluates, the others train.

    Args:
      plan: of the study.
      facts: of the trial; its environment is not known yet.
      ledger: the open time ledger.
      num_processes: how many train together.
    """

    def __init__(self, plan: StudyPlan, facts: TrialFacts, ledger: clock.Ledger, num_processes: int = 1):
        self._num_processes = num_processes
        self._plan, self._settings, self._spec = plan, facts.settings, facts.workload
        self._ledger, self._book = ledger, Book(facts, ledger)
        self._budget_ns = round(facts.time_limit_sec * 1e9)
        self._grace_sec = min(GRACE_SEC, max(1.0, facts.budget_sec))
        self._next_eval_ns, self._num_odd_pauses = 0, 0
        self._last_eval_ns: int | None = None
        self._running_since = 0.0
        """On `time.monotonic`, when the clock was last started."""
        self._stop_signal, self._stop_deadline = 0, 0.0

    # ---- from start to end -------------------------------------------------------------------------------------

    def run(self) -> Summary:
        """Runs the trial to its end; returns its summary, which is written.

        Raises:
          UsageError: for mistakes of the user, before training starts.
          Interrupted: after SIGINT or SIGTERM.
          StorageError: if the records cannot be written any more.
        """
        busy = machine.busy_warning()  # Before there are three processes.
        self._book.tell([] if busy is None else [busy])
        # Mini data are made on first use: not by two processes, nor while anybody's clock runs.
        locate.ready_folder(self._spec, self._settings.data_dir)
        freeze.adopt_orphans()
        kernel.hide()
        confinement = confined.prepare(self._book.config, self._num_processes)
        self._book.confinement = confinement.record
        self._book.tell(confinement.warnings())
        framework, device = self._plan.framework, self._settings.evaluator_device
        launch = backends.launch(framework)
        environment = {**launch.in_group(0, 1, 0), **launch.evaluator_environment(device)}
        self._trainee = Trainees(framework, self._num_processes, device, confinement)
        self._evaluator = Child("algoperf.referee.evaluator", environment, confinement.evaluator)
        group = freeze.Group(self._trainee.pids, self._evaluator.pid, cgroup.make())
        self._custody = Custody(group, self._book, confinement.limits())
        before = {number: signal.signal(number, self._ask) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            end = self._run()
            self._look_back(end)
            return self._book.summarize(end.status, end.error)
        finally:
            self._custody.end()
            self._trainee.kill()
            self._evaluator.kill()
            confinement.close()
            for number, handler in before.items():
                signal.signal(number, handler)

    def _run(self) -> Ended:
        try:
            self._set_up()
            while True:
                self._answer(self._next_pause())
        except Ended as end:
            return end
        except Closed as problem:
            return self._broken_off(problem)

    def _look_back(self, end: Ended) -> None:
        """Compares the steps of a trial that has ended with what this machine can do."""
        book = self._book
        if end.status == "failed" or plausible_steps.step_sec_of(book) is None:
            return
        self._custody.stop()  # The machine is the evaluator's alone.
        found = _asked(self._evaluator, "hardware", "hardware", batch_size=book.batch_size)
        if "problem" in found.fields:
            book.hardware = {"problem": found.text("problem")}
            return
        plausible_steps.check(
            book,
            found.number("operations_per_example"),
            found.number("peak_per_sec"),
            has_accelerator=book.has_accelerator,
        )

    def _set_up(self) -> None:
        """Both children are ready, and the clock starts."""
        set_up = SetUp(self._plan, self._book, self._trainee, self._evaluator, self._custody)
        self._speed = set_up.run()
        set_up.check_initial(self._load())
        self._book.open()
        state, now = self._book.state, self._ledger.enter(clock.OTHER)
        if state.eval_results:
            self._last_eval_ns = now - round(state.sec_since_eval * 1e9)
            left_sec = max(0.0, self._spec.eval_period_time_sec - state.sec_since_eval)
            self._next_eval_ns = now + round(left_sec * 1e9)
        self._go(None)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        """Passes a stop signal on; the trainee stops after its step."""
        del frame
        if self._stop_signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        self._stop_signal, self._stop_deadline = number, time.monotonic() + STOP_SEC
        if not self._book.is_open:
            raise self._interrupted()
        self._trainee.first.process.send_signal(signal.SIGTERM)  # Which tells the others.

    def _interrupted(self) -> Interrupted:
        """What the command ends with after a signal.

        Raises:
          Ended: if the trial is not to be continued.
        """
        if here.stop_reason(self._book.config) is not None:
            raise Ended("stopped")
        self._book.close()
        self._book.tell_followers(None)
        last = self._book.last_checkpoint
        goes_on = f"continues from step {last}"
        return Interrupted(
            self._stop_signal, "starts over, as there is no checkpoint" if last is None else goes_on
        )

    def _broken_off(self, problem: Closed) -> Ended:
        """The end of a trial whose trainee has gone, or talks nonsense, which its harness would not."""
        if self._evaluator.process.poll() is not None:
            raise RuntimeError(f"The evaluator {self._evaluator.how_it_ended()}: its own words are above.")
        step = self._book.state.global_step
        self._ledger.enter(clock.OTHER)
        self._book.charge_lost()
        if isinstance(problem, channel.Gone):
            how = self._trainee.how_it_ended()
            return Ended("failed", f"The process of the submission {how}, after step {step} at least.")
        self._book.findings.add("R3.20", FORBIDDEN, step, f"It sent {problem}.")
        return Ended("failed", f"The process of the submission sent {problem}.")

    # ---- while the clock runs ----------------------------------------------------------------------------------

    def _go(self, metrics: dict[str, float] | None) -> None:
        """Starts the clock and lets the trainee run.

        Args:
          metrics: what it may know of an evaluation.
        """
        state = self._book.state
        self._running_since = time.monotonic()
        self._ledger.enter(clock.UPDATE)
        self._custody.let_go()
        flags = {name: getattr(state, name) for name in trainee.FLAGS}
        self._trainee.send("go", metrics=metrics, submission_ns=self._ledger.submission_ns, **flags)

    def _next_pause(self) -> Message:
        """What the trainee says when it pauses; the clock stands still from then on."""
        book, ledger = self._book, self._ledger
        end = self._running_since + self._left_sec() + self._grace_sec
        while True:
            self._custody.check_limits()
            deadline = min(end, self._stop_deadline) if self._stop_signal else end
            # A signal may come while this waits.
            message = self._trainee.channel.receive(min(deadline, time.monotonic() + 1.0))
            if message is None:
                self._trainee.check()
                if time.monotonic() >= deadline:
                    self._stop_unasked()
                continue
            message.without_files()
            if message.kind == "progress":
                book.take_rows(message)
                book.state.global_step = max(book.state.global_step, message.whole("step"))
                running_sec = time.monotonic() - self._running_since
                book.progress.step(book.state.global_step, ledger.submission_ns / 1e9 + running_sec)
                continue
            before_ns = ledger.submission_ns
            ledger.enter(clock.CHECKPOINT)
            book.take_claims(message, ledger.submission_ns - before_ns)
            self._check_goes_on(message)
            if message.kind != "done":
                raise Closed(f"a message {message.kind!r}")
            return message

    def _check_goes_on(self, message: Message) -> None:
        """Raises Ended if the trainee says that it has ended."""
        if message.kind == "ended":
            error = claims.sentence(
                message.fields.get("error") or "The timed loop ended without the referee."
            )
            raise Ended("failed", confined.explained(error, self._book.confinement))

    def _left_sec(self) -> float:
        """What is left of the budget."""
        return max(0, self._budget_ns - self._ledger.submission_ns) / 1e9

    def _stop_unasked(self) -> None:
        """Ends a trial whose step does not end."""
        self._custody.stop()
        self._ledger.enter(clock.OTHER)
        if self._stop_signal:
            raise self._interrupted()
        self._book.state.budget_spent = True
        raise Ended("budget_exhausted")

    # ---- pauses ------------------------------------------------------------------------------------------------

    def _answer(self, message: Message) -> None:
        """Does what is due at a pause, and starts the clock again.

        Raises:
          Ended: if the trial is over.
        """
        state, why = self._book.state, message.text("why")
        step = message.whole("step")
        if step < state.global_step:
            raise Closed(f"step {step} after step {state.global_step}")
        state.global_step = step
        state.training_complete = bool(message.fields.get("complete"))
        state.budget_spent = self._ledger.submission_ns >= self._budget_ns
        since_ns, metrics, is_over = self._ledger.enter(clock.CHECKPOINT), None, self._status() is not None
        if why == "evaluate" and not state.budget_spent and self._is_due(step):
            metrics = self._evaluate()
        elif (why == "save" and (self._stop_signal or is_over)) or (is_over and self._settings.skip_evals):
            self._save()
        else:  # The clock was stopped for nothing, unless this is the end.
            since_ns = self._ledger.enter(clock.CHECKPOINT) - since_ns
            self._ledger.move(clock.CHECKPOINT, clock.UPDATE, since_ns)
            self._note_pause(is_over or state.budget_spent or why == "evaluate")
        status = self._status()
        if status is not None:
            raise Ended(status)
        if self._stop_signal and why == "save":
            raise self._interrupted()
        state.budget_spent = False
        self._go(None if metrics is None else metrics_of(metrics))

    def _note_pause(self, has_reason: bool) -> None:
        """Adds a finding when a trainee pauses again and again for nothing: a signal to all processes is one reason."""
        self._num_odd_pauses += not (has_reason or self._stop_signal)
        if self._num_odd_pauses > ODD_PAUSES:
            text = f"It paused for nothing, {self._num_odd_pauses} times so far; the time counts."
            self._book.findings.add("R3.20", FORBIDDEN, self._book.state.global_step, text)

    def _status(self) -> str | None:
        return self._book.state.end_status(self._settings)

    def _is_due(self, step: int) -> bool:
        """Whether an evaluation is due; one that comes too early is refused, and noted."""
        state, settings = self._book.state, self._settings
        limit, results = settings.max_global_steps, state.eval_results
        steps = self._book.config.eval_steps
        if not results or state.training_complete or (limit is not None and step >= limit):
            return True
        if steps is not None:
            is_due = step in steps
        elif settings.eval_every_steps is not None:
            is_due = step >= due.next_eval_step(
                results[-1][0], every=settings.eval_every_steps, max_steps=limit
            )
        else:
            early_ns = EARLY_PERIODS * self._spec.eval_period_time_sec * 1e9
            is_due = self._ledger.enter(clock.CHECKPOINT) >= self._next_eval_ns - early_ns
        if not is_due:
            text = "It asked for an evaluation before one was due; the referee refused."
            self._book.findings.add("R3.17", FORBIDDEN, step, text)
        return is_due

    def _evaluate(self) -> dict[str, float] | None:
        """Transfer, evaluation, records; None if the transfer has used up the budget."""
        book, ledger = self._book, self._ledger
        content = self._transfer(weights=True, wants_checkpoint=self._settings.save_checkpoints)
        if book.state.budget_spent:
            return None
        self._custody.stop()
        book.params_digest = self._load()
        metrics = judge(book.state, self._spec, ledger, _Remote(self._evaluator))
        book.state.sec_since_eval = 0.0
        plausible.check_first(book, metrics)
        plausible.check_jump(book, metrics)
        book.record_evaluation(metrics)
        book.keep(content)
        self._last_eval_ns = ledger.enter(clock.OTHER)
        self._next_eval_ns = self._last_eval_ns + round(self._spec.eval_period_time_sec * 1e9)
        return metrics

    def _save(self) -> None:
        """A checkpoint without an evaluation."""
        if not self._settings.save_checkpoints:
            return
        if self._last_eval_ns is not None:
            now = self._ledger.enter(clock.CHECKPOINT)
            self._book.state.sec_since_eval = (now - self._last_eval_ns) / 1e9
        content = self._transfer(weights=True, wants_checkpoint=True)
        self._custody.stop()
        self._book.params_digest = self._load()
        self._book.keep(content)

    def _transfer(self, *, weights: bool, wants_checkpoint: bool) -> int | None:
        """Has the trainee hand over what is wanted; returns a file with the content of a checkpoint.

        What takes longer than allowed is submission time, and may spend the budget.
        """
        book, ledger, before = self._book, self._ledger, self._custody.effort()
        ledger.enter(clock.CHECKPOINT)
        self._trainee.send("write", weights=weights, checkpoint=wants_checkpoint)
        message = self._trainee.channel.receive(time.monotonic() + self._left_sec() + self._grace_sec)
        ledger.enter(clock.OTHER)
        used = self._custody.effort().minus(before)
        if message is not None:
            self._check_goes_on(message)
        if message is not None and message.kind != "written":
            raise Closed(f"a message {message.kind!r} instead of parameters")
        content = None if message is None else parcel.content(message.files)
        num_bytes = 0 if content is None else parcel.written_bytes(content)
        period_sec = self._spec.eval_period_time_sec
        allowed = allowance.transfer(self._speed, num_bytes, period_sec, self._num_processes)
        charged_sec = allowance.beyond(allowed, used, has_accelerator=book.has_accelerator)
        book.accounts["transfer"].add(allowed, used, charged_sec, num_bytes)
        ledger.move(clock.CHECKPOINT, clock.UPDATE, round(charged_sec * 1e9))
        book.state.budget_spent |= ledger.submission_ns >= self._budget_ns
        if message is None:
            self._stop_unasked()
        else:
            book.tell(claims.sentences(message.items("warnings")), is_said=True)
        return content

    def _load(self) -> str:
        """Has the evaluator take over the parameters that were handed over; returns their hash."""
        return _asked(self._evaluator, "loaded", "load").text("digest")


class _Remote:
    """See `judging.Candidate`: the parameters that the evaluator has taken over."""

    def __init__(self, child: Child):
        self._child = child

    def evaluate_split(self, split: str) -> dict[str, float]:
        return _asked(self._child, "metrics", "evaluate", split=split).table("metrics")

    def has_finite_params(self) -> bool:
        return bool(_asked(self._child, "finite", "are_finite").fields["finite"])


def _asked(child: Child, wanted: str, kind: str, **fields: Any) -> Message:
    """A question to the evaluator, and its answer."""
    child.channel.send(kind, **fields)
    answer = child.channel.receive()
    assert answer is not None
    if answer.kind == "refused":
        raise UsageError(answer.text("error"))
    assert answer.kind == wanted, answer.kind
    return answer
