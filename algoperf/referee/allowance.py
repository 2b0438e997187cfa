"""How long set-up and transfers may take off the clock: what goes beyond is submission time.

What is allowed is measured in the evaluator, which does the same without the submission.
"""

import dataclasses
from typing import Any

SET_UP_FACTOR = 1.5
"""On the time of a set-up without submission: processes that start side by side are slowed down unevenly."""
SET_UP_SEC = 3.0
"""On top of that: the libraries that submissions import, and an optimizer's state."""
TRANSFER_FACTOR = 1.5
"""On the measured time of a transfer."""
TRANSFER_PERIODS = 0.005
"""Seconds on top of that, for a second between evaluations: what does not depend on sizes."""
MAX_TRANSFER_SEC = 0.1
"""At most so many on top."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Speed:
    """How fast the evaluator does what the trainee does at a pause."""

    weights_sec: float
    """Seconds that it takes to copy all parameters into shared memory."""
    weights_bytes: int
    """Their size."""
    checkpoint_sec: float
    """Seconds that it takes to write a checkpoint with an optimizer state of twice that size."""
    checkpoint_bytes: int
    """The size of that."""

    def checkpoint_of(self, num_bytes: int) -> float:
        """Seconds for a checkpoint of another size."""
        return self.checkpoint_sec * max(1.0, num_bytes / max(1, self.checkpoint_bytes))


@dataclasses.dataclass(frozen=True)
class Effort:
    """What a set-up has taken."""

    wall_sec: float = 0.0
    cpu_sec: float = 0.0
    """Processor time of all processes."""


NONE = Effort()


def set_up(without_submission: Effort) -> Effort:
    """What a set-up may take off the clock.

    Args:
      without_submission: what the evaluator needed for the same.
    """
    return Effort(
        SET_UP_FACTOR * without_submission.wall_sec + SET_UP_SEC,
        SET_UP_FACTOR * without_submission.cpu_sec + SET_UP_SEC,
    )


def beyond(allowed: Effort, used: Effort) -> float:
    """Seconds beyond what is allowed: on a busy machine everything takes longer, and no more processor time.

    >>> beyond(Effort(10, 5), Effort(12, 5.5))
    0.5
    """
    return max(0.0, min(used.wall_sec - allowed.wall_sec, used.cpu_sec - allowed.cpu_sec))


def transfer_sec(speed: Speed, checkpoint_bytes: int, eval_period_sec: float) -> float:
    """Seconds off the clock for parameters and a checkpoint.

    Args:
      speed: as measured.
      checkpoint_bytes: size of the checkpoint; 0 for none.
      eval_period_sec: seconds between evaluations.
    """
    measured = speed.weights_sec + (speed.checkpoint_of(checkpoint_bytes) if checkpoint_bytes else 0.0)
    return TRANSFER_FACTOR * measured + min(MAX_TRANSFER_SEC, TRANSFER_PERIODS * eval_period_sec)


@dataclasses.dataclass
class Account:
    """What a kind of work was allowed, took, and was charged for, in seconds; over all parts of a run."""

    num: int = 0
    allowed_sec: float = 0.0
    used_sec: float = 0.0
    charged_sec: float = 0.0
    bytes: int = 0

    def add(
        self, allowed_sec: float, used_sec: float, num_bytes: int = 0, charged_sec: float | None = None
    ) -> float:
        """Enters one more; returns the seconds to be charged, by default all that is not allowed."""
        charged = max(0.0, used_sec - allowed_sec) if charged_sec is None else charged_sec
        self.num += 1
        self.allowed_sec += allowed_sec
        self.used_sec += used_sec
        self.charged_sec += charged
        self.bytes += num_bytes
        return charged

    def to_json(self) -> dict[str, Any]:
        """For the records."""
        return {name: round(value, 6) for name, value in dataclasses.asdict(self).items()}
