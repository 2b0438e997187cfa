"""The content of a checkpoint: taken from the objects of a trial, and put back into them."""

import dataclasses
import math
import pickle
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from algoperf import records, tuning
from algoperf.backends.base import Backend
from algoperf.data.queue import TrainingQueue
from algoperf.data.stream import Position
from algoperf.run import checkpoint, clock
from algoperf.run.config import TrialConfig
from algoperf.run.state import NO_TREES, TREES, TrialState
from algoperf.run.state_speed import Stopwatch
from algoperf.spec import Hyperparameters, UsageError


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
    """Names that the submission has asked for."""
    unsaved: tuple[str, ...] = ()
    """Parts of the optimizer state that are not in `training`, with the reasons."""
    accepted: tuple[str, ...] = ()
    """Changes of code or versions over which the run went on, as its user said (`--accept_changes`)."""
    path: Path | None = None
    """Of the file that this was read from."""
    damaged: tuple[str, ...] = ()
    """Newer files, which could not be read, with the reasons."""

    def to_content(self) -> dict[str, Any]:
        """What a checkpoint holds, of plain types but for `training` and the random states."""
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
            "unsaved": list(self.unsaved),
            "accepted": list(self.accepted),
        }

    @classmethod
    def from_content(cls, content: Mapping[str, Any]) -> "SavedRun":
        """The inverse of `to_content`, and of what version 1 wrote."""
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
            unsaved=tuple(content.get("unsaved", ())),
            accepted=tuple(content.get("accepted", ())),
        )

    def about(self) -> dict[str, Any]:
        """What can be read of a checkpoint whatever has become of the submission."""
        return {
            "identity": self.identity,
            "preemption_count": self.preemption_count,
            "num_evaluations": len(self.state.eval_results),
            "progress": {
                name: getattr(self.state, name) for name in ("global_step", "eval_results", "eval_times_sec")
            },
            "ledger": self.ledger,
            "unsaved": list(self.unsaved),
        }

    def warnings(self) -> list[str]:
        """What whoever goes on from this should know."""
        found = []
        if self.damaged:
            found.append(
                f"Continued from the older {self.path.name if self.path else 'checkpoint'}, as newer ones are damaged: "
                f"{', '.join(self.damaged)}."
            )
        step = self.state.global_step
        return [
            *found,
            *self.accepted,
            *(f"Continued at step {step} without {part}: it starts afresh." for part in self.unsaved),
        ]


def load(config: TrialConfig) -> SavedRun | None:
    """What the newest whole checkpoint of a trial holds; None where there are no checkpoints.

    Raises:
      UsageError: if it is of another trial, or of a later version, or there are checkpoints and none is whole.
    """
    found = checkpoint.find(config.folder)
    if found is None:
        return None
    # First, as a changed submission may be why the rest cannot be read. Both in the form that JSON gives them.
    changes = config.check_same(found.about.get("identity"))
    saved = SavedRun.from_content(found.content())
    told = (*saved.accepted, *accepted(saved.state.global_step, changes))
    return dataclasses.replace(saved, path=found.path, damaged=found.damaged, accepted=told)


def accepted(step: int, changes: Sequence[str]) -> tuple[str, ...]:
    """What to tell of changes over which a run goes on from a step; see `SavedRun.accepted`."""
    return tuple(f"From step {step} on with another {change}." for change in changes)


def started_over(folder: Path) -> str | None:
    """What to tell whoever starts at step 0 in the folder of a trial: whether it held more, which is dropped now."""
    try:
        steps = records.read_csv(folder / records.EVAL_MEASUREMENTS).get(records.GLOBAL_STEP, [])
    except (OSError, ValueError):  # None, or what the logger will complain about.
        return None
    if not steps:
        return None
    return f"Started over at step 0: {folder} held evaluations up to step {max(steps):.0f} and no checkpoint."


def restored(saved: SavedRun, backend: Backend, fresh: TrialState) -> TrialState:
    """The saved state, on the device; also sets the global random generators to their saved states.

    Args:
      saved: of any number of processes.
      backend: of the run.
      fresh: the state as initialised, whose trees say what is to be filled; they may be used up.

    Raises:
      UsageError: if it cannot be restored by these processes, with these sources.
    """
    try:
        trees = backend.restore(saved.training, fresh.params, fresh.model_state, fresh.optimizer_state)
    except UsageError:
        raise
    except Exception as error:  # The submission's own classes may have a part in it.
        raise checkpoint.cannot_restore(saved.path or Path("The checkpoint"), error) from error
    # Another number of processes than then: process 0's stands for all, as at the start of a run.
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
      store: keeps (step, content, header) of a checkpoint.
      allowed_sec: how long so many bytes of state may be taken off the clock; what goes beyond is charged (R6.24).
    """

    def __init__(
        self,
        config: TrialConfig,
        backend: Backend,
        ledger: clock.Ledger,
        queue: TrainingQueue | None,
        hyperparameters: Hyperparameters | None,
        earlier: SavedRun | None,
        store: Callable[[int, Mapping[str, object], Mapping[str, object]], None],
        allowed_sec: Callable[[int], float] = lambda num_bytes: math.inf,
    ):
        self._config, self._backend, self._ledger, self._queue = config, backend, ledger, queue
        self._hyperparameters, self._store, self._allowed_sec = hyperparameters, store, allowed_sec
        self._read_earlier: Sequence[str] = earlier.hyperparameters_read if earlier else ()
        self._preemption_count = earlier.preemption_count + 1 if earlier else 0
        self._accepted = earlier.accepted if earlier else ()
        self._can_write = True
        self._last_step = None if earlier is None else earlier.state.global_step
        self.taken = {"num": 0, "allowed_sec": 0.0, "used_sec": 0.0, "charged_sec": 0.0}
        """What taking the state was allowed, lasted, and was charged for, in this part of the run."""
        self.warnings: list[str] = []
        """About what could not be saved, told at once as well."""

    @property
    def promise(self) -> str:
        """What can be said before a checkpoint is tried, to somebody who stops the trial."""
        if not self._wants_any:
            return "no checkpoint was asked for"
        if not self._can_write:
            return "no checkpoint can be written"
        if self._last_step is None:
            return "a checkpoint will be written if the submission's state can be"
        return "a checkpoint will be written"

    def goes_on(self, global_step: int) -> str:
        """What the same command will do after a stop at this step."""
        if self._last_step is None:
            return "starts over, as there is no checkpoint"
        return (
            "continues from here"
            if self._last_step == global_step
            else f"continues from step {self._last_step}"
        )

    @property
    def _wants_any(self) -> bool:
        return self._config.settings.save_checkpoints and self._queue is not None

    def save(self, state: TrialState) -> None:
        """Writes a checkpoint, unless the trial wants none; called by all processes at once, off the clock."""
        if not self._wants_any:
            return
        self._ledger.enter(clock.CHECKPOINT)
        watch = Stopwatch(self._backend)
        # On all processes: gathering sharded arrays needs every one of them.
        training = self._saved_training(state)
        num_bytes = 0 if training is None else self._backend.saved_bytes(training)
        used_sec = watch.used_sec()
        self._ledger.enter(clock.CHECKPOINT)
        self._charge(used_sec, self._allowed_sec(num_bytes))
        random_states = [self._backend.random_state()]
        if self._backend.exchange is not None:
            random_states = self._backend.exchange.gather(random_states[0])
        if self._can_write:
            self._write(state, training, tuple(random_states))
        self._ledger.enter(clock.OTHER)

    def _charge(self, used_sec: float, allowed_sec: float) -> None:
        """Charges what taking the state has lasted beyond what is allowed, all of this part of the run together."""
        taken = self.taken
        taken["num"] += 1
        taken["used_sec"] += used_sec
        taken["allowed_sec"] += allowed_sec
        charged_sec = max(0.0, taken["used_sec"] - taken["allowed_sec"] - taken["charged_sec"])
        taken["charged_sec"] += charged_sec
        self._ledger.move(clock.CHECKPOINT, clock.UPDATE, round(charged_sec * 1e9))

    def _write(self, state: TrialState, training: Any, random_states: tuple[Any, ...]) -> None:
        """Writes what was gathered; process 0 alone has a folder."""
        before, self._last_step = self._last_step, state.global_step
        if self._backend.process_index != 0:
            return
        assert self._queue is not None
        saved = SavedRun(
            training=training,
            state=dataclasses.replace(state, **NO_TREES),
            queue=self._queue.state(),
            random_states=random_states,
            ledger=self._ledger.state(),
            preemption_count=self._preemption_count,
            identity=self._config.identity(),
            hyperparameters_read=tuple(
                sorted({*tuning.names_read(self._hyperparameters), *self._read_earlier})
            ),
            unsaved=tuple(self._backend.unsaved),
            accepted=self._accepted,
        )
        try:
            self._store(state.global_step, saved.to_content(), saved.about())
        except (pickle.PicklingError, TypeError, AttributeError) as error:  # Raised for odd objects.
            self._last_step = before
            self._give_up(error)

    def _saved_training(self, state: TrialState) -> Any:
        """What the backend makes of the trees; None where it cannot."""
        if not self._can_write and self._backend.num_processes == 1:
            return None
        try:
            saved = self._backend.save(state.params, state.model_state, state.optimizer_state)
        except UsageError:
            raise
        except Exception as error:  # Code of the submission has a part in it.
            self._give_up(error)
            return None
        for part in self._backend.unsaved:
            self.warn(f"Checkpoints are without {part}: a continued run starts it afresh.")
        return saved

    def _give_up(self, error: Exception) -> None:
        self._can_write = False
        self.warn(f"No checkpoints: the submission's state cannot be written ({error}).")

    def warn(self, text: str) -> None:
        """Tells something of the run, once, and keeps it for the summary."""
        if text in self.warnings:
            return
        self.warnings.append(text)
        if self._backend.process_index == 0 and not self._config.settings.quiet:
            print(f"warning: {text}", file=sys.stderr)
