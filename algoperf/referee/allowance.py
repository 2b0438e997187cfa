"""How long set-up and transfers may take off the clock: what goes beyond is submission time.

What is allowed is measured in the evaluator, which does the same without the submission. Both are compared without the
time in which a busy machine kept them waiting, and by their processor time; the smaller excess is charged. Where an
accelerator computes, processor time says little, and the first comparison decides alone.
"""

import dataclasses
from collections.abc import Iterable
from typing import Any

from algoperf import machine

SET_UP_FACTOR = 1.15
"""On the time of a set-up without submission: processes that start side by side slow each other down, unevenly."""
SET_UP_SEC = 1.0
"""On top of that: the submission's own modules, and an optimizer's state."""
TRANSFER_FACTOR = 1.5
"""On the measured time of a transfer."""
TRANSFER_PERIODS = 0.005
"""Seconds on top of that, for a second between evaluations: what does not depend on sizes."""
MAX_TRANSFER_SEC = 0.1
"""At most so many on top."""


@dataclasses.dataclass(frozen=True)
class Effort:
    """What something has taken."""

    wall_sec: float = 0.0
    cpu_sec: float = 0.0
    """Processor time of all processes."""
    waited_sec: float = 0.0
    """Of the wall time, what the main thread waited for a processor."""

    def undisturbed_sec(self, num_cores: int) -> float:
        """Wall time on a machine of its own: without the waiting that its own processes have not caused.

        >>> Effort(10, 4, waited_sec=3).undisturbed_sec(2), Effort(10, 18, waited_sec=3).undisturbed_sec(2)
        (7, 9.0)
        """
        return max(self.wall_sec - self.waited_sec, min(self.wall_sec, self.cpu_sec / num_cores))

    def plus(self, other: "Effort") -> "Effort":
        """Both, one after the other."""
        return Effort(
            self.wall_sec + other.wall_sec,
            self.cpu_sec + other.cpu_sec,
            self.waited_sec + other.waited_sec,
        )

    def minus(self, other: "Effort") -> "Effort":
        """What came after `other`, from readings at both times."""
        return self.plus(Effort(-other.wall_sec, -other.cpu_sec, -other.waited_sec))


NONE = Effort()


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast the evaluator does what the trainee does at a pause."""

    weights_sec: float
    """Seconds that it takes to copy all parameters into shared memory."""
    weights_cpu_sec: float
    """Processor time of that."""
    weights_bytes: int
    """Their size."""
    checkpoint_sec: float
    """Seconds that it takes to write a checkpoint with an optimizer state of twice that size."""
    checkpoint_cpu_sec: float
    """Processor time of that."""
    checkpoint_bytes: int
    """The size of that."""

    def transfer(self, checkpoint_bytes: int) -> Effort:
        """For the parameters and a checkpoint of another size; 0 bytes are none."""
        size = max(1.0, checkpoint_bytes / max(1, self.checkpoint_bytes)) if checkpoint_bytes else 0.0
        return Effort(
            self.weights_sec + size * self.checkpoint_sec,
            self.weights_cpu_sec + size * self.checkpoint_cpu_sec,
        )


def set_up(parts_without_submission: Iterable[Effort], num_processes: int = 1) -> Effort:
    """What a set-up may take off the clock.

    Args:
      parts_without_submission: what the evaluator needed for the same, in parts that follow each other.
      num_processes: how many of them train together, each of which does all of it.
    """
    total, cores = NONE, machine.num_cores()
    for part in parts_without_submission:
        total = total.plus(Effort(part.undisturbed_sec(cores), part.cpu_sec))
    return Effort(
        SET_UP_FACTOR * total.wall_sec + SET_UP_SEC,
        num_processes * (SET_UP_FACTOR * total.cpu_sec + SET_UP_SEC),
    )


def transfer(speed: Speed, checkpoint_bytes: int, eval_period_sec: float, num_processes: int = 1) -> Effort:
    """What parameters and a checkpoint may take off the clock.

    Args:
      speed: as measured.
      checkpoint_bytes: size of the checkpoint; 0 for none.
      eval_period_sec: seconds between evaluations.
      num_processes: how many train together; each of them writes its part, and they compare what they have.
    """
    measured = speed.transfer(checkpoint_bytes)
    extra = min(MAX_TRANSFER_SEC, TRANSFER_PERIODS * eval_period_sec)
    turns = 1 if num_processes == 1 else 2
    return Effort(
        TRANSFER_FACTOR * turns * measured.wall_sec + extra,
        num_processes * (TRANSFER_FACTOR * turns * measured.cpu_sec + extra),
    )


def beyond(allowed: Effort, used: Effort, has_accelerator: bool = False) -> float:
    """Seconds beyond what is allowed.

    On a busy machine everything takes longer and no more processor time, or not much more.

    Args:
      allowed: wall time on a machine of its own, and processor time.
      used: as measured.
      has_accelerator: whether another device than processors computes for it.

    >>> beyond(Effort(10, 5), Effort(12, 5.5)), beyond(Effort(10, 5), Effort(12, 5.5, waited_sec=3))
    (0.5, 0.0)
    """
    more = used.undisturbed_sec(machine.num_cores()) - allowed.wall_sec
    if not has_accelerator:
        more = min(more, used.cpu_sec - allowed.cpu_sec)
    return max(0.0, more)


def beyond_set_up(allowed: Effort, used: Effort, has_accelerator: bool = False) -> float:
    """`beyond` for a set-up, in which nothing else may compute beside it.

    What other threads and processes use up while the main thread sets up is a part of neither excess; it is charged as
    if all processors had shared it. (Beside a transfer the harness itself makes batches ahead.)

    >>> beyond_set_up(Effort(10, 5), Effort(9, 5 + 3 * machine.num_cores()))
    3.0
    """
    shared = (used.cpu_sec - allowed.cpu_sec) / machine.num_cores()
    return max(beyond(allowed, used, has_accelerator), shared)


@dataclasses.dataclass
class Account:
    """What a kind of work was allowed, took, and was charged for, in seconds; over all parts of a run."""

    num: int = 0
    allowed_sec: float = 0.0
    used_sec: float = 0.0
    charged_sec: float = 0.0
    bytes: int = 0
    allowed_cpu_sec: float = 0.0
    used_cpu_sec: float = 0.0
    waited_sec: float = 0.0
    """Of `used_sec`, what the main thread waited for a processor."""

    def add(self, allowed: Effort, used: Effort, charged_sec: float, num_bytes: int = 0) -> float:
        """Enters one more; returns the seconds to be charged."""
        self.num += 1
        self.allowed_sec += allowed.wall_sec
        self.allowed_cpu_sec += allowed.cpu_sec
        self.used_sec += used.wall_sec
        self.used_cpu_sec += used.cpu_sec
        self.waited_sec += used.waited_sec
        self.charged_sec += charged_sec
        self.bytes += num_bytes
        return charged_sec

    def to_json(self) -> dict[str, Any]:
        """For the records."""
        return {name: round(value, 6) for name, value in dataclasses.asdict(self).items()}
