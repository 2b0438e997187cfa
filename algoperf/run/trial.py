"""One trial from its folder to its summary: set-up, resume, the timed loop, records."""

import dataclasses
import datetime
import math
import pickle
import signal
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from algoperf import backends, machine, random_utils, records, tuning
from algoperf import submission as submissions
from algoperf.bound_workload import Workload
from algoperf.data.queue import TrainingQueue
from algoperf.run import checkpoint, clock, processes, progress, summaries
from algoperf.run.config import TrialConfig
from algoperf.run.identity import check_same
from algoperf.run.training import LoopOptions, TrainingLoop, TrialState
from algoperf.spec import Interrupted, UsageError


def run(config: TrialConfig, ledger: clock.Ledger) -> dict[str, Any]:
    """Runs or continues one trial; returns its summary, which is also written to its folder.

    Args:
      config: the trial.
      ledger: opened when the process started, so that set-up is counted.

    Raises:
      UsageError: for what the user can put right, before training starts.
      Interrupted: after SIGINT or SIGTERM; a checkpoint was written.
    """
    backend = backends.get_backend(config.framework)
    with processes.ending_together(backend) as together:
        processes.check_same_settings(backend, config.shared_settings())
        # Only process 0 reads and writes the folder, so hosts need not share it.
        finished = processes.from_first(backend, lambda: _finished_summary(config))
        if finished is not None:
            return finished
        trial = Trial(config, ledger, together)
        trial.set_up()
        return trial.train()


def _finished_summary(config: TrialConfig) -> dict[str, Any] | None:
    """The summary of a trial that is done already; clears the folder where the user said so."""
    folder = config.folder
    if config.settings.overwrite:
        clear(folder)
    path = folder / records.SUMMARY
    if not path.exists():
        return None
    summary = records.read_json(path)
    check_same(summary.get("identity", {}), config.identity(), folder)
    goes_on = summary["status"] == "max_steps" and (
        config.settings.max_global_steps is None or config.settings.max_global_steps > summary["global_step"]
    )
    if goes_on or summary["status"] == "failed":
        return None
    return {**summary, "already_finished": True}


def clear(folder: Path) -> None:
    """Removes the files of an earlier trial, and nothing else."""
    for pattern in ("*.json", "*.csv", f"{records.CHECKPOINT_PREFIX}*"):
        for path in folder.glob(pattern):
            path.unlink()


class Trial:
    """The objects of one running trial.

    Args:
      config: what to run.
      ledger: open time ledger.
      together: tells the other processes of a distributed run when this one fails.
    """

    def __init__(self, config: TrialConfig, ledger: clock.Ledger, together: processes.Together):
        self.config, self.ledger, self.together = config, ledger, together
        self.warnings: list[str] = []
        self.preemption_count = 0
        self._can_checkpoint = True
        self.queue: TrainingQueue | None = None
        self.set_up_error: str | None = None
        self.stop_reason: str | None = None

    # ---- set-up ------------------------------------------------------------------------------------------------

    def set_up(self) -> None:
        """Model, optimizer state, queue, records; then the checkpoint, if there is one."""
        config = self.config
        self.backend = backend = backends.get_backend(config.framework)
        self.is_main = backend.process_index == 0
        if self.is_main:
            self.together.record = self._record_failed_set_up
        backends.check_device(backend.platform(), config.settings.device, config.framework)
        busy = machine.busy_warning()
        if busy is not None:
            self.warnings.append(busy)
            if not config.settings.quiet:
                print(f"warning: {busy}", file=sys.stderr)
        self.workload = workload = Workload(
            config.workload,
            config.framework,
            config.settings.data_dir,
            torch_compile=config.torch_compile,
            per_device=config.submission.uses_pmap,
        )
        self.batch_size = submissions.batch_size(config.submission, config.workload, backend.num_devices())
        workload.evaluator  # noqa: B018 - finds out now whether the data are there
        seeds = random_utils.seeds(config.settings.rng_seed, config.settings.study, config.trial)
        self.seeds = seeds
        random_utils.seed_global_generators(seeds["submission"])
        self.hyperparameters = None if config.point is None else tuning.make_hyperparameters(config.point)
        if config.submission.leaves_dropout_to_harness and hasattr(self.hyperparameters, "dropout_rate"):
            workload.default_dropout_rate = self.hyperparameters.dropout_rate
        params, model_state = workload.init_model_fn(backend.root_key(seeds["init"]))
        self.state = TrialState(params=params, model_state=model_state, optimizer_state=None)
        self.step_keys = backend.step_keys(seeds["submission"])
        try:
            self._init_optimizer_state()
        except UsageError:
            raise
        except Exception:  # The submission's own: the trial is recorded as failed.
            self.set_up_error = traceback.format_exc()
        else:
            queue_state = self._restore()
            self.queue = TrainingQueue(workload, seeds["data"], self.batch_size, state=queue_state)
        self._open_records()

    def _init_optimizer_state(self) -> None:
        state = self.state
        optimizer_state = self.config.submission.module.init_optimizer_state(
            self.workload,
            state.params,
            state.model_state,
            self.hyperparameters,
            self.backend.root_key(self.seeds["submission"]),
        )
        self.backend.check_optimizer_state(optimizer_state)
        state.optimizer_state = optimizer_state

    def _restore(self) -> dict[str, Any] | None:
        """Continues from the newest checkpoint; returns the position of the training queue."""
        config, backend = self.config, self.backend

        def load() -> dict[str, Any] | None:
            found = checkpoint.load(config.folder)
            if found is not None:
                check_same(found["identity"], config.identity(), config.folder)
            return found

        saved = processes.from_first(backend, load)
        if saved is None:
            return None
        state = self.state
        restored = backend.restore(saved["training"], state.params, state.model_state, state.optimizer_state)
        state.params, state.model_state, state.optimizer_state = restored
        for name, value in saved["progress"].items():
            setattr(state, name, value)
        states = [saved["random_state"], *saved.get("other_random_states", ())]
        has_own = len(states) == backend.num_processes
        backend.set_random_state(states[backend.process_index if has_own else 0])
        self.ledger.add_earlier(saved["ledger"])
        self.preemption_count = saved["preemption_count"] + 1
        read = type(self.hyperparameters)._read if self.hyperparameters is not None else set()
        read.update(saved["hyperparameters_read"])
        return saved["queue"]

    def _open_records(self) -> None:
        config = self.config
        self.logger = None
        self.progress = progress.Progress(
            config.workload.target_metric_name,
            config.workload.validation_target_value,
            config.budget_sec,
            enabled=self.is_main and not config.settings.quiet,
        )
        if not self.is_main:
            return
        self.together.record = self._record_failure_elsewhere
        config.folder.mkdir(parents=True, exist_ok=True)
        for left in (records.SUMMARY, records.STOP):  # Of a run that goes on now.
            (config.folder / left).unlink(missing_ok=True)
        if config.point is not None:
            records.write_json(config.folder / records.HPARAMS, config.point)
        records.write_json(config.folder / records.flags_file(self.preemption_count), config.flags())
        records.write_json(config.folder / records.meta_data_file(self.preemption_count), self._meta_data())
        last_step = self.state.global_step if self.preemption_count else -1
        self.logger = records.MetricsLogger(
            config.folder, self.backend.to_float, self.preemption_count, last_step=last_step
        )
        self.workload.attach_metrics_logger(self.logger)

    def _meta_data(self) -> dict[str, Any]:
        config = self.config
        facts = config.workload.to_dict()
        primitive = {
            f"workload.{key}": value for key, value in facts.items() if not isinstance(value, (dict, list))
        }
        return {
            **primitive,
            **machine.describe(),
            "rng_seed": config.settings.rng_seed,
            "seeds": self.seeds,
            "device": self.backend.describe_device(),
            "num_devices": self.backend.num_devices(),
            "global_batch_size": self.batch_size,
            "submission_path": str(config.submission.path),
            "submission_hash": config.submission.source_hash,
            "workload_spec": facts,
            "identity": config.identity(),
            "started": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        }

    # ---- training ----------------------------------------------------------------------------------------------

    def train(self) -> dict[str, Any]:
        """Runs the loop to its end and writes the summary; a crash of the submission is a status, not an exception."""
        config = self.config
        if self.set_up_error is not None:
            return self._finish("failed", self.together.announce(self.set_up_error))
        loop = TrainingLoop(
            self.workload,
            config.submission.module,
            self.hyperparameters,
            self.state,
            self.queue,
            self.ledger,
            self.step_keys,
            LoopOptions(
                budget_sec=config.budget_sec,
                eval_period_sec=config.workload.eval_period_time_sec,
                eval_every_steps=config.settings.eval_every_steps,
                max_steps=config.settings.max_global_steps,
                run_past_targets=config.settings.run_past_targets,
                skip_evals=config.settings.skip_evals,
            ),
            wants_train_state=config.submission.wants_train_state,
            on_evaluation=self._after_evaluation,
            on_progress=lambda state, seconds: self.progress.step(state.global_step, seconds),
        )
        error_text = None
        with _signals_to(loop):  # To the end, as a second signal must not cost the checkpoint of the first.
            try:
                status = loop.run()
            except Interrupted:
                self.stop_reason = processes.from_first(self.backend, self._read_stop_reason)
                if self.stop_reason is not None:
                    return self._finish("stopped", None)
                self._save_checkpoint()
                self._close()
                raise
            except UsageError as error:  # SubmissionError among them
                status, error_text = "failed", str(error)
            except Exception as error:
                status, error_text = "failed", traceback.format_exc()
                if self.backend.is_out_of_memory(error):
                    self.warnings.append(
                        "The device ran out of memory; use a smaller batch size or a larger device."
                    )
        if error_text is not None:
            error_text = self.together.announce(error_text)
        return self._finish(status, error_text)

    def _read_stop_reason(self) -> str | None:
        """Why whoever sent the signal wants no more of this trial; None where it is to go on some time."""
        path = self.config.folder / records.STOP
        return records.read_json(path)["reason"] if path.exists() else None

    def _after_evaluation(self, state: TrialState, metrics: dict[str, float]) -> None:
        ledger, workload = self.ledger, self.config.workload
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
            self.logger.flush()
        self.progress.evaluation(
            state.global_step,
            submission_sec,
            metrics.get(f"validation/{workload.target_metric_name}", math.nan),
        )
        self._save_checkpoint()

    def _save_checkpoint(self) -> None:
        ledger, state = self.ledger, self.state
        if not self.config.settings.save_checkpoints:
            return
        ledger.enter(clock.CHECKPOINT)
        training = self._saved_training()  # All processes have a part in what is saved.
        random_states = [self.backend.random_state()]
        if self.backend.exchange is not None:
            random_states = self.backend.exchange.gather(random_states[0])
        if not (self.is_main and self._can_checkpoint):
            return
        skipped = ("params", "model_state", "optimizer_state")
        saved_fields = [field.name for field in dataclasses.fields(TrialState) if field.name not in skipped]
        content = {
            "training": training,
            "progress": {name: getattr(state, name) for name in saved_fields},
            "queue": self.queue.state(),
            "random_state": random_states[0],
            "other_random_states": random_states[1:],
            "ledger": ledger.state(),
            "preemption_count": self.preemption_count,
            "identity": self.config.identity(),
            "hyperparameters_read": []
            if self.hyperparameters is None
            else sorted(type(self.hyperparameters)._read),
        }
        try:
            keep_older = self.config.settings.save_intermediate_checkpoints
            checkpoint.save(self.config.folder, state.global_step, content, keep_older)
        except (pickle.PicklingError, TypeError, AttributeError) as error:  # Raised for odd objects.
            self._can_checkpoint = False
            self.warnings.append(f"No checkpoints: the submission's state cannot be written ({error}).")
        ledger.enter(clock.OTHER)

    def _saved_training(self) -> Any:
        state = self.state
        saved = self.backend.save(state.params, state.model_state, state.optimizer_state)
        for entry in self.backend.unsaved:
            text = f"optimizer_state[{entry!r}] has no state_dict and is no plain data: resuming starts it afresh."
            if text not in self.warnings:
                self.warnings.append(text)
        return saved

    def _close(self) -> None:
        if self.queue is not None:
            self.queue.close()
        if self.logger is not None:
            self.logger.finish()

    # ---- the end -----------------------------------------------------------------------------------------------

    def _finish(self, status: str, error_text: str | None) -> dict[str, Any]:
        ledger, state = self.ledger, self.state
        if self.config.settings.skip_evals and status == "max_steps":
            self._save_checkpoint()  # Evaluations write it otherwise.
        ledger.enter(clock.LOGGING)
        if self.logger is not None:
            final = {records.SCORE: ledger.submission_ns * 1e-9}
            self.logger.append_scalar_metrics(final, state.global_step, self.preemption_count)
        try:
            self._close()
        except UsageError as error:  # Something that the submission logged after the last evaluation.
            status, error_text = "failed", error_text or str(error)
        except Exception:
            if not self.together.has_failed:  # Values may depend on a process that is gone.
                raise
        return self._write_summary(status, error_text)

    def _record_failed_set_up(self, reason: str) -> None:
        """Of a run of several processes, one of which has failed before the records were opened."""
        config = self.config
        # Another run's folder would have been refused, so nothing is written there.
        earlier = records.newest_meta_data(config.folder).get("identity", {})
        check_same(earlier, config.identity(), config.folder)
        names = ("framework", "suite", "trial", "budget_sec")
        summary = {
            "status": "failed",
            "submission": config.submission.name,
            "workload": config.workload.name,
            **{name: getattr(config, name) for name in names},
            "ruleset": config.settings.tuning_ruleset,
            "study": config.settings.study,
            "hyperparameters": config.point,
            "error": reason,
            "warnings": self.warnings,
            "identity": config.identity(),
        }
        config.folder.mkdir(parents=True, exist_ok=True)
        records.write_json(config.folder / records.SUMMARY, summary)

    def _record_failure_elsewhere(self, reason: str) -> None:
        """In the thread that heard of it: this process may wait for ever, so no device is asked for anything."""
        self._write_summary("failed", reason)

    def _write_summary(self, status: str, error_text: str | None) -> dict[str, Any]:
        balance = self.ledger.summary()
        if not balance["balanced"]:
            self.warnings.append(
                f"The time ledger adds up to {balance['total']:.2f} s of {balance['wall']:.2f} s."
            )
        summary = {
            **summaries.results(self, status),
            "ledger": balance,
            "error": error_text,
            "warnings": self.warnings,
        }
        if status == "stopped":
            summary["stop_reason"] = self.stop_reason
        if self.is_main:
            records.write_json(self.config.folder / records.SUMMARY, summary)
        return summary


@contextmanager
def _signals_to(loop: TrainingLoop) -> Iterator[None]:
    """SIGINT and SIGTERM ask the loop to stop at the next step; a second SIGINT stops at once."""

    def ask(number: int, frame: Any) -> None:
        del frame
        if loop.stop_signal and number == signal.SIGINT:
            raise KeyboardInterrupt
        loop.stop_signal = number
        with suppress(OSError):  # Whoever read it may be gone, which is why we are asked.
            print("\nStopping after this step; a checkpoint will be written.", file=sys.stderr)

    try:
        before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    except ValueError:  # Not in the main thread: whoever runs us there handles signals.
        yield
        return
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
