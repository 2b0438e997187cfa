"""The objects of a running trial, and the function that makes all of them."""

import dataclasses
import datetime
import math
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

import ml_collections

from algoperf import backends, machine, random_utils, records, submission_info, tuning
from algoperf import submission as submissions
from algoperf.backends import compile_caches, environment
from algoperf.backends.base import Backend
from algoperf.bound_workload import Workload
from algoperf.data import locate, manifest
from algoperf.data.queue import TrainingQueue
from algoperf.run import clock, exits, processes, progress, resume
from algoperf.run.config import TrialConfig
from algoperf.run.identity import META_SOURCES
from algoperf.run.training import TrialState
from algoperf.spec import Hyperparameters, UsageError


@dataclasses.dataclass(frozen=True, kw_only=True)
class Session:
    """The objects of a running trial. The fields never change; the objects themselves do."""

    config: TrialConfig
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

    def record_evaluation(self, state: TrialState, metrics: Mapping[str, float]) -> None:
        """Logs and shows an evaluation, then writes a checkpoint."""
        ledger = self.ledger
        ledger.enter(clock.LOGGING)
        submission_sec = ledger.submission_ns * 1e-9
        if self.logger is not None:
            row = {
                **metrics,
                records.SCORE: submission_sec,
                records.SUBMISSION_TIME: submission_sec,
                records.EVAL_TIME: ledger.seconds(*clock.EVALUATION_BUCKETS),
                records.LOGGING_TIME: ledger.seconds(clock.LOGGING, clock.CHECKPOINT),
                records.TOTAL_DURATION: ledger.wall_sec(),
            }
            self.logger.append_scalar_metrics(row, state.global_step, is_eval=True)
            # Before the checkpoint: a resumed run drops rows after the checkpoint's step, but cannot add
            # missing ones.
            self.logger.flush()
            counts = {records.GLOBAL_STEP: state.global_step, records.PREEMPTION_COUNT: self.preemption_count}
            state.eval_rows.append({**row, **counts})
        value = metrics.get(f"validation/{self.config.workload.target_metric_name}", math.nan)
        self.progress.evaluation(state.global_step, submission_sec, value)
        self.checkpoints.save(state)

    def close(self) -> None:
        """Ends the training queue and writes pending log rows."""
        if self.queue is not None:
            self.queue.close()
        if self.logger is not None:
            self.logger.finish(records.evaluation_columns(self.config.workload.target_metric_name))


def build(config: TrialConfig, ledger: clock.Ledger) -> Session:
    """Makes model, optimizer state, queue and records, from the newest checkpoint if there is one.

    Args:
      config: the trial.
      ledger: the open time ledger; times of an earlier part of the run are added to it.

    Raises:
      UsageError: for mistakes of the user.
    """
    backend = backends.get_backend(config.framework)
    backends.check_device(backend.platform(), config.settings.device, config.framework)
    warnings = _told(config, machine.busy_warning(), *compile_caches.warnings())
    if config.submission.uses_pmap and not config.settings.quiet and backend.process_index == 0:
        # It changes the shapes of everything that a submission sees, so nobody should have to find out.
        name = config.submission.name
        print(f"note: {name} calls jax.pmap, so its arrays have a leading axis of devices", file=sys.stderr)
    # Before the model: the submission may leave a dropout rate to the harness.
    hyperparameters = None if config.point is None else tuning.make_hyperparameters(config.point)
    workload = _workload(config, hyperparameters)
    batch_size = submissions.batch_size(config.submission, config.workload, backend.num_devices())
    check_batch_size(config, batch_size)
    workload.evaluator  # noqa: B018 - made now, so that missing data are found before training
    seeds = random_utils.seeds(config.settings.rng_seed, config.settings.study, config.trial)
    # For submissions that use the global generators of NumPy and Python.
    random_utils.seed_global_generators(seeds["submission"])
    params, model_state = workload.init_model_fn(backend.root_key(seeds["init"]))
    state = TrialState(params=params, model_state=model_state, optimizer_state=None)
    step_keys = backend.step_keys(seeds["submission"])
    error, queue = None, None
    try:
        state = _with_optimizer_state(config, backend, workload, hyperparameters, state, seeds)
    except UsageError:
        raise
    except exits.FAILURES:  # An error of the submission: the trial is recorded as failed.
        error = traceback.format_exc()
    # Only process 0 reads the folder, so hosts need not share it.
    saved = processes.from_first(backend, lambda: resume.load(config))
    if saved is None:
        warnings += _told(config, resume.started_over(config.folder) if backend.process_index == 0 else None)
    else:
        ledger.add_earlier(saved.ledger)
        # If the run cannot continue, its summary still reports the earlier part.
        state = resume.restored(saved, backend, state) if error is None else saved.state
        warnings += _told(config, *(saved.warnings() if backend.process_index == 0 else ()))
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
        # Rows after the checkpoint belong to lost work. A new run drops all rows that are left in the folder.
        last_step = state.global_step if preemption_count else -1
        meta_data = _meta_data(config, backend, seeds, batch_size)
        logger = _open_records(config, backend, meta_data, preemption_count, last_step)
        logger.put_back(state.eval_rows)
        workload.attach_metrics_logger(logger)
    return Session(
        config=config,
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
        checkpoints=resume.Checkpoints(config, backend, ledger, queue, hyperparameters, saved),
        logger=logger,
        progress=_progress(config, is_main),
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


# ---- records -----------------------------------------------------------------------------------------------------


def _progress(config: TrialConfig, is_main: bool) -> progress.Progress:
    return progress.Progress(
        config.workload.target_metric_name,
        config.workload.validation_target_value,
        config.budget_sec,
        enabled=is_main and not config.settings.quiet,
    )


def _open_records(
    config: TrialConfig,
    backend: Backend,
    meta_data: Mapping[str, object],
    preemption_count: int,
    last_step: int,
) -> records.MetricsLogger:
    """Writes the records that are known at the start; the logger drops rows after `last_step`."""
    folder = config.folder
    folder.mkdir(parents=True, exist_ok=True)
    for left in (records.SUMMARY, records.STOP):  # They describe an earlier end, which no longer holds.
        (folder / left).unlink(missing_ok=True)
    if config.point is not None:
        records.write_json(folder / records.HPARAMS, config.point)
    records.write_json(folder / records.flags_file(preemption_count), config.flags())
    records.write_json(folder / records.meta_data_file(preemption_count), meta_data)
    return records.MetricsLogger(folder, backend.to_float, preemption_count, last_step=last_step)


def _meta_data(
    config: TrialConfig, backend: Backend, seeds: Mapping[str, int], batch_size: int
) -> dict[str, Any]:
    """Everything that a person or a later version needs to run the trial again (R12.2)."""
    facts = config.workload.to_dict()
    info, note = submission_info.read(config.submission.path.parent)
    if note and not config.settings.quiet:
        print(f"note: {note}", file=sys.stderr)
    # AlgoPerf's records have flat keys, so plain facts are stored under `workload.<name>` as well.
    primitive = {
        f"workload.{key}": value for key, value in facts.items() if not isinstance(value, (dict, list))
    }
    return {
        **primitive,
        **machine.describe(),
        # Also in the summary, which a trial that was killed has not.
        "suite": config.suite,
        "ruleset": config.settings.tuning_ruleset,
        "budget_sec": config.budget_sec,
        "rng_seed": config.settings.rng_seed,
        "seeds": seeds,
        "device": backend.describe_device(),
        "num_devices": backend.num_devices(),
        "global_batch_size": batch_size,
        "data_manifest": manifest.hash_of(locate.folder_of(config.workload, config.settings.data_dir)),
        "submission_path": str(config.submission.path),
        "submission_hash": config.submission.source_hash,
        "submission_info": dataclasses.asdict(info) if info else None,
        "per_device_layout": config.submission.uses_pmap,
        "dropout_of_point": config.submission.leaves_dropout_to_harness,
        "workload_spec": facts,
        "identity": config.identity(),
        META_SOURCES: None if config.sources is None else config.sources.files,
        "environment": environment.record(backend),
        "compile_caches": compile_caches.record(),
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
