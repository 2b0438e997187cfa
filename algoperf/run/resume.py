"""The content of a checkpoint: taken from the objects of a trial, and put back into them."""

import dataclasses
import pickle
from collections.abc import Mapping, Sequence
from typing import Any

from algoperf import tuning
from algoperf.backends.base import Backend
from algoperf.data.queue import TrainingQueue
from algoperf.data.stream import Position
from algoperf.run import checkpoint, clock
from algoperf.run.config import TrialConfig
from algoperf.run.identity import check_same
from algoperf.run.training import TrialState
from algoperf.spec import Hyperparameters

TREES = ("params", "model_state", "optimizer_state")
"""Fields of `TrialState` that only a backend can save."""
NO_TREES: dict[str, Any] = dict.fromkeys(TREES)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SavedRun:
    """Everything that a trial needs to continue exactly where it was."""

    training: Any
    """Parameters, model state and optimizer state, as `Backend.save` gives them."""
    state: TrialState
    """The rest of the trial's state; `TREES` are None."""
    queue: Position
    """Position of the training queue."""
    random_states: tuple[Any, ...]
    """State of the global random generators, one entry per process."""
    ledger: dict[str, int]
    """See `clock.Ledger.state`."""
    preemption_count: int
    """Number of restarts of the run that saved this."""
    identity: dict[str, Any]
    hyperparameters_read: tuple[str, ...]
    """Names of hyperparameters that the submission has read."""

    def to_content(self) -> dict[str, Any]:
        """The content of a checkpoint of version 1; plain types, except for `training` and the random states."""
        fields = dataclasses.fields(TrialState)
        return {
            "training": self.training,
            "progress": {
                field.name: getattr(self.state, field.name) for field in fields if field.name not in TREES
            },
            "queue": self.queue,
            "random_state": self.random_states[0],
            "other_random_states": list(self.random_states[1:]),
            "ledger": self.ledger,
            "preemption_count": self.preemption_count,
            "identity": self.identity,
            "hyperparameters_read": list(self.hyperparameters_read),
        }

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "SavedRun":
        """The inverse of `to_content`."""
        return cls(
            training=content["training"],
            state=TrialState(**NO_TREES, **content["progress"]),
            queue=content["queue"],
            # Early checkpoints of version 1 lack this key: only process 0's state was saved.
            random_states=(content["random_state"], *content.get("other_random_states", ())),
            ledger=content["ledger"],
            preemption_count=content["preemption_count"],
            identity=content["identity"],
            hyperparameters_read=tuple(content["hyperparameters_read"]),
        )


def load(config: TrialConfig) -> SavedRun | None:
    """The content of the newest readable checkpoint of a trial; None if there is none.

    Raises:
      UsageError: if it belongs to another trial, or a later version wrote it.
    """
    content = checkpoint.load(config.folder)
    if content is None:
        return None
    saved = SavedRun.from_content(content)
    check_same(saved.identity, config.identity(), config.folder)
    return saved


def restored(saved: SavedRun, backend: Backend, fresh: TrialState) -> TrialState:
    """The saved state, on the device; also sets the global random generators to their saved states.

    Args:
      saved: the checkpoint, written by any number of processes.
      backend: the backend of the run.
      fresh: the newly initialised state. Its trees give the structure to fill; their arrays may be reused.
    """
    trees = backend.restore(saved.training, fresh.params, fresh.model_state, fresh.optimizer_state)
    # If the number of processes has changed, all get process 0's state: equal states, as at the start of a run.
    has_own = len(saved.random_states) == backend.num_processes
    backend.set_random_state(saved.random_states[backend.process_index if has_own else 0])
    return dataclasses.replace(saved.state, **dict(zip(TREES, trees, strict=True)))


class Checkpoints:
    """Writes the checkpoints of a running trial.

    Args:
      config: says whether and where to write, and whether older checkpoints are kept.
      backend: saves the trees.
      ledger: the open time ledger.
      queue: the training queue; None if set-up failed, and then nothing is saved.
      hyperparameters: the namedtuple, or None.
      earlier: the checkpoint from which this run continued, or None.
    """

    def __init__(
        self,
        config: TrialConfig,
        backend: Backend,
        ledger: clock.Ledger,
        queue: TrainingQueue | None,
        hyperparameters: Hyperparameters | None,
        earlier: SavedRun | None,
    ):
        self._config, self._backend, self._ledger, self._queue = config, backend, ledger, queue
        self._hyperparameters = hyperparameters
        self._read_earlier: Sequence[str] = earlier.hyperparameters_read if earlier else ()
        self._preemption_count = earlier.preemption_count + 1 if earlier else 0
        self._can_write = True
        self.warnings: list[str] = []
        """Warnings about what could not be saved."""

    def save(self, state: TrialState) -> None:
        """Writes a checkpoint unless checkpoints are off. All processes must call it together; off the clock."""
        if not self._config.settings.save_checkpoints or self._queue is None:
            return
        self._ledger.enter(clock.CHECKPOINT)
        # On all processes: gathering sharded arrays needs every one of them.
        training = self._saved_training(state)
        random_states = [self._backend.random_state()]
        if self._backend.exchange is not None:
            random_states = self._backend.exchange.gather(random_states[0])
        # Only process 0 writes, but all processes have reached this point: the gathers above are collective.
        if self._backend.process_index == 0 and self._can_write:
            saved = SavedRun(
                training=training,
                state=dataclasses.replace(state, **NO_TREES),
                queue=self._queue.state(),
                random_states=tuple(random_states),
                ledger=self._ledger.state(),
                preemption_count=self._preemption_count,
                identity=self._config.identity(),
                hyperparameters_read=tuple(
                    sorted({*tuning.names_read(self._hyperparameters), *self._read_earlier})
                ),
            )
            self._write(state.global_step, saved)
        self._ledger.enter(clock.OTHER)

    def _write(self, global_step: int, saved: SavedRun) -> None:
        keep_older = self._config.settings.save_intermediate_checkpoints
        try:
            checkpoint.save(self._config.folder, global_step, saved.to_content(), keep_older)
        # Raised for objects that do not pickle.
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            self._can_write = False
            self.warnings.append(f"No checkpoints: the submission's state cannot be written ({error}).")

    def _saved_training(self, state: TrialState) -> Any:
        saved = self._backend.save(state.params, state.model_state, state.optimizer_state)
        for entry in self._backend.unsaved:
            text = f"optimizer_state[{entry!r}] has no state_dict and is no plain data: resuming starts it afresh."
            if text not in self.warnings:
                self.warnings.append(text)
        return saved
