"""How much of AdEMAMix's slow average counts at a step, and how slow it is: the same in both frameworks."""

import math
from typing import NamedTuple

from algoperf import spec
from reference_algorithms.shared.schedules import PYTHON_NUMBERS, Number, Numbers


class SlowAverage(NamedTuple):
    """Both rise over `num_steps` updates, so that an average that has seen little does not lead early on."""

    final_alpha: float
    """Weight of the slow average in the end."""
    first_beta: float
    """β1, the decay of the fast average; the slow one begins there."""
    final_beta: float
    """β3 in the end."""
    num_steps: int

    @classmethod
    def of(cls, hyperparameters: spec.Hyperparameters, step_hint: int) -> "SlowAverage":
        """The rise takes as long as the schedule of the learning rate."""
        return cls(
            hyperparameters.alpha,
            1 - hyperparameters.one_minus_beta1,
            1 - hyperparameters.one_minus_beta3,
            int(step_hint),
        )

    def alpha(self, step: Number, numbers: Numbers = PYTHON_NUMBERS) -> Number:
        """The weight at update number `step` (from 0): a straight line from 0.

        >>> SlowAverage(8.0, 0.9, 0.999, 100).alpha(25)
        2.0
        """
        return self.final_alpha * self._progress(step, numbers)

    def beta3(self, step: Number, numbers: Numbers = PYTHON_NUMBERS) -> Number:
        """β3 of the update number `step` (from 0): its half-life grows on a straight line.

        >>> slow = SlowAverage(8.0, 0.5, 0.5 ** (1 / 100), 100)
        >>> [round(math.log(0.5) / math.log(slow.beta3(step)), 6) for step in (0, 50, 100, 200)]
        [1.0, 50.5, 100.0, 100.0]
        """
        begin, end = (1 / math.log(beta) for beta in (self.first_beta, self.final_beta))
        # exp(1 / (half-life / ln 0.5)), which is 0.5 ** (1 / half-life).
        return numbers.exp(1 / (begin + (end - begin) * self._progress(step, numbers)))

    def _progress(self, step: Number, numbers: Numbers) -> Number:
        return numbers.minimum(step / max(self.num_steps, 1), 1.0)
