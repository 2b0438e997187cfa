"""OptList: a short list of points that together do well on all workloads.

Source: https://arxiv.org/abs/2306.07179, section 7.1, item 5; the idea is Metz et al. 2020,
https://arxiv.org/abs/2002.11887 (there greedy over a joint loss, here round robin).
"""

from dataclasses import dataclass

import numpy as np

from algoperf.spec import UsageError
from target_setting.results import Table, point_key, ranks


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

    def points(self) -> list[dict]:
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
