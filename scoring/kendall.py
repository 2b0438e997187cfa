"""Rank correlation of scores, and whether there is enough to correlate."""

from collections.abc import Sequence

import numpy as np

from algoperf.spec import UsageError
from algoperf.suites import Suite
from scoring.results import Results


def kendall_tau(first: Sequence[float] | np.ndarray, second: Sequence[float] | np.ndarray) -> float:
    """tau-b: concordant less discordant pairs over the geometric mean of the pairs without ties in either.

    NaN where either is one tie.

    >>> round(kendall_tau([1, 2, 3], [10, 30, 20]), 6)
    0.333333
    """
    from scipy.stats import kendalltau  # 1 s to import

    return float(kendalltau(first, second).statistic)


def check_enough(results: Results, suite: Suite, num_workloads: int) -> None:
    """Raises UsageError for a number of workloads that the suite does not have, or fewer than three submissions."""
    if not 1 <= num_workloads <= len(suite.workloads):
        raise UsageError(
            f"--num_workloads must be from 1 to {len(suite.workloads)}, the workloads of suite {suite.name!r}; got "
            f"{num_workloads}."
        )
    if len(results.submissions) < 3:
        raise UsageError(f"Rank agreement needs three submissions or more, got {len(results.submissions)}.")
