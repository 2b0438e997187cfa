"""What "better" means for a metric: the only module that compares values by their direction."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, overload

from algoperf.spec import UsageError

if TYPE_CHECKING:  # Every command imports this module, and NumPy takes 0.1 s.
    import numpy as np


COUNTED_METRICS = frozenset({"accuracy", "error_rate", "wer"})
"""Metrics that are one count divided by another, of examples or of words."""

ROUNDING = 6e-7
"""How far a counted metric and a target may lie apart and still mean the same count.

What a target loses that is written with six digits (5e-7, as in 700/1024 as 0.683594), and what a share loses in
float32 (6e-8; in float64 1 - 244/250 is 0.02400000000000002): with less, one is missed by rounding. It is less than
half a count of any split, which is 0.0000047 of the words of LibriSpeech. So this compares counts, without having to
know of how many.
"""


@overload
def meets_target(value: float, target: float, metric_name: str, higher_is_better: bool) -> bool: ...
@overload
def meets_target(
    value: np.ndarray, target: float, metric_name: str, higher_is_better: bool
) -> np.ndarray: ...
def meets_target(
    value: float | np.ndarray, target: float, metric_name: str, higher_is_better: bool
) -> bool | np.ndarray:
    """Whether values of a metric meet a target, elementwise. Equality meets it; NaN and infinity never do (R7.1).

    Metrics that are counts are equal where the counts are.

    >>> meets_target(30.8491, 30.8491, "bleu", True), meets_target(math.nan, 0.25, "loss", False)
    (True, False)
    >>> meets_target(1 - 244 / 250, 0.024, "error_rate", False), meets_target(1 - 243 / 250, 0.024, "error_rate", False)
    (True, False)
    """
    slack = ROUNDING if metric_name in COUNTED_METRICS else 0.0
    # An infinite metric is an overflow, on whichever side it lies.
    if higher_is_better:
        return (value >= target - slack) & (value < math.inf)
    return (value <= target + slack) & (value > -math.inf)


def best(values: Sequence[float], higher_is_better: bool) -> float:
    """The best of several values without NaN, and without the infinity that would be better than all; NaN of none.

    >>> best([math.nan, 0.3, 0.2], higher_is_better=False), best([0.3, math.inf], higher_is_better=True)
    (0.2, 0.3)
    """
    if not math.isfinite(
        sum(values)
    ):  # One sum finds out faster than a test of each value that all are finite.
        beyond = math.inf if higher_is_better else -math.inf
        values = [value for value in values if not math.isnan(value) and value != beyond]
    if not values:
        return math.nan
    return max(values) if higher_is_better else min(values)


def sign(higher_is_better: bool) -> str:
    """The comparison that a value must satisfy, '>=' or '<=', for messages."""
    return ">=" if higher_is_better else "<="


METRIC_RANGES = {
    "accuracy": (0.0, 1.0),
    "error_rate": (0.0, 1.0),
    "ssim": (-1.0, 1.0),
    "mean_average_precision": (0.0, 1.0),
    "bleu": (0.0, 100.0),
    "ppl": (1.0, math.inf),
}
"""Metric -> closed range of possible values. A typing error such as 229.4 for 29.4 is caught here."""


def range_of(metric: str) -> tuple[float, float]:
    """The closed range of possible values of a metric; losses and error rates of words have no upper end.

    >>> range_of("bleu"), range_of("loss")
    ((0.0, 100.0), (0.0, inf))
    """
    return METRIC_RANGES.get(metric, (0.0, math.inf))


def check_target(workload: str, field: str, metric: str, value: float) -> None:
    """Raises UsageError if `value` cannot be a value of `metric`."""
    low, high = range_of(metric)
    if not low <= value <= high:
        raise UsageError(
            f"{workload}: {field} is a {metric}, so it must be in [{low}, {high}]; got {value!r}."
        )
