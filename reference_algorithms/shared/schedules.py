"""Learning-rate schedules, written once for both frameworks.

A schedule maps the number of updates made so far (0 at the first update) to the learning rate of the next
one. It computes with `numbers`: any namespace with `where`, `minimum`, `maximum`, `cos` and `exp`. PyTorch
submissions pass Python integers and leave the default; JAX submissions pass `numbers=jax.numpy` and a traced
step. Both start at exactly 0 if there is a warm-up, and neither depends on anything but the step, so a
resumed run continues exactly.
"""

import math
import types
from collections.abc import Callable
from typing import Any

Schedule = Callable[[Any], Any]

PYTHON_NUMBERS = types.SimpleNamespace(
    where=lambda condition, if_true, if_false: if_true if condition else if_false,
    minimum=min,
    maximum=max,
    cos=math.cos,
    exp=math.exp,
)


def warmup_then_cosine(
    learning_rate: float, *, warmup_factor: float, step_hint: int, numbers: Any = PYTHON_NUMBERS
) -> Schedule:
    r"""Linear warm-up from 0, then half a cosine down to 0, then 0 for ever.

    With :math:`W = \lfloor \text{warmup\_factor} \cdot T \rfloor` and :math:`C = \max(T - W, 1)`:

    .. math::
        \eta_s = \begin{cases}
          \text{lr} \cdot s / W & s < W \\
          \text{lr} \cdot \tfrac{1}{2} (1 + \cos(\pi (s - W) / C)) & W \le s \le W + C \\
          0 & s > W + C
        \end{cases}

    Args:
      learning_rate: the peak, reached at step W.
      warmup_factor: share of the steps spent warming up, in [0, 1].
      step_hint: T, the number of updates that the schedule is made for.
      numbers: where the arithmetic comes from; see the head of this file.

    >>> schedule = warmup_then_cosine(0.1, warmup_factor=0.2, step_hint=10)
    >>> [round(schedule(step), 4) for step in (0, 1, 2, 6, 10, 11)]
    [0.0, 0.05, 0.1, 0.05, 0.0, 0.0]
    """
    warmup_steps, remaining_steps = _phases(warmup_factor, step_hint)

    def schedule(step: Any) -> Any:
        progress = _progress(step, warmup_steps, max(remaining_steps, 1), numbers)
        cosine = 0.5 * (1 + numbers.cos(math.pi * progress))
        return learning_rate * numbers.where(step < warmup_steps, step / max(warmup_steps, 1), cosine)

    return schedule


def warmup_then_linear(
    learning_rate: float,
    *,
    warmup_factor: float,
    decay_steps_factor: float,
    end_factor: float,
    step_hint: int,
    numbers: Any = PYTHON_NUMBERS,
) -> Schedule:
    r"""Linear warm-up from 0, then a straight line down to a share of the peak, then constant.

    With W as in `warmup_then_cosine`, :math:`D = \lfloor (T - W) \cdot \text{decay\_steps\_factor} \rfloor`:

    .. math::
        \eta_s = \begin{cases}
          \text{lr} \cdot s / W & s < W \\
          \text{lr} \cdot (1 - (1 - \text{end\_factor}) (s - W) / D) & W \le s < W + D \\
          \text{lr} \cdot \text{end\_factor} & s \ge W + D
        \end{cases}

    Args:
      learning_rate: the peak, reached at step W.
      warmup_factor: share of the steps spent warming up, in [0, 1].
      decay_steps_factor: share of the steps after the warm-up on which the rate falls, in [0, 1].
      end_factor: the constant at the end, relative to the peak.
      step_hint: T, the number of updates that the schedule is made for.
      numbers: where the arithmetic comes from; see the head of this file.

    >>> schedule = warmup_then_linear(
    ...     1.0, warmup_factor=0.2, decay_steps_factor=0.5, end_factor=0.2, step_hint=10)
    >>> [round(schedule(step), 4) for step in (0, 1, 2, 4, 6, 7)]
    [0.0, 0.5, 1.0, 0.6, 0.2, 0.2]
    """
    warmup_steps, remaining_steps = _phases(warmup_factor, step_hint)
    decay_steps = int(remaining_steps * decay_steps_factor)

    def schedule(step: Any) -> Any:
        # No decay steps at all: the constant begins right after the warm-up.
        progress = _progress(step, warmup_steps, decay_steps, numbers) if decay_steps > 0 else 1.0
        # Written so that the end is exact in float32; 1 - (1 - end_factor) is not.
        line = end_factor + (1 - end_factor) * (1 - progress)
        return learning_rate * numbers.where(step < warmup_steps, step / max(warmup_steps, 1), line)

    return schedule


def _phases(warmup_factor: float, step_hint: int) -> tuple[int, int]:
    """Steps of the warm-up, truncated, and steps after it."""
    if not 0 <= warmup_factor <= 1:
        raise ValueError(f"warmup_factor is a share of the steps, in [0, 1]; got {warmup_factor!r}.")
    warmup_steps = int(warmup_factor * step_hint)
    return warmup_steps, int(step_hint) - warmup_steps


def _progress(step: Any, begin: int, length: int, numbers: Any) -> Any:
    """0 until `begin`, 1 from `begin + length` on."""
    return numbers.minimum(numbers.maximum(step - begin, 0) / length, 1.0)
