"""The host of a trial that is only tried: it evaluates one batch, ends after a few updates, and records nothing.

It says what it finds as it comes, in messages, so that whoever reads them knows where a process was that has died:
('begin', {'name': phase}), ('end', the fields of `found.Phase`) and ('facts', fields of `found.Facts`).
"""

import contextlib
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from algoperf import records, registry
from algoperf import submission as submissions
from algoperf.backends import get_backend
from algoperf.backends.base import Backend
from algoperf.bound_workload import Workload
from algoperf.data.batch import arrays as arrays_of
from algoperf.data.batch import shard_options
from algoperf.preflight import arrays, found, memory
from algoperf.run import clock, pauses, processes, resume
from algoperf.run.config import TrialConfig
from algoperf.run.session import Session
from algoperf.run.state import TrialState
from algoperf.run.summary import Summary

Say = Callable[[str, Mapping[str, Any]], None]
MAX_UPDATES = 30
"""After which a preflight ends."""
MORE_SEC = 1.0
"""How long updates are timed after the second one; at least one is, unless the second took longer than `SLOW_SEC`."""
SLOW_SEC = 10.0


class Host:
    """See `session.Host`.

    Args:
      say: takes the messages.
      batch_size: examples per update, instead of the submission's own.
      eval_batch_size: examples per batch of an evaluation, instead of the workload's.
    """

    speaker: processes.Speaker | None = None

    def __init__(self, say: Say, batch_size: int | None = None, eval_batch_size: int | None = None):
        self._say, self._batch_size, self.eval_batch_size = say, batch_size, eval_batch_size
        self._phase, self._since = found.START, time.perf_counter()
        self._backend: Backend | None = None
        self._say("begin", {"name": self._phase})

    # ---- phases ------------------------------------------------------------------------------------------------

    def enter(self, name: str | None) -> None:
        """Ends the phase that is open, and begins another, or none."""
        if self._backend is not None:
            self._backend.wait()
        now = time.perf_counter()
        if self._phase:
            peaks = {} if self._backend is None else self._backend.device_memory()
            self._say(
                "end",
                {
                    "name": self._phase,
                    "seconds": now - self._since,
                    "host_bytes": memory.peak_bytes(),
                    "device_bytes": max(peaks.values()) if peaks else None,
                },
            )
        self._phase, self._since = name or "", now
        memory.forget_peak()
        if name:
            self._say("begin", {"name": name})

    def say(self, **facts: Any) -> None:
        """Says facts."""
        self._say("facts", facts)

    # ---- set-up ------------------------------------------------------------------------------------------------

    def begin(self, config: TrialConfig, claims: contextlib.ExitStack) -> Summary | None:
        del claims
        if self._batch_size is not None:
            wanted = self._batch_size
            vars(config.submission.module)["get_batch_size"] = lambda workload_name: wanted
        return None

    def warnings(self) -> list[str]:
        return []

    def make_evaluator(self, workload: Workload) -> None:
        """All that was before is the start: the framework, and the submission, are imported."""
        self._backend = get_backend(workload.framework)
        self.enter(found.DATA)
        workload.evaluator  # noqa: B018 - made on first use, with the data of small workloads
        self.enter(found.MODEL)

    def see_initial(self, workload: Workload, state: TrialState) -> None:
        if self._phase == found.MODEL:
            weights = workload.model.weights(state.params, state.model_state)
            self.say(
                num_params=sum(one.size for one in weights.values()),
                params_bytes=sum(one.nbytes for one in weights.values()),
            )
            self.enter(found.OPTIMIZER)
        else:
            self.enter(found.QUEUE)

    def saved_run(self, config: TrialConfig) -> resume.SavedRun | None:
        """Always from the beginning; the last call before the training queue is made."""
        backend = get_backend(config.framework)
        self.say(
            device=backend.describe_device(),
            device_total_bytes=backend.device_total_bytes(),
            batch_size=submissions.batch_size(config.submission, config.workload, backend.num_devices()),
        )
        return None

    def started_over(self, config: TrialConfig) -> str | None:
        del config
        return None

    def open_records(
        self,
        config: TrialConfig,
        backend: Backend,
        seeds: Mapping[str, int],
        batch_size: int,
        saved: resume.SavedRun | None,
    ) -> records.MetricsLogger:
        del config, seeds, batch_size, saved
        return _Unrecorded(Path(), backend.to_float)

    def store(
        self, config: TrialConfig, step: int, content: Mapping[str, object], about: Mapping[str, object]
    ) -> None:
        del config, step, content, about

    def state_allowance_sec(self, num_bytes: int) -> float:
        del num_bytes
        return math.inf

    # ---- training ----------------------------------------------------------------------------------------------

    def pauses(self, session: Session) -> pauses.Pauses:
        self.enter(found.FIRST)
        return _Steps(self, session)

    def show_progress(self, session: Session, state: TrialState, submission_sec: float) -> None:
        del session, state, submission_sec

    def save(self, session: Session) -> None:
        del session

    def stop_reason(self, config: TrialConfig) -> str | None:
        del config
        return None

    def end(self, session: Session, ended: Summary) -> Summary:
        if ended.status != "failed":
            self.enter(None)
        return ended


class _Steps:
    """See `pauses.Pauses`: after every update it says what that took."""

    def __init__(self, host: Host, session: Session):
        self._host, self._session = host, session
        self._before = self._spent()
        self._secs: list[float] = []

    def _spent(self) -> float:
        return self._session.ledger.seconds(clock.DATA_SELECTION, clock.UPDATE)

    def evaluate(self, state: TrialState) -> bool:
        spent = self._spent()
        seconds, self._before = spent - self._before, spent
        if state.global_step == 1:
            self._after_first(state, seconds)
            self._host.enter(found.SECOND)
            return True
        self._secs.append(seconds)
        self._host.say(update_secs=list(self._secs))
        if len(self._secs) == 1:
            self._host.enter(found.MORE if seconds < SLOW_SEC else None)
        is_enough = seconds >= SLOW_SEC or sum(self._secs[1:]) > MORE_SEC
        state.training_complete |= is_enough or state.global_step >= MAX_UPDATES
        return True

    def pause(self, state: TrialState) -> None:
        del state

    def _after_first(self, state: TrialState, seconds: float) -> None:
        host, session = self._host, self._session
        without = (state.params, state.model_state)
        host.say(
            first_update_sec=seconds,
            optimizer_bytes=arrays.num_bytes(state.optimizer_state, without=without),
        )
        host.enter(found.EVALUATION)
        devices = session.backend.num_devices()
        size = -(-(host.eval_batch_size or session.workload.spec.eval_batch_size) // devices) * devices
        host.say(eval_batch_size=size)  # First: the process may not live to say more.
        host.say(**_evaluation(session.workload, state, size))
        host.enter(found.CHECKPOINT)
        try:
            saved = session.backend.save(state.params, state.model_state, state.optimizer_state)
            host.say(checkpoint_bytes=session.backend.saved_bytes(saved))
        except Exception as error:  # Code of the submission has a part in it, and a trial goes on without.
            if session.backend.is_out_of_memory(error) or isinstance(error, MemoryError):
                raise


def _evaluation(workload: Workload, state: TrialState, size: int) -> dict[str, Any]:
    """Facts about a batch of the validation split, evaluated twice as `Evaluator.evaluate_split` does."""
    spec, backend, model, data = workload.spec, workload.backend, workload.model, workload.data_module
    random_state = backend.random_state()
    folder = workload.evaluator.folder
    metrics = registry.metrics_module(spec).make_metrics(spec, folder)
    batches = data.eval_batches(
        spec, folder, "validation", size, **shard_options(data, backend.num_devices())
    )
    batch = next(iter(batches))
    secs = []
    for _ in range(2):
        start = time.perf_counter()
        outputs = model.eval_step(state.params, state.model_state, model.eval_to_device(batch))
        metrics.update(batch, outputs)
        secs.append(time.perf_counter() - start)
    backend.set_random_state(random_state)
    return {
        "first_eval_sec": secs[0],
        "eval_batch_sec": secs[1],
        "eval_batch_bytes": sum(array.nbytes for array in arrays_of(batch)),
    }


class _Unrecorded(records.MetricsLogger):
    """A logger that reads what it gets, as a trial does, and writes nothing."""

    def _opened(self, path: Path, last_step: float) -> records.RowLog:
        del path, last_step
        return _Nowhere()


class _Nowhere:
    """See `records.RowLog`."""

    def put_back(self, wanted: object) -> None:
        del wanted

    def append(self, row: object) -> None:
        del row

    def head(self, columns: object) -> None:
        del columns

    def close(self) -> None:
        pass
