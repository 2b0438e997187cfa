"""Set-up of both children at once: what they are told, what they answer, and how much of it is off the clock."""

import dataclasses
import os
import pickle
import select
import shutil
import time
from typing import Any

from algoperf import files, records
from algoperf.referee import allowance, confined, evaluator, freeze, parcel, trainee
from algoperf.referee.book import Book
from algoperf.referee.channel import Closed, Message
from algoperf.referee.children import Child
from algoperf.referee.custody import Custody
from algoperf.referee.ended import Ended
from algoperf.referee.findings import FOR_REVIEW, FORBIDDEN
from algoperf.referee.limits import PERIOD_SEC
from algoperf.run import checkpoint, clock, resume
from algoperf.run.study import StudyPlan
from algoperf.spec import UsageError

WAIT_SEC = 30.0
"""Of set-up beyond what is allowed, in which nothing was computed, until people are told."""

OTHERS_SEC = 1.0
"""Processor time of other processes in set-up until people are told: frameworks ask the system a thing or two."""


class SetUp:
    """From the start of the children to the moment when both are ready and the trainee is stopped.

    Args:
      plan: of the study.
      book: of the trial.
      training: the child that trains.
      evaluating: the child that evaluates.
      custody: stops the trainee.
    """

    def __init__(self, plan: StudyPlan, book: Book, training: Child, evaluating: Child, custody: Custody):
        self._plan, self._book, self._custody = plan, book, custody
        self._trainee, self._evaluator = training, evaluating
        self._is_new = not checkpoint.list_checkpoints(book.config.folder)
        self._start_ns = time.monotonic_ns()
        self._initialised: Message | None = None
        self._asked: Message | None = None
        self._asked_ns = self._waited_ns = 0
        self._speed: allowance.Speed | None = None
        self._without = self._with = allowance.NONE
        """What set-up needs without and with the submission."""
        self._initial = ""
        """What the trainee says that the parameters were before the submission saw them."""
        self._resumed_bytes = 0
        self.progress: dict[str, Any] = {}

    def run(self) -> allowance.Speed:
        """Both children are ready; returns how fast the trainee can hand parameters over.

        Raises:
          UsageError: for mistakes of the user.
          Ended: if the submission failed.
        """
        self._start_both()
        waiting = {"trainee", "evaluator"}
        while waiting:
            for name, message in self._messages(waiting):
                if message.kind == "refused":
                    raise UsageError(confined.explained(message.text("error"), self._book.confinement))
                hear = self._hear_evaluator if name == "evaluator" else self._hear_trainee
                hear(message)
                if message.kind == "ready":
                    waiting.discard(name)
            if self._asked is not None and self._initialised is not None:
                self._custody.let_go()
                self._hand_over(self._initialised)
                self._waited_ns = time.monotonic_ns() - self._asked_ns
                self._asked = None
        assert self._speed is not None
        self._charge(self._speed)
        return self._speed

    def _start_both(self) -> None:
        config = self._book.config
        task = evaluator.Task(
            spec=config.workload,
            framework=config.framework,
            data_dir=config.settings.data_dir,
            torch_compile=config.settings.torch_compile,
            seeds=self._book.seeds,
            wants_initial=self._is_new,
        )
        self._evaluator.channel.send("start", blob=pickle.dumps(task))
        data_dir = config.settings.data_dir
        private = dataclasses.replace(
            config.settings,
            experiment_dir=os.devnull,
            experiment_name=None,
            data_dir=data_dir and str(files.expanded(data_dir).absolute()),  # It may have another home.
        )
        plan = dataclasses.replace(self._plan, settings=private, experiment_name="")
        self._trainee.channel.send(
            "start", blob=pickle.dumps(trainee.Task(plan=plan, trial=config.trial, sources=config.sources))
        )

    def _messages(self, names: set[str]) -> list[tuple[str, Message]]:
        """What the children have said; waits for something."""
        children = {"trainee": self._trainee, "evaluator": self._evaluator}
        channels = {name: children[name].channel for name in sorted(names)}
        while not any(channel.has_message() for channel in channels.values()):
            self._custody.check_limits()
            if select.select(list(channels.values()), [], [], PERIOD_SEC)[0]:
                break
        found = []
        for name, channel in channels.items():
            if channel.has_message():
                message = channel.receive()
                assert message is not None
                found.append((name, message))
        return found

    def _effort(self, cpu_sec: float, waited_ns: int = 0) -> allowance.Effort:
        """What a child has needed up to now."""
        return allowance.Effort((time.monotonic_ns() - self._start_ns - waited_ns) / 1e9, cpu_sec)

    # ---- what they say -------------------------------------------------------------------------------------------

    def _hear_evaluator(self, message: Message) -> None:
        if message.kind == "initialised":
            self._without = self._effort(freeze.cpu_sec_below(self._evaluator.pid))
            self._initialised = message
            self._book.of_processes["evaluator"] = {
                name: message.fields[name] for name in ("environment", "device")
            }
        elif message.kind == "speed":
            self._speed = allowance.Speed(**message.fields)
        elif self._is_new:
            self._book.initial_metrics = message.table("metrics")

    def _hear_trainee(self, message: Message) -> None:
        book, kind = self._book, message.kind
        if kind == "imported":
            self._check_environment(message)
        elif kind == "resume":
            self._asked, self._asked_ns, self._initial = message, time.monotonic_ns(), message.text("initial")
            self._custody.stop()
        elif kind == "facts":
            book.of_processes = {**message.table("facts"), **book.of_processes}
        elif kind == "ready":
            self._with = self._effort(self._custody.cpu_sec(), self._waited_ns)
            self._custody.stop()
            self._check_others()
            book.tell([str(text) for text in message.items("warnings")], is_said=True)
        elif kind == "ended":
            book.take_claims(message)
            raise Ended("failed", confined.explained(str(message.fields.get("error")), book.confinement))
        else:
            raise Closed(f"a message {kind!r} in set-up")

    def _check_environment(self, message: Message) -> None:
        """Completes the identity of the trial by what the submission's import has made of its process."""
        book = self._book
        book.config = dataclasses.replace(
            book.config,
            environment=message.table("environment"),
            device=message.text("device"),
            torch_compile=bool(message.fields.get("torch_compile")),
        )
        if not self._is_new:
            book.config.check_same(records.newest_meta_data(book.config.folder).get("identity"))

    def _hand_over(self, initialised: Message) -> None:
        """Tells the trainee what it goes on from, and both where parameters are handed over."""
        config, layout = self._book.config, initialised.fields["layout"]
        file = parcel.anonymous_file("weights")
        os.ftruncate(file, parcel.size_of(layout))
        self._evaluator.channel.send("parcel", files=(file,), layout=layout)
        files, progress = [file], {}
        found = checkpoint.find(config.folder)
        if found is None:
            text = resume.started_over(config.folder)
            self._book.tell([] if text is None else [text])
        else:
            changes = config.check_same(found.about.get("identity"))
            progress = self._book.continue_from(found, changes)
            files.append(self._copied(found))
        self._trainee.channel.send(
            "resume",
            files=files,
            layout=layout,
            progress=progress,
            preemption_count=self._book.preemption_count,
        )
        for one in files:
            os.close(one)

    def _copied(self, found: checkpoint.Found) -> int:
        """The trainee's part of a checkpoint, in a file that it can open."""
        path, begin = found.payload()
        content = parcel.anonymous_file("checkpoint")
        with open(path, "rb") as source, open(os.dup(content), "wb") as target:
            source.seek(begin)
            shutil.copyfileobj(source, target, 1 << 20)
            self._resumed_bytes = target.tell()
        return content

    # ---- what it costs -------------------------------------------------------------------------------------------

    def _charge(self, speed: allowance.Speed) -> None:
        """Charges what set-up took beyond its allowance, and looks at what it has left behind."""
        book = self._book
        allowed, used = allowance.set_up(self._without), self._with
        if not self._is_new:
            more = allowance.transfer_sec(
                speed, self._resumed_bytes, book.config.workload.eval_period_time_sec
            )
            allowed = allowance.Effort(allowed.wall_sec + more, allowed.cpu_sec + more)
        charged = allowance.beyond(allowed, used)
        book.accounts["set_up"].add(allowed.wall_sec, used.wall_sec, charged_sec=charged)
        book.ledger.enter(clock.OTHER)
        book.ledger.move(clock.SET_UP, clock.UPDATE, round(charged * 1e9))
        if charged:
            book.tell([f"Set-up took {charged:.2f} s more than is off the clock, which counts (R3.18)."])
        waited = used.wall_sec - allowed.wall_sec - charged
        if waited > WAIT_SEC:
            text = f"Set-up waited for {waited:.0f} s, on a busy machine or for something else."
            book.findings.add("R3.18", FOR_REVIEW, 0, text)

    def _check_others(self) -> None:
        """Notes processes that the submission has started."""
        findings = self._book.findings
        for one in self._custody.others():
            text = f"Set-up left process {one.pid} running beside the one that trains."
            findings.add("R3.19", FOR_REVIEW, 0, text)
        others_sec = self._custody.others_cpu_sec()
        if others_sec > OTHERS_SEC:
            text = f"Other processes than the one that trains have used {others_sec:.1f} s in set-up."
            findings.add("R3.18", FOR_REVIEW, 0, text)

    def check_initial(self, digest: str) -> None:
        """Compares the parameters that set-up has left with those that the evaluator has made from the same seed.

        Args:
          digest: of the former.

        Raises:
          Ended: if the submission has changed them.
        """
        assert self._initialised is not None
        wanted = self._initialised.text("digest")
        if not self._is_new or digest == wanted:
            return
        findings = self._book.findings
        if self._initial == wanted:
            findings.add("R3.18", FORBIDDEN, 0, "Set-up changed the initial parameters.")
            raise Ended(
                "failed", "The parameters after init_optimizer_state are not the initial ones (R3.18)."
            )
        text = "The initial parameters are not those that the evaluator has made from the same seed."
        findings.add("R3.18", FOR_REVIEW, 0, text)
