"""`--debug`: a few updates and one evaluation of a submission that is being written, off the record."""

import contextlib
import time
from collections.abc import Mapping
from typing import Any

from algoperf import backends, registry
from algoperf.bound_workload import Workload
from algoperf.commands import EXIT_FAILED
from algoperf.data.batch import shard_options
from algoperf.evaluation import numbers_of
from algoperf.preflight import host, start
from algoperf.preflight.few import few
from algoperf.preflight.finite import Seen
from algoperf.preflight.off_the_record import off_the_record
from algoperf.preflight.shortened import shortened
from algoperf.run import clock, pauses, runner
from algoperf.run.config import TrialConfig
from algoperf.run.session import Session
from algoperf.run.state import TrialState
from algoperf.run.study import StudyPlan
from algoperf.run.summary import Summary
from algoperf.settings import RunSettings

NUM_UPDATES = 5
"""Unless --max_global_steps says otherwise."""


def run(settings: RunSettings, batch_size: int | None = None) -> int:
    """Tries the first of the trials that the settings ask for, and says what happens; writes no file.

    Args:
      settings: of the command.
      batch_size: examples per update over all devices, instead of what `get_batch_size` says.

    Returns:
      0, or 1 if the submission fails, or computes what is not finite.

    Raises:
      UsageError: for mistakes of the user.
    """
    begun = time.perf_counter()
    plan = StudyPlan.of(settings)
    start.check(plan, "--debug")
    print(
        f"debug: {settings.given_submission} on {plan.workload.name} with {plan.framework}; nothing is recorded"
    )
    backends.launch(plan.framework).prepare()  # Before the submission is imported.
    watching = Host(begun, settings.max_global_steps or NUM_UPDATES, batch_size)
    # Compiling takes longer than all that follows.
    tried = off_the_record(plan, [watching.num_updates], torch_compile=False)
    ended = runner.run_trial(tried, plan.trials[0], clock.Ledger(), watching)
    for warning in ended.warnings or ():
        print(f"  hint: {warning}")
    if ended.status != "failed":
        print("no problem was found")
        return 0
    print(shortened(str(ended.error)).rstrip())
    return EXIT_FAILED


class Host(host.Host):
    """See `session.Host`. It looks at what each update computes.

    Args:
      begun: reading of `time.perf_counter` when the command began.
      num_updates: after which to evaluate and end.
      batch_size: instead of the submission's own.
    """

    def __init__(self, begun: float, num_updates: int, batch_size: int | None):
        super().__init__(lambda kind, content: None, batch_size)
        self.num_updates = num_updates
        self._begun, self._seen = begun, Seen()
        self._settle: Any = None
        self._workload: Workload | None = None

    def enter(self, name: str | None) -> None:
        del name  # Memory is not looked at.

    def begin(self, config: TrialConfig, claims: contextlib.ExitStack) -> Summary | None:
        self._look_at(config.submission.module)
        return super().begin(config, claims)

    def _look_at(self, module: Any) -> None:
        own_update = module.update_params

        def update_params(**arguments: Any) -> Any:
            began = time.perf_counter()
            returned = own_update(**arguments)
            assert self._workload is not None
            self._workload.backend.wait()
            self._settle()
            seconds = time.perf_counter() - began
            number = arguments["global_step"] + 1
            try:
                _, params, model_state = returned
            except (TypeError, ValueError):
                return returned  # No triple: the training loop says so.
            self._workload.model.check_update(params, model_state)
            weights = self._workload.model.weights(params, model_state)
            print(f"  update {number}: {self._seen.check(number, weights)}, {seconds:.3f} s")
            return returned

        vars(module)["update_params"] = update_params

    def make_evaluator(self, workload: Workload) -> None:
        workload.data_module = few(workload.data_module)
        workload.evaluator  # noqa: B018 - made on first use: missing data are found now
        self._workload = workload
        self._settle = workload.backend.watch(workload, self._seen.take)

    def see_initial(self, workload: Workload, state: TrialState) -> None:
        del workload, state

    def say(self, **facts: Any) -> None:
        if "batch_size" in facts:
            print(f"  batch of {facts['batch_size']} on {facts['device']}")

    def pauses(self, session: Session) -> pauses.Pauses:
        print(f"  set up in {time.perf_counter() - self._begun:.1f} s")
        return _Once(self, session)


class _Once:
    """See `pauses.Pauses`: evaluates once, then ends the training."""

    def __init__(self, own: Host, session: Session):
        self._host, self._session = own, session

    def evaluate(self, state: TrialState) -> bool:
        began = time.perf_counter()
        metrics = _evaluated(self._session.workload, state)
        words = ", ".join(f"{name} {value:.6g}" for name, value in metrics.items())
        print(f"  evaluation of one batch: {words}, {time.perf_counter() - began:.3f} s")
        state.training_complete = True
        return True

    def pause(self, state: TrialState) -> None:
        del state


def _evaluated(workload: Workload, state: TrialState) -> Mapping[str, float]:
    """Metrics of the first batch of the validation split."""
    spec, backend, model = workload.spec, workload.backend, workload.model
    devices = backend.num_devices()
    size = -(-spec.eval_batch_size // devices) * devices
    folder, data = workload.evaluator.folder, workload.data_module
    metrics = registry.metrics_module(spec).make_metrics(spec, folder)
    batch = next(iter(data.eval_batches(spec, folder, "validation", size, **shard_options(data, devices))))
    metrics.update(batch, model.eval_step(state.params, state.model_state, model.eval_to_device(batch)))
    return numbers_of(spec, metrics.result())
