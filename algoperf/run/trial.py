"""One trial from its folder to its summary: the order of events."""

import contextlib
import traceback
from collections.abc import Sequence

from algoperf import backends, records
from algoperf.files import FolderGoneError, StorageError
from algoperf.run import clock, ending, exits, processes, signals, summary
from algoperf.run.config import TrialConfig
from algoperf.run.here import Here
from algoperf.run.session import Host, Session, build
from algoperf.run.summary import Summary
from algoperf.run.training import LoopOptions, TrainingLoop
from algoperf.spec import Interrupted, UsageError


def run(config: TrialConfig, ledger: clock.Ledger, host: Host | None = None) -> Summary:
    """Runs or continues one trial; returns its summary, which is also written to its folder.

    Args:
      config: the trial.
      ledger: the time ledger, opened when the process started, so that it includes set-up.
      host: who evaluates and keeps the records; this process by default.

    Raises:
      UsageError: for mistakes of the user, before training starts.
      Interrupted: after SIGINT or SIGTERM; a checkpoint was written, if the state can be.
      StorageError: if the records cannot be written any more; the last checkpoint is whole.
    """
    host = host or Here()
    backend = backends.get_backend(config.framework)
    with contextlib.ExitStack() as claims, processes.watch_failures(backend, host.speaker) as failures:
        processes.check_same_settings(backend, config.shared_settings())
        # Only process 0 reads and writes the folder, so hosts need no shared disk.
        finished = processes.from_first(backend, lambda: host.begin(config, claims))
        if finished is not None:
            return finished
        return train(set_up(config, ledger, failures, host), failures)


def set_up(
    config: TrialConfig,
    ledger: clock.Ledger,
    failures: processes.FailureWatcher,
    host: Host | None = None,
) -> Session:
    """Makes the objects of the trial; from now on process 0 writes a summary if another process fails.

    Args:
      config: the trial.
      ledger: the open time ledger.
      failures: the watcher, which is told how to write that summary.
      host: who evaluates and keeps the records; this process by default.
    """
    is_main = backends.get_backend(config.framework).process_index == 0
    if is_main:
        failures.record = lambda reason: _record_failed_set_up(config, reason)
    session = build(config, ledger, host or Here())
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
            reason = processes.from_first(session.backend, lambda: session.host.stop_reason(session.config))
            if reason is not None:
                return _end(session, failures, "stopped", stop_reason=reason)
            session.host.save(session)
            session.close()
            session.tell_followers(None)
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
            budget_sec=config.time_limit_sec,
            eval_steps=config.eval_steps,
            eval_period_sec=config.workload.eval_period_time_sec,
            settings=config.settings,
        ),
        wants_train_state=config.submission.wants_train_state,
        on_progress=lambda state, seconds: session.host.show_progress(session, state, seconds),
        judge=session.host.pauses(session),
    )


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
        session.host.save(session)  # Otherwise the last evaluation has written it.
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
        ended = session.host.end(session, ended)
        session.tell_followers(ended.status)
    return ended
