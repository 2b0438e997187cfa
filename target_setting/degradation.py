"""Worst-case degradation: how much one point must lose somewhere if it is used on every workload.

Source: https://arxiv.org/abs/2306.07179, section 2.3.1 and appendix A.4.1.
"""

from dataclasses import dataclass

import numpy as np

from target_setting.results import Table


@dataclass(frozen=True, eq=False)
class Degradation:
    """Δ of a set of points."""

    table: Table
    per_point: np.ndarray
    """(workloads, points) δ_w(h)."""
    worst: np.ndarray
    """(points,) Δ(h)."""
    overall: int
    """Position of h_overall among the table's points."""

    @property
    def value(self) -> float:
        """Δ(H); infinite if no point has a result on every workload."""
        return float(self.worst[self.overall])


def worst_case_degradation(table: Table) -> Degradation:
    """Δ(H) and the point that attains it.

        δ_w(h) = |m_w(h) - m*_w| / |m*_w|      Δ(h) = max over w of δ_w(h)      Δ(H) = min over h of Δ(h)

    A point without a result on some workload has Δ(h) = infinity, and so has one that misses a best of exactly 0.
    Ties go to the smaller trial number. Δ(H) is 0 exactly when one point is best everywhere.
    """
    per_point = table.degradations()
    worst = per_point.max(axis=0)
    return Degradation(table, per_point, worst, int(np.argmin(worst)))
