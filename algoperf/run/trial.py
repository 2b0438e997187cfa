"""One trial from its folder to its summary: the order of events."""

import contextlib
import dataclasses
import traceback
from collections.abc import Sequence
from pathlib import Path

from algoperf import backends, records
from algoperf.files import FolderGoneError, StorageError
from algoperf.run import claim, clock, ending, exits, processes, signals, summary
from algoperf.run.config import TrialConfig
from algoperf.run.session import Session, build
from algoperf.run.summary import Summary
from algoperf.run.training import LoopOptions, TrainingLoop
from algoperf.spec import Interrupted, UsageError

UNLIMITED_SEC = 1e9
"""More seconds than any run takes: 30 years."""


def run(config: TrialConfig, ledger: clock.Ledger) -> Summary:
    """Runs or continues one trial; returns its summary, which is also written to its folder.

    Args:
      config: the trial.
      ledger: the time ledger, opened when the process started, so that it includes set-up.

    Raises:
      UsageError: for mistakes of the user, before training starts.
      Interrupted: after SIGINT or SIGTERM; a checkpoint was written, if the state can be.
      StorageError: if the records cannot be written any more; the last checkpoint is whole.
    """
    backend = backends.get_backend(config.framework)
    with contextlib.ExitStack() as claims, processes.watch_failures(backend) as failures:
        processes.check_same_settings(backend, config.shared_settings())
        # Only process 0 reads and writes the folder, so hosts need no shared disk.
        finished = processes.from_first(backend, lambda: _begin(config, claims))
        if finished is not None:
            return finished
        return train(set_up(config, ledger, failures), failures)


def _begin(config: TrialConfig, claims: contextlib.ExitStack) -> Summary | None:
    """The summary of a trial that is done already; else claims its folder, and clears it where the user said so."""
    if not config.settings.overwrite:
        finished = _finished(config)
        if finished is not None:
            return finished  # Its folder may be an archive that nobody can write.
    claims.enter_context(claim.on(config.folder))
    if config.settings.overwrite:
        records.clear(config.folder)
    return _finished(config)  # Again: whoever had the claim before may have finished it.


def _finished(config: TrialConfig) -> Summary | None:
    """The summary of a trial that is done already."""
    found = summary.read(config.folder)
    if found is None:
        return None
    config.check_same(found.identity)
    # A failure may have had a cause outside (a full disk), so the same command tries again.
    if found.status == "failed" or found.goes_on(config.settings.max_global_steps):
        return None
    return dataclasses.replace(found, already_finished=True)


def set_up(config: TrialConfig, ledger: clock.Ledger, failures: processes.FailureWatcher) -> Session:
    """Makes the objects of the trial; from now on process 0 writes a summary if another process fails.

    Args:
      config: the trial.
      ledger: the open time ledger.
      failures: the watcher, which is told how to write that summary.
    """
    is_main = backends.get_backend(config.framework).process_index == 0
    if is_main:
        failures.record = lambda reason: _record_failed_set_up(config, reason)
    session = build(config, ledger)
    if is_main:
        # This runs in the watcher's thread while the main thread may hang in a collective, so it must not use a
        # device.
        failures.record = lambda reason: summary.write(
            config.folder, ending.summarize(config, session, "failed", error=reason)
        )
    return session


def _record_failed_set_up(config: TrialConfig, reason: str) -> None:
    # The folder may hold another run, whose records must not be changed; that would have been refused later in
    # set-up.
    config.check_same(records.newest_meta_data(config.folder).get("identity"))
    summary.write(config.folder, ending.summarize(config, None, "failed", error=reason))


def train(session: Session, failures: processes.FailureWatcher) -> Summary:
    """Runs the loop to its end and writes the summary; an error of the submission becomes the status 'failed'."""
    if session.set_up_error is not None:
        return _end(session, failures, "failed", error=failures.announce(session.set_up_error))
    loop = _loop(session)
    error_text, warnings = None, []
    # Also around the checkpoint, which a second signal must not interrupt.
    with signals.stopping(loop, lambda: session.checkpoints.promise):
        try:
            status = loop.run()
        except Interrupted as stop:
            reason = processes.from_first(session.backend, lambda: _stop_reason(session.config.folder))
            if reason is not None:
                return _end(session, failures, "stopped", stop_reason=reason)
            session.checkpoints.save(session.state)
            session.close()
            stop.goes_on = session.checkpoints.goes_on(session.state.global_step)
            raise
        # No fault of the submission, and a second Ctrl-C: the trial goes on from its last checkpoint.
        except (StorageError, KeyboardInterrupt):
            with contextlib.suppress(Exception):
                session.close()
            raise
        # UsageError includes SubmissionError. The message says enough without a traceback.
        except (UsageError, FolderGoneError) as error:
            status, error_text = "failed", str(error)
        except exits.FAILURES as error:
            status, error_text = "failed", traceback.format_exc()
            warnings = _hints(session, error)
    if error_text is not None:
        error_text = failures.announce(error_text)
    return _end(session, failures, status, error=error_text, warnings=warnings)


def _hints(session: Session, error: BaseException) -> list[str]:
    """What helps with an error of the submission, beside its own words."""
    if session.backend.is_out_of_memory(error):
        return ["The device ran out of memory; use a smaller batch size or a larger device."]
    state = session.state
    arguments = {
        "current_param_container": state.params,
        "model_state": state.model_state,
        "optimizer_state": state.optimizer_state,
    }
    hint = session.backend.explain(error, arguments)
    return [] if hint is None else [hint]


def _loop(session: Session) -> TrainingLoop:
    config = session.config
    assert session.queue is not None  # Only a failed set-up leaves it out.
    return TrainingLoop(
        session.workload,
        config.submission.module,
        session.hyperparameters,
        session.state,
        session.queue,
        session.ledger,
        session.step_keys,
        LoopOptions(
            # A repetition ends where the stored run did, however long that takes here.
            budget_sec=config.budget_sec if config.eval_steps is None else UNLIMITED_SEC,
            eval_steps=config.eval_steps,
            eval_period_sec=config.workload.eval_period_time_sec,
            settings=config.settings,
        ),
        wants_train_state=config.submission.wants_train_state,
        on_evaluation=session.record_evaluation,
        on_progress=lambda state, seconds: session.progress.step(state.global_step, seconds),
    )


def _stop_reason(folder: Path) -> str | None:
    """Why the trial was stopped and is not to be continued; None if a later command may continue it."""
    path = folder / records.STOP
    return records.read_json(path)["reason"] if path.exists() else None


def _end(
    session: Session,
    failures: processes.FailureWatcher,
    status: str,
    *,
    error: str | None = None,
    warnings: Sequence[str] = (),
    stop_reason: str | None = None,
) -> Summary:
    """Closes the session and writes the summary."""
    config, ledger, state = session.config, session.ledger, session.state
    if config.settings.skip_evals and status == "max_steps":
        session.checkpoints.save(state)  # Otherwise the last evaluation has written it.
    ledger.enter(clock.LOGGING)
    if session.logger is not None:
        final = {records.SCORE: ledger.submission_ns * 1e-9}
        session.logger.append_scalar_metrics(final, state.global_step, session.preemption_count)
    try:
        session.close()
    # A value that the submission logged cannot be read, or the records have gone.
    except (UsageError, FolderGoneError) as problem:
        status, error = "failed", error or str(problem)
    except Exception:
        if not failures.has_failed:  # A logged value may depend on a process that has ended.
            raise
    ended = ending.summarize(config, session, status, error=error, warnings=warnings, stop_reason=stop_reason)
    if session.is_main:
        summary.write(config.folder, ended)
    return ended
