"""What "better" means for a metric: the one place that knows what its direction stands for."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:  # Every command imports this module, and NumPy takes 0.1 s.
    import numpy as np


@overload
def at_least_as_good(value: float, target: float, higher_is_better: bool) -> bool: ...
@overload
def at_least_as_good(value: np.ndarray, target: float, higher_is_better: bool) -> np.ndarray: ...
def at_least_as_good(value: float | np.ndarray, target: float, higher_is_better: bool) -> bool | np.ndarray:
    """Whether values of a metric meet a target, one answer per value; equality counts, NaN never does.

    >>> at_least_as_good(0.25, 0.25, higher_is_better=True), at_least_as_good(math.nan, 0.25, higher_is_better=False)
    (True, False)
    """
    return value >= target if higher_is_better else value <= target


def best(values: Sequence[float], higher_is_better: bool) -> float:
    """The best of several values, NaN left out; NaN if there is no other.

    >>> best([math.nan, 0.3, 0.2], higher_is_better=False)
    0.2
    """
    if math.isnan(sum(values)):  # Quicker than to ask every value, as nearly all are numbers.
        values = [value for value in values if not math.isnan(value)]
    if not values:
        return math.nan
    return max(values) if higher_is_better else min(values)


def sign(higher_is_better: bool) -> str:
    """How a value that meets a target stands to it, for people."""
    return ">=" if higher_is_better else "<="
