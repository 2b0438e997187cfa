"""The objects of a running trial, and the function that makes all of them."""

import contextlib
import dataclasses
import functools
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import ml_collections

from algoperf import backends, machine, random_utils, records, tuning
from algoperf import submission as submissions
from algoperf.backends.base import Backend
from algoperf.bound_workload import Workload
from algoperf.data.queue import TrainingQueue
from algoperf.run import clock, exits, pauses, processes, progress, recording, resume, summary
from algoperf.run.config import TrialConfig
from algoperf.run.state import TrialState
from algoperf.spec import Hyperparameters, UsageError


class Host(Protocol):
    """What surrounds a trial: who evaluates, keeps its time and its records, and decides about it.

    `algoperf.run.here` is all of it in the process that trains. `algoperf.referee` is a process of its own.
    """

    @property
    def speaker(self) -> processes.Speaker | None:
        """Told of a failure that ends all processes of a run, instead of people."""

    def begin(self, config: TrialConfig, claims: contextlib.ExitStack) -> summary.Summary | None:
        """The summary of a trial that is done already; else claims its folder until `claims` are closed."""

    def warnings(self) -> list[str]:
        """About the machine, looked for before anything is made."""

    def make_evaluator(self, workload: Workload) -> None:
        """Makes what evaluates, so that missing data are found before training."""

    def see_initial(self, workload: Workload, state: TrialState) -> None:
        """Looks at the initial parameters: before and after `init_optimizer_state`."""

    def saved_run(self, config: TrialConfig) -> resume.SavedRun | None:
        """What the run goes on from; asked of process 0."""

    def started_over(self, config: TrialConfig) -> str | None:
        """What to tell of a run that goes on from nothing, in a folder that held more; asked of process 0."""

    def open_records(
        self,
        config: TrialConfig,
        backend: Backend,
        seeds: Mapping[str, int],
        batch_size: int,
        saved: resume.SavedRun | None,
    ) -> records.MetricsLogger:
        """Where rows are logged, on process 0."""

    def store(
        self, config: TrialConfig, step: int, content: Mapping[str, object], about: Mapping[str, object]
    ) -> None:
        """Keeps a checkpoint, on process 0."""

    def state_allowance_sec(self, num_bytes: int) -> float:
        """How long the state for a checkpoint of so many bytes may be taken off the clock."""

    def pauses(self, session: "Session") -> pauses.Pauses:
        """What the timed loop asks at its pauses."""

    def show_progress(self, session: "Session", state: TrialState, submission_sec: float) -> None:
        """Shows how far the trial is."""

    def save(self, session: "Session") -> None:
        """Keeps a checkpoint outside of an evaluation."""

    def stop_reason(self, config: TrialConfig) -> str | None:
        """Why an interrupted trial is not to be continued; None if a later command may continue it."""

    def end(self, session: "Session", ended: summary.Summary) -> summary.Summary:
        """Keeps the summary, on process 0, with what the host adds to it; returns it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """The objects of a running trial. The fields never change; the objects themselves do."""

    config: TrialConfig
    host: Host
    ledger: clock.Ledger
    backend: Backend
    workload: Workload
    """The bound workload, its model initialised."""
    batch_size: int
    """Examples per update over all devices."""
    seeds: Mapping[str, int]
    """Purpose -> seed."""
    hyperparameters: Any
    """Namedtuple that remembers which of its fields were read, or None."""
    read_earlier: tuple[str, ...]
    """Names of hyperparameters that were read before an interruption."""
    state: TrialState
    """New, or from a checkpoint; the training loop changes it in place."""
    step_keys: Callable[[int], tuple[Any, Any, Any]]
    """global_step -> keys for data selection, update and prepare_for_eval."""
    queue: TrainingQueue | None
    """None if set-up failed."""
    checkpoints: resume.Checkpoints
    logger: records.MetricsLogger | None
    """None on all processes but process 0."""
    progress: progress.Progress
    preemption_count: int
    """Number of interruptions so far."""
    set_up_error: str | None
    """Traceback of the submission's part of set-up; None if it succeeded."""
    warnings: tuple[str, ...]
    """About the machine, and what the run goes on from."""

    @property
    def is_main(self) -> bool:
        """Whether this is process 0, which alone reads and writes the trial's folder."""
        return self.backend.process_index == 0

    def unread_hyperparameters(self) -> list[str]:
        """Names of hyperparameters that the submission has not read in any part of the run."""
        return tuning.unread(self.hyperparameters, self.read_earlier)

    def peak_memory(self) -> summary.PeakMemory:
        """Of this process so far."""
        return {
            "host_bytes": machine.peak_host_memory_bytes(),
            "device_bytes": self.backend.device_memory(),
        }

    def describe_device(self) -> str:
        """What it runs on."""
        return self.backend.describe_device()

    def hyperparameters_read(self) -> list[str]:
        """Names of those that the submission has asked for, in this part of the run or before."""
        return sorted({*tuning.names_read(self.hyperparameters), *self.read_earlier})

    def all_warnings(self) -> list[str]:
        """About the machine, what the run goes on from, and checkpoints."""
        return [*self.warnings, *self.checkpoints.warnings]

    def record_evaluation(self, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Logs and shows an evaluation, then writes a checkpoint."""
        recording.record_evaluation(
            state,
            metrics,
            config=self.config,
            ledger=self.ledger,
            logger=self.logger,
            shown=self.progress,
            preemption_count=self.preemption_count,
            peak_memory=self.peak_memory,
        )
        self.checkpoints.save(state)

    def tell_followers(self, status: str | None) -> None:
        """See `records.Follower.end`."""
        if self.logger is not None and self.logger.follower is not None:
            self.logger.follower.end(status)

    def close(self) -> None:
        """Ends the training queue and writes pending log rows."""
        if self.queue is not None:
            self.queue.close()
        if self.logger is not None:
            workload = self.config.workload
            self.logger.finish(
                records.evaluation_columns(workload.target_metric_name, workload.has_test_split)
            )


def build(config: TrialConfig, ledger: clock.Ledger, host: Host) -> Session:
    """Makes model, optimizer state, queue and records, from the newest checkpoint if there is one.

    Args:
      config: the trial.
      ledger: the open time ledger; times of an earlier part of the run are added to it.
      host: what surrounds the trial.

    Raises:
      UsageError: for mistakes of the user.
    """
    backend = backends.get_backend(config.framework)
    backends.check_device(backend.platform(), config.settings.device, config.framework)
    warnings = _told(config, *host.warnings())
    _say_whether_pmap(config, backend)
    # Before the model: the submission may leave a dropout rate to the harness.
    hyperparameters = None if config.point is None else tuning.make_hyperparameters(config.point)
    workload = _workload(config, hyperparameters)
    batch_size = submissions.batch_size(config.submission, config.workload, backend.num_devices())
    check_batch_size(config, batch_size)
    host.make_evaluator(workload)
    seeds = random_utils.seeds(config.settings.rng_seed, config.settings.study, config.trial)
    # For submissions that use the global generators of NumPy and Python.
    random_utils.seed_global_generators(seeds["submission"])
    step_keys = backend.step_keys(seeds["submission"])
    state, error = _initial_state(config, backend, workload, hyperparameters, seeds, host)
    # Only process 0 reads the folder, so hosts need not share it.
    saved = processes.from_first(backend, lambda: host.saved_run(config))
    if saved is None:
        warnings += _told(config, host.started_over(config) if backend.process_index == 0 else None)
    else:
        ledger.add_earlier(saved.ledger)
        # If the run cannot continue, its summary still reports the earlier part.
        state = resume.restored(saved, backend, state) if error is None else saved.state
        warnings += _told(config, *(saved.warnings() if backend.process_index == 0 else ()))
    queue = None
    if error is None:
        state = _placed(workload, state)
        queue = TrainingQueue(
            workload, seeds["data"], batch_size, state=None if saved is None else saved.queue
        )
    backend.count_compilations(ledger.count_compilation)
    preemption_count = 0 if saved is None else saved.preemption_count + 1
    is_main = backend.process_index == 0
    logger = None
    if is_main:
        logger = host.open_records(config, backend, seeds, batch_size, saved)
        logger.put_back(state.eval_rows)
        workload.attach_metrics_logger(logger)
    return Session(
        config=config,
        host=host,
        ledger=ledger,
        backend=backend,
        workload=workload,
        batch_size=batch_size,
        seeds=seeds,
        hyperparameters=hyperparameters,
        read_earlier=() if saved is None else saved.hyperparameters_read,
        state=state,
        step_keys=step_keys,
        queue=queue,
        checkpoints=resume.Checkpoints(
            config,
            backend,
            ledger,
            queue,
            hyperparameters,
            saved,
            functools.partial(host.store, config),
            host.state_allowance_sec,
        ),
        logger=logger,
        progress=recording.progress_of(config, is_main),
        preemption_count=preemption_count,
        set_up_error=error,
        warnings=warnings,
    )


def check_batch_size(config: TrialConfig, batch_size: int) -> None:
    """Raises UsageError for a batch that the data cannot fill."""
    num_examples = config.workload.num_train_examples
    if batch_size > num_examples:
        raise UsageError(
            f"get_batch_size({config.workload.name!r}) of submission {config.submission.name!r} returned {batch_size}, "
            f"more than the {num_examples} training examples: return that many at most."
        )


def _told(config: TrialConfig, *warnings: str | None) -> tuple[str, ...]:
    """Those that are warnings, which are told at once as well."""
    found = tuple(text for text in warnings if text is not None)
    for text in found:
        if not config.settings.quiet:
            print(f"warning: {text}", file=sys.stderr)
    return found


AUX_DROPOUT_RATE = 0.1
"""What an absent `aux_dropout_rate` meant beside a `dropout_rate`, while the harness built models with both."""


def _workload(config: TrialConfig, hyperparameters: Hyperparameters | None) -> Workload:
    """The bound workload, its model not yet initialised.

    A submission that hands no dropout rate to `model_fn` gets a model with the rates of its hyperparameters, as it was
    until mid-2025: `dropout_rate`, and `aux_dropout_rate` where models have a second one (the attention of `wmt`, the
    inputs of both speech models).
    """
    spec = config.workload
    default = spec.default_dropout_rate
    rates = hyperparameters if config.submission.leaves_dropout_to_harness else None
    if hasattr(rates, "dropout_rate") or hasattr(rates, "aux_dropout_rate"):
        default = getattr(rates, "dropout_rate", default)
        aux = getattr(rates, "aux_dropout_rate", None)
        # Of the bound workload alone: records and identities know the points, which say the same.
        model = {**spec.model, "aux_dropout_rate": AUX_DROPOUT_RATE if aux is None else aux}
        spec = dataclasses.replace(spec, model=ml_collections.ConfigDict(model))
    workload = Workload(
        spec,
        config.framework,
        config.settings.data_dir,
        torch_compile=config.torch_compile,
        per_device=config.submission.uses_pmap,
    )
    workload.default_dropout_rate = default
    return workload


def _say_whether_pmap(config: TrialConfig, backend: Backend) -> None:
    """Tells that `jax.pmap` changes the shapes of all that a submission sees, so that nobody has to find out."""
    if config.submission.uses_pmap and not config.settings.quiet and backend.process_index == 0:
        name = config.submission.name
        print(f"note: {name} calls jax.pmap, so its arrays have a leading axis of devices", file=sys.stderr)


def _initial_state(
    config: TrialConfig,
    backend: Backend,
    workload: Workload,
    hyperparameters: Hyperparameters | None,
    seeds: Mapping[str, int],
    host: Host,
) -> tuple[TrialState, str | None]:
    """The state before the first update, and the traceback of the submission where its part of it failed."""
    params, model_state = workload.init_model_fn(backend.root_key(seeds["init"]))
    state = TrialState(params=params, model_state=model_state, optimizer_state=None)
    host.see_initial(workload, state)
    try:
        state = _with_optimizer_state(config, backend, workload, hyperparameters, state, seeds)
        if config.intact is not None:
            config.intact.check()
        host.see_initial(workload, state)
    except UsageError:
        raise
    except exits.FAILURES:  # An error of the submission: the trial is recorded as failed.
        return state, traceback.format_exc()
    return state, None


def _with_optimizer_state(
    config: TrialConfig,
    backend: Backend,
    workload: Workload,
    hyperparameters: Hyperparameters | None,
    state: TrialState,
    seeds: Mapping[str, int],
) -> TrialState:
    """`state` with the optimizer state from the submission's `init_optimizer_state`."""
    optimizer_state = config.submission.module.init_optimizer_state(
        workload, state.params, state.model_state, hyperparameters, backend.root_key(seeds["submission"])
    )
    backend.check_optimizer_state(optimizer_state)
    backend.remember_initial(state.params, optimizer_state)
    return dataclasses.replace(state, optimizer_state=optimizer_state)


def _placed(workload: Workload, state: TrialState) -> TrialState:
    """`state` as updates return it: else the second update would be compiled anew, on the submission's clock."""
    params, model_state, optimizer_state = workload.model.place_state(
        state.params, state.model_state, state.optimizer_state
    )
    return dataclasses.replace(state, params=params, model_state=model_state, optimizer_state=optimizer_state)
