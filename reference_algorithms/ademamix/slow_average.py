"""Schedules of the weight and the decay of AdEMAMix's slow average, the same in both frameworks."""

import math
from typing import NamedTuple

from algoperf import spec
from reference_algorithms.shared.schedules import PYTHON_NUMBERS, Number, Numbers


class SlowAverage(NamedTuple):
    """Both values rise over `num_steps` updates, so the slow average has little weight before it has seen much."""

    final_alpha: float
    """Weight of the slow average after `num_steps` updates."""
    first_beta: float
    """β1, the decay of the fast average, from which β3 starts."""
    final_beta: float
    """β3 after `num_steps` updates."""
    num_steps: int

    @classmethod
    def of(cls, hyperparameters: spec.Hyperparameters, step_hint: int) -> "SlowAverage":
        """The schedules for a trial's hyperparameters; `num_steps` is `step_hint`."""
        return cls(
            hyperparameters.alpha,
            1 - hyperparameters.one_minus_beta1,
            1 - hyperparameters.one_minus_beta3,
            int(step_hint),
        )

    def alpha(self, step: Number, numbers: Numbers = PYTHON_NUMBERS) -> Number:
        """Weight of the slow average at update number `step` (from 0); rises linearly from 0.

        >>> SlowAverage(8.0, 0.9, 0.999, 100).alpha(25)
        2.0
        """
        return self.final_alpha * self._progress(step, numbers)

    def beta3(self, step: Number, numbers: Numbers = PYTHON_NUMBERS) -> Number:
        """β3 at update number `step` (from 0); its half-life rises linearly (appendix of the paper).

        >>> slow = SlowAverage(8.0, 0.5, 0.5 ** (1 / 100), 100)
        >>> [round(math.log(0.5) / math.log(slow.beta3(step)), 6) for step in (0, 50, 100, 200)]
        [1.0, 50.5, 100.0, 100.0]
        """
        begin, end = (1 / math.log(beta) for beta in (self.first_beta, self.final_beta))
        # A decay β has half-life ln 0.5 / ln β, so 1 / ln β is interpolated; ln 0.5 cancels.
        return numbers.exp(1 / (begin + (end - begin) * self._progress(step, numbers)))

    def _progress(self, step: Number, numbers: Numbers) -> Number:
        return numbers.minimum(step / max(self.num_steps, 1), 1.0)
