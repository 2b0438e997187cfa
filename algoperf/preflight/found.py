"""What a preflight has found out about one submission on one workload, as data."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from algoperf import typed_json

START, DATA, MODEL, OPTIMIZER, QUEUE = ("start", "data", "model", "optimizer state", "first batch")
FIRST, EVALUATION, CHECKPOINT, SECOND, MORE = (
    *("first update", "evaluation", "checkpoint", "second update", "more updates"),
)
PHASES = (START, DATA, MODEL, OPTIMIZER, QUEUE, FIRST, EVALUATION, CHECKPOINT, SECOND, MORE)
"""In the order in which a trial has them. Only the last may be missing from one that went well."""
OF_BATCH = (QUEUE, FIRST, CHECKPOINT, SECOND, MORE)
"""Phases in which a smaller batch may be what helps."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Phase:
    """One phase of a preflight."""

    name: str
    """One of `PHASES`."""
    seconds: float
    """Wall time."""
    host_bytes: int
    """Largest resident size of the process meanwhile; so far, where the system cannot tell phases apart."""
    device_bytes: int | None = None
    """Largest size on the first accelerator so far; None on a processor."""

    @property
    def peak_bytes(self) -> int:
        """Of the memory in which the training is."""
        return self.host_bytes if self.device_bytes is None else self.device_bytes


@dataclasses.dataclass(frozen=True, kw_only=True)
class Facts:
    """What a trial says of itself in its phases; None is not known yet."""

    device: str | None = None
    """As in the records, for example 'cpu (2 cores)'."""
    device_total_bytes: int | None = None
    """Memory of the first accelerator; None on a processor."""
    batch_size: int | None = None
    """Examples per update over all devices."""
    eval_batch_size: int | None = None
    """Examples per batch of an evaluation."""
    num_params: int | None = None
    """Numbers in the parameters, and in statistics such as batch norm's."""
    params_bytes: int | None = None
    """Their size."""
    optimizer_bytes: int | None = None
    """Size of the arrays in the optimizer's state after one update, without the parameters."""
    checkpoint_bytes: int | None = None
    """Size of the trees of a checkpoint; None where the state cannot be written."""
    first_update_sec: float | None = None
    """The first update, with what is compiled for it."""
    update_secs: tuple[float, ...] = ()
    """Each of the later ones."""
    first_eval_sec: float | None = None
    """The first batch of an evaluation, with what is compiled for it."""
    eval_batch_sec: float | None = None
    """The same once more."""
    eval_batch_bytes: int | None = None
    """Size of such a batch on the host, where evaluation batches are kept as long as they fit."""


FITS, OUT_OF_MEMORY, FAILED = "fits", "out of memory", "failed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Found:
    """How one preflight went."""

    status: str
    """`FITS`, `OUT_OF_MEMORY` or `FAILED`."""
    phases: tuple[Phase, ...]
    """Those that ended."""
    facts: Facts
    stopped_in: str | None = None
    """The phase that did not end well."""
    error: str | None = None
    """The end of what was said of it."""

    def phase(self, name: str) -> Phase | None:
        """A phase that ended; None of another."""
        return next((one for one in self.phases if one.name == name), None)

    @property
    def peak_bytes(self) -> int:
        """Of all phases, of the memory in which the training is."""
        return max((one.peak_bytes for one in self.phases), default=0)

    @property
    def host_bytes(self) -> int:
        """Of all phases, on the host."""
        return max((one.host_bytes for one in self.phases), default=0)


def phase_of(content: Mapping[str, Any]) -> Phase:
    """A phase from the fields of a message."""
    return typed_json.typed(Phase, dict(content))


def facts_of(content: Mapping[str, Any]) -> Facts:
    """Facts from the fields of messages, in the form that JSON gives them."""
    return typed_json.typed(Facts, dict(content))
