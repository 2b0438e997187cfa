"""What "better" means for a metric: the only module that compares values by their direction."""

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
    """Whether values of a metric meet a target, elementwise. Equality meets it, NaN never does (R7.1).

    >>> at_least_as_good(0.25, 0.25, higher_is_better=True), at_least_as_good(math.nan, 0.25, higher_is_better=False)
    (True, False)
    """
    return value >= target if higher_is_better else value <= target


def best(values: Sequence[float], higher_is_better: bool) -> float:
    """The best of several values without NaN; NaN if there is no other value.

    >>> best([math.nan, 0.3, 0.2], higher_is_better=False)
    0.2
    """
    if math.isnan(sum(values)):  # One sum finds out faster than a test of each value that nothing is NaN.
        values = [value for value in values if not math.isnan(value)]
    if not values:
        return math.nan
    return max(values) if higher_is_better else min(values)


def sign(higher_is_better: bool) -> str:
    """The comparison that a value must satisfy, '>=' or '<=', for messages."""
    return ">=" if higher_is_better else "<="
