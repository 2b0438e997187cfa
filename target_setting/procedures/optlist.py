"""A list of points that together do well on all workloads.

An OptList is a search space of complete points, as many as a study has trials. Source:
https://arxiv.org/abs/2306.07179, section 7.1, item 5; the idea is Metz et al. 2020, https://arxiv.org/abs/2002.11887
(there greedy over a joint loss, here round robin).
"""

from collections.abc import Collection
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from algoperf.spec import UsageError
from scoring.text import table as text_table
from target_setting import plots
from target_setting.outcome import Outcome
from target_setting.selection import Selection
from target_setting.sweep_tables import Table, point_key, ranks
from target_setting.tables import percent


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags."""

    size: int = 5
    """Entries, the number of trials of a study."""


@dataclass(frozen=True, eq=False)
class OptList:
    """The list, and where each entry comes from."""

    table: Table
    entries: tuple[int, ...]
    """Positions in the table's points, in the order of the list."""
    chosen_for: tuple[str, ...]
    """Workload that put each entry on the list."""
    ranks: np.ndarray
    """(workloads, entries) rank of each entry among all points, 0 for the best."""
    degradations: np.ndarray
    """(workloads, entries) relative distance to the best of all points."""

    def points(self) -> list[dict[str, object]]:
        """What goes into the file: a search space that is a list of complete points."""
        return [dict(self.table.points[index]) for index in self.entries]


def make_optlist(table: Table, size: int) -> OptList:
    """The list, by round robin over the workloads.

        while len(L) < size: for w in workloads: append the best point of w that is not yet in L

    Points without a result on w are not taken for w. Ties go to the smaller trial number; equal points count once.

    Args:
      table: points x workloads; its order of workloads is the order of the round.
      size: entries wanted, the number of trials of a study.

    Raises:
      UsageError: if fewer different points have results.
    """
    if size < 1:
        raise UsageError(f"--size must be at least 1, got {size}.")
    keys = [point_key(point) for point in table.points]
    queues = [
        [index for index in np.argsort(row, kind="stable").tolist() if np.isfinite(row[index])]
        for row in table.costs
    ]
    entries: list[int] = []
    chosen_for: list[str] = []
    taken: set[str] = set()
    while len(entries) < size:
        before = len(entries)
        for workload, queue in zip(table.workloads, queues):
            while queue and keys[queue[0]] in taken:
                queue.pop(0)
            if queue and len(entries) < size:
                taken.add(keys[queue[0]])
                entries.append(queue.pop(0))
                chosen_for.append(workload)
        if len(entries) == before:
            raise UsageError(
                f"--size={size} is more than the {before} different points of {table.algorithm} with results."
            )
    return OptList(
        table,
        tuple(entries),
        tuple(chosen_for),
        ranks(table.costs)[:, entries],
        table.degradations()[:, entries],
    )


def analyse(selection: Selection, options: Options) -> Outcome:
    """An OptList for every algorithm."""
    made, _ = selection.tables(complete=False)
    lists = [make_optlist(one, options.size) for one in made]
    return Outcome(
        table=report(lists),
        content=content(lists),
        panels=panels(lists),
        title="OptList: rank of each entry on each workload",
        files={f"{one.table.algorithm}_optlist.json": one.points() for one in lists},
    )


def report(lists: Collection[OptList]) -> str:
    """A table for every algorithm, with a row per entry."""
    parts = []
    for one in lists:
        header = ["entry", "trial", "chosen for", *one.table.workloads]
        rows = [
            [
                str(position + 1),
                str(one.table.trials[index]),
                workload,
                *(
                    f"{r} ({percent(d)})"
                    for r, d in zip(one.ranks[:, position], one.degradations[:, position])
                ),
            ]
            for position, (index, workload) in enumerate(zip(one.entries, one.chosen_for))
        ]
        least = [percent(float(d)) for d in one.degradations.min(axis=1)]
        rows.append(["best", "", "", *least])
        parts.append(
            f"OptList of {one.table.algorithm}: rank of each entry (loss to the best of {len(one.table.points)})\n"
            + text_table(header, rows, num_left=3)
        )
    return "\n\n".join(parts)


def content(lists: Collection[OptList]) -> list[dict[str, object]]:
    """The same as plain JSON types."""
    return [
        {
            "algorithm": one.table.algorithm,
            "workloads": list(one.table.workloads),
            "entries": [
                {
                    "trial": one.table.trials[index],
                    "chosen_for": workload,
                    "point": dict(one.table.points[index]),
                    "ranks": dict(zip(one.table.workloads, one.ranks[:, position].tolist())),
                    "degradations": dict(zip(one.table.workloads, one.degradations[:, position].tolist())),
                }
                for position, (index, workload) in enumerate(zip(one.entries, one.chosen_for))
            ],
        }
        for one in lists
    ]


def panels(lists: Collection[OptList]) -> list[plots.Panel]:
    """Rank of each entry on each workload."""

    def panel(one: OptList) -> plots.Panel:
        def traces(go: ModuleType) -> list[plots.Trace]:
            return [
                go.Heatmap(
                    z=one.ranks.tolist(),
                    x=list(range(1, len(one.entries) + 1)),
                    y=list(one.table.workloads),
                    colorscale="Viridis_r",
                )
            ]

        return f"{one.table.algorithm}: rank, 0 = best", "entry of the list", "", traces

    return [panel(one) for one in lists]
