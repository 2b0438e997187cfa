"""The process that trains: framework, model, training data and the submission, and the timed loop as ever.

    python -m algoperf.referee.trainee <descriptor of its channel> <process of the referee>

It does not keep its own time, evaluates nothing and writes no records: at each pause it says so to the referee, hands
over what is asked for, and is told how things stand.
"""

import contextlib
import dataclasses
import math
import os
import pickle
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from algoperf import backends, records
from algoperf.backends import compile_caches
from algoperf.backends.base import Backend
from algoperf.bound_workload import Workload
from algoperf.commands import EXIT_FAILED
from algoperf.referee import channel, freeze, parcel
from algoperf.referee.channel import Channel, Message
from algoperf.run import checkpoint, clock, initial, pauses, processes, recording, resume, runner
from algoperf.run.config import TrialConfig
from algoperf.run.session import Session
from algoperf.run.sources import Sources
from algoperf.run.state import TrialState, state_of
from algoperf.run.study import StudyPlan
from algoperf.run.summary import Summary
from algoperf.spec import Interrupted, UsageError

FLAGS = ("validation_goal_reached", "test_goal_reached", "has_diverged", "budget_spent")
"""Fields of `TrialState` that the referee decides."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Task:
    """What the trainee needs to know; the referee sends it as a pickle."""

    plan: StudyPlan
    """Without the place of the results."""
    trial: int
    sources: Sources | None
    """The code that decides the trial, as the referee has read it."""


def main(arguments: list[str]) -> int:
    """Trains until the referee ends it; returns the exit code."""
    own, parent = map(int, arguments)
    freeze.die_with_parent(parent)
    connection = channel.from_descriptor(own)
    try:
        start = connection.receive()
        assert start is not None
        task: Task = pickle.loads(start.blob)  # From the referee, which is the parent of this process.
        sys.argv = [sys.argv[0]]
        backends.launch(task.plan.framework).prepare()  # Before the submission is imported.
        ended = runner.run_trial(task.plan, task.trial, clock.Ledger(), Refereed(connection), task.sources)
        backend = backends.get_backend(task.plan.framework)
        if ended.status == "failed" and backend.num_processes > 1:
            processes.leave(backend, EXIT_FAILED)
    except channel.Closed:
        return 1
    except Interrupted:
        return 0
    except UsageError as error:
        connection.send("refused", error=str(error))
        return 2
    return 0


class Refereed:
    """See `session.Host`: a process of its own.

    Args:
      connection: to the referee.
    """

    def __init__(self, connection: Channel):
        self._connection = connection
        self._parcel: parcel.Parcel | None = None
        self._initial: str | None = None
        self._is_pausing = False
        self._stored: int | None = None
        """Descriptor of the file with the checkpoint that is on its way."""
        self.rows: list[dict[str, Any]] = []
        """Logged, and not yet sent."""
        self._since: dict[str, float] = {}
        """What the own ledger said when the clock was started."""
        self._is_set_up = False

    def speaker(self, reason: str, how: str) -> None:
        """Says why all processes of a group end; may be called beside the main thread."""
        if how == processes.WRONG_INPUT and not self._is_set_up:
            self._connection.send("refused", error=processes.reason_of(reason))
        else:
            self._connection.send("ended", status="failed", error=reason)

    # ---- set-up ------------------------------------------------------------------------------------------------

    def begin(self, config: TrialConfig, claims: contextlib.ExitStack) -> Summary | None:
        del claims
        self._connection.send(
            "imported",
            environment=config.environment,
            device=config.device,
            torch_compile=config.torch_compile,
        )
        return None

    def warnings(self) -> list[str]:
        return compile_caches.warnings()  # The referee has looked at the machine before.

    def make_evaluator(self, workload: Workload) -> None:
        del workload

    def see_initial(self, workload: Workload, state: TrialState) -> None:
        self._initial = initial.seen(self._initial, workload, state)

    def saved_run(self, config: TrialConfig) -> resume.SavedRun | None:
        answer = self._asked("resume", initial=self._initial)
        self._parcel = parcel.Parcel(answer.files[0], answer.fields["layout"])
        if len(answer.files) == 1:
            return None
        path = Path("the checkpoint")
        try:
            with open(answer.files[1], "rb") as file:
                file.seek(0)
                saved = resume.SavedRun.from_content(pickle.load(file))
        except Exception as error:  # The submission's own classes may have a part in it.
            raise checkpoint.cannot_restore(path, error) from error
        return dataclasses.replace(
            saved,
            state=state_of(answer.table("progress")),
            preemption_count=answer.whole("preemption_count") - 1,  # Of the run that saved this.
        )

    def started_over(self, config: TrialConfig) -> str | None:
        del config
        return None  # The referee looks at the folder.

    def open_records(
        self,
        config: TrialConfig,
        backend: Backend,
        seeds: Mapping[str, int],
        batch_size: int,
        saved: resume.SavedRun | None,
    ) -> records.MetricsLogger:
        del seeds
        facts = recording.facts_of_process(config, backend, batch_size)
        usual = backends.launch(config.framework).LIBRARIES
        imported = [name for name in usual if name in sys.modules]
        self._connection.send("facts", facts=checkpoint.plain(facts), libraries=imported)
        count = 0 if saved is None else saved.preemption_count + 1
        return SentRows(self.rows, backend, count)

    # ---- pauses ------------------------------------------------------------------------------------------------

    def pauses(self, session: Session) -> pauses.Pauses:
        told = Told(self, session)
        told.begin()
        return told

    def show_progress(self, session: Session, state: TrialState, submission_sec: float) -> None:
        del submission_sec
        if session.is_main:
            self._connection.send("progress", step=state.global_step, rows=self.taken_rows())

    def save(self, session: Session) -> None:
        if session.logger is not None:
            session.logger.flush()
        self.pause(session, session.state, "save")

    def store(
        self,
        config: TrialConfig,
        step: int,
        content: Mapping[str, object],
        about: Mapping[str, object],
    ) -> None:
        del config, step, about
        file = parcel.anonymous_file("checkpoint")
        try:
            with open(os.dup(file), "wb") as writer:
                checkpoint.pickled(content, writer)
        except BaseException:
            os.close(file)
            raise
        self._stored = file

    def state_allowance_sec(self, num_bytes: int) -> float:
        del num_bytes
        return math.inf  # The referee measures it all.

    def stop_reason(self, config: TrialConfig) -> str | None:
        del config
        return None

    def end(self, session: Session, ended: Summary) -> Summary:
        self._connection.send(
            "ended", status=ended.status, error=ended.error, rows=self.taken_rows(), **self._facts_of(session)
        )
        return ended

    # ---- messages ----------------------------------------------------------------------------------------------

    def taken_rows(self) -> list[dict[str, Any]]:
        """Rows that were logged since the last call."""
        rows = self.rows[:]
        del self.rows[: len(rows)]
        return rows

    def pause(self, session: Session, state: TrialState, why: str) -> Message:
        """Tells the referee that the clock may stop; returns what it says when the clock runs again.

        Args:
          session: of the trial.
          state: with the arrays; the device has been waited for.
          why: 'evaluate', 'pause' or 'save'.
        """
        session.backend.maximum(0.0)  # The slowest process counts, and the first speaks when all are there.
        if session.is_main:
            self._connection.send(
                "done",
                why=why,
                step=state.global_step,
                complete=state.training_complete,
                rows=self.taken_rows(),
                **self._facts_of(session),
            )
        answer = self._answer()
        if answer.kind == "write":
            answer = self._written(session, state, answer)
        return answer

    def _written(self, session: Session, state: TrialState, wanted: Message) -> Message:
        """Hands over what the referee wants to have."""
        if wanted.fields["weights"] and session.is_main:
            assert self._parcel is not None
            self._parcel.write(session.workload.model.weights(state.params, state.model_state))
        if wanted.fields["checkpoint"]:
            session.checkpoints.save(state)
        if not session.is_main:
            return self._answer()
        file, self._stored = self._stored, None
        files = () if file is None else (file,)
        self._connection.send("written", files=files, warnings=session.checkpoints.warnings)
        if file is not None:
            os.close(file)
        return self._answer()

    def ready(self, session: Session) -> Message:
        """Says that set-up is over; returns when the clock runs."""
        state, self._is_set_up = session.state, True
        arrays, exchange = (
            session.workload.model.weights(state.params, state.model_state),
            session.backend.exchange,
        )
        digests = [] if exchange is None else exchange.gather(parcel.digest(arrays))  # When all are there.
        if session.is_main:
            assert self._parcel is not None
            self._parcel.write(arrays)
            self._connection.send("ready", warnings=session.all_warnings(), digests=digests[1:])
        return self._answer()

    def _facts_of(self, session: Session) -> dict[str, Any]:
        """What goes with each pause, for the records."""
        seconds = _seconds(session.ledger)
        return {
            "seconds": {name: value - self._since.get(name, 0.0) for name, value in seconds.items()},
            "compilations": session.ledger.compilations,
            "hyperparameters_read": session.hyperparameters_read(),
            "peak_memory": session.peak_memory(),
        }

    def goes_on(self, ledger: clock.Ledger, submission_ns: int) -> None:
        """Takes over the referee's time, when the clock starts."""
        ledger.set_submission_ns(submission_ns)
        self._since = _seconds(ledger)

    def _asked(self, kind: str, **fields: Any) -> Message:
        self._connection.send(kind, **fields)
        return self._answer()

    def _answer(self) -> Message:
        answer = self._connection.receive()
        assert answer is not None
        return answer


class Told:
    """See `pauses.Pauses`: what the referee says.

    Args:
      host: speaks with it.
      session: of the trial.
    """

    def __init__(self, host: Refereed, session: Session):
        self._host, self._session = host, session

    def begin(self) -> None:
        """Waits for the clock to start."""
        answer = self._host.ready(self._session)
        self._take_over(self._session.state, answer)

    def evaluate(self, state: TrialState) -> bool:
        answer = self._paused(state, "evaluate")
        if answer.fields.get("metrics") is None:
            return False
        state.eval_results.append((state.global_step, answer.table("metrics")))
        state.eval_times_sec.append(self._session.ledger.submission_ns * 1e-9)
        state.sec_since_eval = 0.0
        return True

    def pause(self, state: TrialState) -> None:
        self._paused(state, "pause")

    def _paused(self, state: TrialState, why: str) -> Message:
        session = self._session
        if session.logger is not None:
            session.logger.flush()  # On the clock: what was logged may be still to be computed.
        session.ledger.enter("eval_validation" if why == "evaluate" else clock.OTHER)
        answer = self._host.pause(session, state, why)
        self._take_over(state, answer)
        session.ledger.enter(clock.OTHER)
        return answer

    def _take_over(self, state: TrialState, answer: Message) -> None:
        for name in FLAGS:
            setattr(state, name, bool(answer.fields[name]))
        self._host.goes_on(self._session.ledger, answer.whole("submission_ns"))


class SentRows(records.MetricsLogger):
    """The logger of a trial whose records somebody else writes.

    Args:
      rows: what was logged is added here.
      backend: reads device scalars.
      preemption_count: number of restarts so far.
    """

    def __init__(self, rows: list[dict[str, Any]], backend: Backend, preemption_count: int):
        self._rows = rows
        super().__init__(Path(), backend.to_float, preemption_count)

    def _opened(self, path: Path, last_step: float) -> records.RowLog:
        del path, last_step
        return _Kept(self._rows)


class _Kept:
    """See `records.RowLog`."""

    def __init__(self, rows: list[dict[str, Any]]):
        self._rows = rows

    def put_back(self, wanted: object) -> None:
        del wanted

    def append(self, row: Mapping[str, object]) -> None:
        self._rows.append(dict(row))

    def head(self, columns: object) -> None:
        del columns

    def close(self) -> None:
        pass


def _seconds(ledger: clock.Ledger) -> dict[str, float]:
    return {name: ledger.seconds(name) for name in clock.SUBMISSION_BUCKETS}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
