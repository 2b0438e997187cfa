"""What a trial writes into its folder while it runs: records at its start, and a row for each evaluation."""

import dataclasses
import datetime
import math
import sys
from collections.abc import Callable, Mapping
from pathlib import PurePath
from typing import Any

from algoperf import machine, records, settings, submission_info
from algoperf.backends import compile_caches, environment
from algoperf.backends.base import Backend
from algoperf.data import locate, manifest
from algoperf.log_to import destination, follower
from algoperf.run import clock, progress
from algoperf.run.config import TrialConfig, TrialFacts
from algoperf.run.identity import META_SOURCES
from algoperf.run.state import TrialState
from algoperf.run.summary import PeakMemory


def open_records(
    config: TrialFacts,
    meta_data: Mapping[str, object],
    to_float: Callable[[Any], float],
    preemption_count: int,
    last_step: int,
    make_logger: Callable[..., records.MetricsLogger] = records.MetricsLogger,
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
    logger = make_logger(folder, to_float, preemption_count, last_step=last_step)
    logger.follower = _follower(config)
    return logger


def _follower(config: TrialFacts) -> records.Follower | None:
    """Who sends the rows on; None where nobody wants them."""
    names = settings.listed(config.settings.log_to)
    if not names:
        return None
    trial, given = config.folder.absolute(), config.settings.experiment_name
    # Not from --experiment_dir: a submission may have gone to another working directory.
    place = trial.parts[-(2 + (len(PurePath(given).parts) if given else 2)) :]
    about = destination.About(
        folder=trial,
        root=trial.parents[len(place) - 1],
        name="/".join(place),
        group="/".join(place[:-1]),
        facts={
            "submission": config.submission.name,
            "workload": config.workload.name,
            "framework": config.framework,
            "ruleset": config.settings.tuning_ruleset,
            "suite": config.suite,
            "study": config.settings.study,
            "trial": config.trial,
            "budget_sec": config.budget_sec,
            **{f"hyperparameters/{key}": value for key, value in (config.point or {}).items()},
        },
    )

    def warn(text: str) -> None:
        if not config.settings.quiet:
            print(f"warning: {text}", file=sys.stderr)

    return follower.Follower(about, names, warn)


def facts_of_process(config: TrialConfig, backend: Backend, batch_size: int) -> dict[str, Any]:
    """What only the process that trains can say for the records; what JSON can hold."""
    return {
        "device": backend.describe_device(),
        "num_devices": backend.num_devices(),
        "global_batch_size": batch_size,
        "per_device_layout": config.submission.uses_pmap,
        "dropout_of_point": config.submission.leaves_dropout_to_harness,
        "environment": environment.record(backend),
        "compile_caches": compile_caches.record(),
    }


def meta_data(config: TrialFacts, seeds: Mapping[str, int], of_process: Mapping[str, Any]) -> dict[str, Any]:
    """Everything that a person or a later version needs to run the trial again (R12.2).

    Args:
      config: the trial.
      seeds: purpose -> seed.
      of_process: see `facts_of_process`.
    """
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
        "data_manifest": manifest.hash_of(locate.folder_of(config.workload, config.settings.data_dir)),
        "submission_path": str(config.submission.path),
        "submission_hash": config.submission.source_hash,
        "submission_info": dataclasses.asdict(info) if info else None,
        "workload_spec": facts,
        "identity": config.identity(),
        META_SOURCES: None if config.sources is None else config.sources.files,
        "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        **of_process,
    }


def record_evaluation(
    state: TrialState,
    metrics: Mapping[str, float],
    *,
    config: TrialFacts,
    ledger: clock.Ledger,
    logger: records.MetricsLogger | None,
    shown: progress.Progress,
    preemption_count: int,
    peak_memory: Callable[[], PeakMemory],
) -> None:
    """Logs and shows an evaluation.

    Args:
      state: of the trial; the row is added to it.
      metrics: of all splits.
      config: the trial.
      ledger: the open time ledger.
      logger: None on all processes but process 0.
      shown: what people see of the trial.
      preemption_count: number of interruptions so far.
      peak_memory: of the process that trains.
    """
    ledger.enter(clock.LOGGING)
    submission_sec = ledger.submission_ns * 1e-9
    if logger is not None:
        row = {
            **metrics,
            records.SCORE: submission_sec,
            records.SUBMISSION_TIME: submission_sec,
            records.EVAL_TIME: ledger.seconds(*clock.EVALUATION_BUCKETS),
            records.LOGGING_TIME: ledger.seconds(clock.LOGGING, clock.CHECKPOINT),
            records.TOTAL_DURATION: ledger.wall_sec(),
        }
        logger.append_scalar_metrics(row, state.global_step, is_eval=True)
        # Before the checkpoint: a resumed run drops rows after the checkpoint's step, but cannot add missing ones.
        logger.flush()
        if logger.follower is not None:
            logger.follower.send(follower.memory_values(peak_memory()))
        counts = {records.GLOBAL_STEP: state.global_step, records.PREEMPTION_COUNT: preemption_count}
        state.eval_rows.append({**row, **counts})
    value = metrics.get(f"validation/{config.workload.target_metric_name}", math.nan)
    shown.evaluation(state.global_step, submission_sec, value)


def progress_of(config: TrialFacts, is_main: bool = True) -> progress.Progress:
    """What people see of a trial."""
    return progress.Progress(
        config.workload.target_metric_name,
        config.workload.validation_target_value,
        config.budget_sec,
        enabled=is_main and not config.settings.quiet,
    )
