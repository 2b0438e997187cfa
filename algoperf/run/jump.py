"""An evaluation at the target right after one that was noise: the rule and its numbers, for referee and scoring."""

import math

NOISE_SHARE = 0.25
"""Of the way from untrained parameters to the target: what an evaluation has gone that is hardly better than these."""
HINT_SHARE = 0.05
"""Of the step hint: more updates between two evaluations may well be a whole training, on a fast machine."""


def share_of_way(untrained: float, value: float, target: float) -> float:
    """How far a metric has come from untrained parameters (0) to the target (1); NaN where there is no way to go.

    >>> share_of_way(0.0, 0.25, 1.0)
    0.25
    """
    way = target - untrained
    return (value - untrained) / way if way else math.nan


def is_jump(share_before: float, num_steps: float, step_hint: float | None) -> bool:
    """Whether a run that is at its target was hardly trained before (R12.15).

    None of 2,855 runs of public submissions and reference algorithms has done that (docs/referee.md).

    Args:
      share_before: of the way, at the evaluation before.
      num_steps: updates since then.
      step_hint: expected updates to the target; None where they are not known.

    >>> is_jump(0.1, 50, step_hint=2000), is_jump(0.1, 150, step_hint=2000), is_jump(0.3, 50, step_hint=2000)
    (True, False, False)
    """
    return share_before < NOISE_SHARE and not (step_hint and num_steps > HINT_SHARE * step_hint)
