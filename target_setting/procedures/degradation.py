"""Worst-case degradation of one point over all workloads.

How much one point must lose somewhere if it is used on every workload. Source: https://arxiv.org/abs/2306.07179,
section 2.3.1 and appendix A.4.1.
"""

from collections.abc import Collection
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from scoring.score_report import count, number
from scoring.text import table as text_table
from target_setting import plots
from target_setting.outcome import Outcome
from target_setting.selection import Selection
from target_setting.sweep_tables import Table
from target_setting.tables import metric_value, percent


@dataclass(frozen=True, kw_only=True)
class Options:
    """It has no flags of its own."""


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


def analyse(selection: Selection, options: Options) -> Outcome:
    """Δ of every algorithm."""
    made, notes = selection.tables()
    results = [worst_case_degradation(one) for one in made]
    return Outcome(
        table=report(results),
        content=content(results),
        panels=panels(results),
        title="Degradation of the point with the least worst case",
        notes=notes,
    )


def of_overall_point(one: Degradation) -> list[tuple[str, float, float, float]]:
    """For every workload the best metric, that of the overall point, and δ of the latter."""
    table = one.table
    return [
        (workload, metric.best(values), float(values[one.overall]), float(gaps[one.overall]))
        for workload, metric, values, gaps in zip(table.workloads, table.metrics, table.values, one.per_point)
    ]


def report(results: Collection[Degradation]) -> str:
    """A table for every algorithm, with a row per workload."""
    header = ["algorithm", "workload", "best", "of overall point", "degradation"]
    parts = []
    for one in results:
        rows = [
            [one.table.algorithm, workload, metric_value(best), metric_value(value), percent(gap)]
            for workload, best, value, gap in of_overall_point(one)
        ]
        parts.append(
            f"{one.table.algorithm}: worst-case degradation {number(one.value, 4)} at trial "
            f"{one.table.trials[one.overall]} of {count(len(one.table.points), 'point')}\n"
            + text_table(header, rows, num_left=2)
        )
    return "\n\n".join(parts)


def content(results: Collection[Degradation]) -> list[dict[str, object]]:
    """The same as plain JSON types, and Δ of every point."""
    return [
        {
            "algorithm": one.table.algorithm,
            "worst_case_degradation": one.value,
            "trial": one.table.trials[one.overall],
            "point": dict(one.table.points[one.overall]),
            "num_points": len(one.table.points),
            "workloads": {
                workload: {"best": best, "of_overall_point": value, "degradation": gap}
                for workload, best, value, gap in of_overall_point(one)
            },
            "per_point": dict(zip(map(str, one.table.trials), one.worst.tolist())),
        }
        for one in results
    ]


def panels(results: Collection[Degradation]) -> list[plots.Panel]:
    """δ on each workload for the point with the least worst case."""

    def panel(one: Degradation) -> plots.Panel:
        def traces(go: ModuleType) -> list[plots.Trace]:
            return [go.Bar(x=list(one.table.workloads), y=one.per_point[:, one.overall].tolist())]

        return f"{one.table.algorithm}: worst case {one.value:.3f}", "", "relative degradation", traces

    return [panel(one) for one in results]
