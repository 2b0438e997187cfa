"""Set-up of both children at once: what they are told, what they answer, and how much of it is off the clock."""

import dataclasses
import os
import pickle
import select
import shutil
import time
from typing import Any

from algoperf import files, machine, records
from algoperf.referee import allowance, claims, confined, cpu_time, evaluator, freeze, parcel, room, trainee
from algoperf.referee.book import CPU, Book
from algoperf.referee.channel import Closed, Message
from algoperf.referee.children import Child
from algoperf.referee.custody import Custody
from algoperf.referee.ended import Ended
from algoperf.referee.findings import FOR_REVIEW, FORBIDDEN
from algoperf.referee.limits import PERIOD_SEC
from algoperf.referee.trainees import Trainees
from algoperf.run import checkpoint, clock, resume
from algoperf.run.study import StudyPlan
from algoperf.spec import UsageError

WAIT_SEC = 10.0
"""Of set-up beyond what is allowed, in which it neither computed nor waited for a processor, until people are told."""

CHECK_SEC = 1.0
"""Between looks whether all are there."""

OTHERS_SEC = 1.0
"""Processor time of other processes in set-up until people are told: frameworks ask the system a thing or two."""


class SetUp:
    """From the start of the children to the moment when both are ready and the trainee is stopped.

    Args:
      plan: of the study.
      book: of the trial.
      training: the children that train.
      evaluating: the child that evaluates.
      custody: stops the trainee.
    """

    def __init__(self, plan: StudyPlan, book: Book, training: Trainees, evaluating: Child, custody: Custody):
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
        self._of_libraries: dict[str, allowance.Effort] = {}
        """What the evaluator has needed to import those that submissions import."""
        self._of_data = allowance.NONE
        """What it has needed to open the training data."""
        self._libraries: set[str] = set()
        """Those of them that the trainee has imported."""
        self._memory: dict[str, Any] = {}
        self._available_bytes = room.available_bytes()
        self._initial = ""
        """What the trainee says that the parameters were before the submission saw them."""
        self._of_others: set[str] = set()
        """What others of a group say that theirs are after set-up."""
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
        self._check_room()
        self._charge(self._speed)
        return self._speed

    def _check_room(self) -> None:
        """Refuses a device that is too small for both."""
        assert self._initialised is not None
        config = self._book.config
        on_host, is_same = self._memory["total_bytes"] is None, config.settings.evaluator_device == "same"
        room.check(
            self._memory,
            weights_bytes=parcel.size_of(self._initialised.fields["layout"]),
            num_processes=self._trainee.count,
            is_training_there=config.device == CPU if on_host else is_same,
            available_bytes=self._available_bytes,
        )

    def _start_both(self) -> None:
        config = self._book.config
        task = evaluator.Task(
            spec=config.workload,
            framework=config.framework,
            data_dir=config.settings.data_dir,
            torch_compile=config.settings.torch_compile,
            seeds=self._book.seeds,
            evaluator_device=config.settings.evaluator_device,
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
        self._trainee.send(
            "start", blob=pickle.dumps(trainee.Task(plan=plan, trial=config.trial, sources=config.sources))
        )

    def _messages(self, names: set[str]) -> list[tuple[str, Message]]:
        """What the children have said; waits for something."""
        all_channels = {"trainee": self._trainee.channel, "evaluator": self._evaluator.channel}
        channels = {name: all_channels[name] for name in sorted(names)}
        while not any(channel.has_message() for channel in channels.values()):
            self._trainee.check()
            self._custody.check_limits()
            select.select(list(channels.values()), [], [], min(CHECK_SEC, PERIOD_SEC))
        found = []
        for name, channel in channels.items():
            if channel.has_message():
                message = channel.receive()
                assert message is not None
                found.append((name, message))
        return found

    def _effort(self, cpu_sec: float, waited_sec: float, stopped_ns: int = 0) -> allowance.Effort:
        """What a child has needed up to now."""
        wall_sec = (time.monotonic_ns() - self._start_ns - stopped_ns) / 1e9
        return allowance.Effort(wall_sec, cpu_sec, waited_sec)

    # ---- what they say -------------------------------------------------------------------------------------------

    def _hear_evaluator(self, message: Message) -> None:
        if message.kind == "initialised":
            pid = self._evaluator.pid
            self._without = self._effort(freeze.cpu_sec_below(pid), cpu_time.waited_sec(pid))
            self._initialised = message
            self._book.of_processes["evaluator"] = {
                name: message.fields[name] for name in ("environment", "device")
            }
        elif message.kind == "speed":
            self._speed = allowance.Speed(**message.fields)
        elif message.kind == "usual":
            libraries = message.table("libraries").items()
            self._of_libraries = {name: allowance.Effort(*found) for name, found in libraries}
            self._of_data = allowance.Effort(*message.items("data"))
        else:
            self._memory = message.table("memory")
            if self._is_new:
                self._book.initial_metrics = message.table("metrics")

    def _hear_trainee(self, message: Message) -> None:
        book, kind = self._book, message.without_files().kind
        if kind == "imported":
            self._check_environment(message)
        elif kind == "resume":
            self._asked, self._asked_ns, self._initial = message, time.monotonic_ns(), message.text("initial")
            self._custody.stop()
        elif kind == "facts":
            book.of_processes = {**claims.facts(message.table("facts")), **book.of_processes}
            self._libraries = set(claims.names(message.items("libraries")))
        elif kind == "ready":
            self._with = self._effort(self._custody.cpu_sec(), self._custody.waited_sec(), self._waited_ns)
            self._custody.stop()
            self._check_others()
            book.tell(claims.sentences(message.items("warnings")), is_said=True)
            self._of_others = set(claims.names(message.items("digests")))
        elif kind == "ended":
            book.take_claims(message)
            error = claims.sentence(message.fields.get("error"))
            raise Ended("failed", confined.explained(error, book.confinement))
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
        found = checkpoint.find(
            config.folder, runs_nothing=True
        )  # Whoever has written it, the referee is safe.
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
        book, used = self._book, self._with
        parts = [self._without, self._of_data, self._first_batch()]
        parts += [found for name, found in self._of_libraries.items() if name in self._libraries]
        allowed = allowance.set_up(parts, self._trainee.count)
        if not self._is_new:
            period_sec = book.config.workload.eval_period_time_sec
            allowed = allowed.plus(
                allowance.transfer(speed, self._resumed_bytes, period_sec, self._trainee.count)
            )
        charged = allowance.beyond_set_up(allowed, used, has_accelerator=book.has_accelerator)
        book.accounts["set_up"].add(allowed, used, charged)
        book.ledger.enter(clock.OTHER)
        book.ledger.move(clock.SET_UP, clock.UPDATE, round(charged * 1e9))
        if charged:
            book.tell([f"Set-up took {charged:.2f} s more than is off the clock, which counts (R3.18)."])
        waited = used.undisturbed_sec(machine.num_cores()) - allowed.wall_sec - charged
        if waited > WAIT_SEC:
            text = f"Set-up waited for {waited:.0f} s, and not for a processor."
            book.findings.add("R3.18", FOR_REVIEW, 0, text)

    def _first_batch(self) -> allowance.Effort:
        """What the evaluator needs to make the first batches of training data, which the trainee has made, too."""
        book = self._book
        most, said = book.config.workload.num_train_examples, book.of_processes.get("global_batch_size")
        if not isinstance(said, int) or not 0 < said <= most:
            raise Closed(f"a batch size of {said!r}, of {most} training examples")
        self._evaluator.channel.send("first_batch", batch_size=said)
        answer = self._evaluator.channel.receive()
        assert answer is not None
        return allowance.Effort(*answer.items("effort"))

    def _check_others(self) -> None:
        """Notes processes that the submission has started."""
        findings = self._book.findings
        for one in self._custody.others():
            text = f"Set-up left process {one.pid} running beside those that train."
            findings.add("R3.19", FOR_REVIEW, 0, text)
        others_sec = self._custody.others_cpu_sec()
        if others_sec > OTHERS_SEC:
            text = f"Other processes than those that train have used {others_sec:.1f} s in set-up."
            findings.add("R3.18", FOR_REVIEW, 0, text)

    def check_initial(self, digest: str) -> None:
        """Compares the parameters that set-up has left with those that the evaluator has made from the same seed, or
        with those of the checkpoint from which the trial goes on.

        Args:
          digest: of the former.

        Raises:
          Ended: if the submission has changed them.
        """
        assert self._initialised is not None
        book = self._book
        wanted = self._initialised.text("digest") if self._is_new else book.params_digest
        # Where several processes train, each has parameters of its own: those of a checkpoint are the first one's.
        found = self._of_others | {digest} if self._is_new else {digest}
        if found == {wanted} or not wanted:
            return
        findings = book.findings
        if not self._is_new:
            text = "The parameters after set-up are not those of the checkpoint from which the trial goes on."
            findings.add("R3.18", FORBIDDEN, book.state.global_step, text)
            raise Ended("failed", f"{text} (R3.18)")
        if self._initial == wanted:
            findings.add("R3.18", FORBIDDEN, 0, "Set-up changed the initial parameters.")
            raise Ended(
                "failed", "The parameters after init_optimizer_state are not the initial ones (R3.18)."
            )
        text = "The initial parameters are not those that the evaluator has made from the same seed."
        findings.add("R3.18", FOR_REVIEW, 0, text)
