"""The host of a trial that is not refereed: the process that trains evaluates, records and decides, too."""

import contextlib
import dataclasses
import math
from collections.abc import Mapping

from algoperf import machine, records
from algoperf.backends import compile_caches
from algoperf.backends.base import Backend
from algoperf.bound_workload import Workload
from algoperf.run import (
    checkpoint,
    claim,
    heartbeat,
    initial,
    pauses,
    processes,
    recording,
    resume,
    state_speed,
    summary,
)
from algoperf.run.config import TrialConfig, TrialFacts
from algoperf.run.session import Session
from algoperf.run.state import TrialState
from algoperf.run.summary import Summary


class Here:
    """See `session.Host`."""

    speaker: processes.Speaker | None = None

    def __init__(self) -> None:
        self._initial: str | None = None
        self._state_speed: state_speed.StateSpeed | None = None
        self._eval_period_sec = math.inf
        self._heartbeat: heartbeat.Heartbeat | None = None

    def begin(self, config: TrialConfig, claims: contextlib.ExitStack) -> Summary | None:
        return begin(config, claims)

    def warnings(self) -> list[str]:
        return warnings()

    def make_evaluator(self, workload: Workload) -> None:
        workload.evaluator  # noqa: B018 - made on first use

    def see_initial(self, workload: Workload, state: TrialState) -> None:
        if self._initial is None and state.optimizer_state is None:
            self._state_speed = state_speed.measured(workload, state)
            self._eval_period_sec = workload.spec.eval_period_time_sec
        self._initial = initial.seen(self._initial, workload, state)

    def state_allowance_sec(self, num_bytes: int) -> float:
        speed = self._state_speed
        return math.inf if speed is None else speed.allowed_sec(num_bytes, self._eval_period_sec)

    def saved_run(self, config: TrialConfig) -> resume.SavedRun | None:
        return resume.load(config)

    def started_over(self, config: TrialConfig) -> str | None:
        return resume.started_over(config.folder)

    def open_records(
        self,
        config: TrialConfig,
        backend: Backend,
        seeds: Mapping[str, int],
        batch_size: int,
        saved: resume.SavedRun | None,
    ) -> records.MetricsLogger:
        # Rows after the checkpoint belong to lost work. A new run drops all rows that are left in the folder.
        count, last_step = (0, -1) if saved is None else (saved.preemption_count + 1, saved.state.global_step)
        meta_data = recording.meta_data(
            config, seeds, recording.facts_of_process(config, backend, batch_size)
        )
        return recording.open_records(config, meta_data, backend.to_float, count, last_step)

    def store(
        self, config: TrialConfig, step: int, content: Mapping[str, object], about: Mapping[str, object]
    ) -> None:
        checkpoint.save(config.folder, step, content, config.settings.save_intermediate_checkpoints, about)

    def pauses(self, session: Session) -> pauses.Pauses:
        if session.is_main:
            self._heartbeat = heartbeat.Heartbeat(session.config.folder, session.ledger)
            if (lost := self._heartbeat.warning()) is not None:
                session.checkpoints.warn(lost)
        budget_ns = round(session.config.time_limit_sec * 1e9)
        intact = session.config.intact
        return pauses.Here(
            session.workload,
            session.ledger,
            budget_ns,
            session.record_evaluation,
            (lambda: None) if intact is None else intact.check,
        )

    def show_progress(self, session: Session, state: TrialState, submission_sec: float) -> None:
        session.progress.step(state.global_step, submission_sec)

    def save(self, session: Session) -> None:
        session.checkpoints.save(session.state)
        if self._heartbeat is not None:
            self._heartbeat.finish(is_over=True)

    def stop_reason(self, config: TrialConfig) -> str | None:
        return stop_reason(config)

    def end(self, session: Session, ended: Summary) -> Summary:
        taken = {name: round(value, 6) for name, value in session.checkpoints.taken.items()}
        ended = dataclasses.replace(ended, state_taken=taken)
        if self._heartbeat is not None:
            # What a failed trial has used counts, should the same command go on with it.
            self._heartbeat.finish(is_over=ended.status != "failed")
            beat = self._heartbeat.beat
            ended = dataclasses.replace(ended, crashes=beat.crashes, lost_sec=beat.lost_sec)
        summary.write(session.config.folder, ended)
        return ended


def warnings() -> list[str]:
    """What makes times of this machine hard to compare."""
    busy = machine.busy_warning()
    return [*([] if busy is None else [busy]), *compile_caches.warnings()]


def stop_reason(config: TrialFacts) -> str | None:
    """Why the trial was stopped and is not to be continued; None if a later command may continue it."""
    path = config.folder / records.STOP
    return records.read_json(path)["reason"] if path.exists() else None


def begin(config: TrialFacts, claims: contextlib.ExitStack) -> Summary | None:
    """The summary of a trial that is done already; else claims its folder, and clears it where the user said so."""
    if not config.settings.overwrite:
        finished = _finished(config)
        if finished is not None:
            return finished  # Its folder may be an archive that nobody can write.
    claims.enter_context(claim.on(config.folder))
    if config.settings.overwrite:
        records.clear(config.folder)
    return _finished(config)  # Again: whoever had the claim before may have finished it.


def _finished(config: TrialFacts) -> Summary | None:
    """The summary of a trial that is done already."""
    found = summary.read(config.folder)
    if found is None:
        return None
    config.check_same(found.identity)
    # A failure may have had a cause outside (a full disk), so the same command tries again.
    if found.status == "failed" or found.goes_on(config.settings.max_global_steps):
        return None
    return dataclasses.replace(found, already_finished=True)
