"""Learning-rate schedules, written once for both frameworks.

A schedule maps the number of updates made so far (0 at the first update) to the learning rate of the next update. It
computes with `numbers`: any namespace with `where`, `minimum`, `maximum`, `cos` and `exp`. PyTorch submissions use the
default with Python integers; JAX submissions pass `numbers=jax.numpy` and a traced step. A schedule with warm-up
starts at exactly 0. Schedules depend only on the step, so a resumed run continues exactly.

`cosine` and `linear` read their settings from hyperparameters, under the names of all search spaces here.
"""

import math
from collections.abc import Callable
from typing import Any, Protocol

from algoperf import spec

Number = Any
"""A Python number or a traced scalar of JAX, which this file must not import."""
Schedule = Callable[[Number], Number]


class Numbers(Protocol):
    """The functions that a schedule computes with; `jax.numpy` has them too."""

    def where(self, condition: Number, if_true: Number, if_false: Number, /) -> Number: ...
    def minimum(self, a: Number, b: Number, /) -> Number: ...
    def maximum(self, a: Number, b: Number, /) -> Number: ...
    def cos(self, x: Number, /) -> Number: ...
    def exp(self, x: Number, /) -> Number: ...


class PythonNumbers:
    """`Numbers` for Python's own numbers: makes no arrays and queues nothing on a device."""

    minimum, maximum = staticmethod(min), staticmethod(max)
    cos, exp = staticmethod(math.cos), staticmethod(math.exp)

    @staticmethod
    def where(condition: bool, if_true: float, if_false: float, /) -> float:
        return if_true if condition else if_false


PYTHON_NUMBERS: Numbers = PythonNumbers()


def cosine(
    hyperparameters: spec.Hyperparameters, step_hint: int, numbers: Numbers = PYTHON_NUMBERS
) -> Schedule:
    """`warmup_then_cosine` with the hyperparameters `learning_rate` and `warmup_factor`."""
    return warmup_then_cosine(
        hyperparameters.learning_rate,
        warmup_factor=hyperparameters.warmup_factor,
        step_hint=step_hint,
        numbers=numbers,
    )


def constant(hyperparameters: spec.Hyperparameters) -> Schedule:
    """`learning_rate` at every step, for rules with a warm-up of their own or without one.

    >>> from types import SimpleNamespace
    >>> constant(SimpleNamespace(learning_rate=0.1))(1000)
    0.1
    """
    return lambda step: hyperparameters.learning_rate


def linear(
    hyperparameters: spec.Hyperparameters, step_hint: int, numbers: Numbers = PYTHON_NUMBERS
) -> Schedule:
    """`warmup_then_linear` with the hyperparameters of `cosine`, `decay_steps_factor` and `end_factor`."""
    return warmup_then_linear(
        hyperparameters.learning_rate,
        warmup_factor=hyperparameters.warmup_factor,
        decay_steps_factor=hyperparameters.decay_steps_factor,
        end_factor=hyperparameters.end_factor,
        step_hint=step_hint,
        numbers=numbers,
    )


def warmup_then_cosine(
    learning_rate: float, *, warmup_factor: float, step_hint: int, numbers: Numbers = PYTHON_NUMBERS
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
      numbers: the arithmetic functions; see the head of this file.

    >>> schedule = warmup_then_cosine(0.1, warmup_factor=0.2, step_hint=10)
    >>> [round(schedule(step), 4) for step in (0, 1, 2, 6, 10, 11)]
    [0.0, 0.05, 0.1, 0.05, 0.0, 0.0]
    """
    warmup_steps, remaining_steps = _phases(warmup_factor, step_hint)

    def schedule(step: Number) -> Number:
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
    numbers: Numbers = PYTHON_NUMBERS,
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
      numbers: the arithmetic functions; see the head of this file.

    >>> schedule = warmup_then_linear(
    ...     1.0, warmup_factor=0.2, decay_steps_factor=0.5, end_factor=0.2, step_hint=10)
    >>> [round(schedule(step), 4) for step in (0, 1, 2, 4, 6, 7)]
    [0.0, 0.5, 1.0, 0.6, 0.2, 0.2]
    """
    warmup_steps, remaining_steps = _phases(warmup_factor, step_hint)
    # Truncated, like the warm-up.
    decay_steps = int(remaining_steps * decay_steps_factor)

    def schedule(step: Number) -> Number:
        # Without decay steps the constant begins right after the warm-up; the division by 0 is avoided.
        progress = _progress(step, warmup_steps, decay_steps, numbers) if decay_steps > 0 else 1.0
        # In this form the last value is exactly end_factor; 1 - (1 - end_factor) is rounded in float32.
        line = end_factor + (1 - end_factor) * (1 - progress)
        return learning_rate * numbers.where(step < warmup_steps, step / max(warmup_steps, 1), line)

    return schedule


def _phases(warmup_factor: float, step_hint: int) -> tuple[int, int]:
    """(steps of the warm-up, steps after it)."""
    if not 0 <= warmup_factor <= 1:
        raise ValueError(f"warmup_factor is a share of the steps, in [0, 1]; got {warmup_factor!r}.")
    # Truncated, as in AlgoPerf's baselines.
    warmup_steps = int(warmup_factor * step_hint)
    return warmup_steps, int(step_hint) - warmup_steps


def _progress(step: Number, begin: int, length: int, numbers: Numbers) -> Number:
    """0 until `begin`, 1 from `begin + length` on."""
    # Clamped, because steps after the planned end are possible: step_hint is only an estimate of the budget.
    return numbers.minimum(numbers.maximum(step - begin, 0) / length, 1.0)
