"""Sweep: one workload at several points, all with the same seeds."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from algoperf import plots
from algoperf.api.table import Table, shown
from algoperf.api.trial import Run
from algoperf.spec import UsageError

MAX_NAME = 80
"""Characters of a point's name; those of longer ones have their number instead."""


def point_name(point: Mapping[str, Any], number: int) -> str:
    """What a point is called in results.

    >>> point_name({"lr": 0.001, "nesterov": True}, 1), point_name({"path": "a/b"}, 2)
    ('lr=0.001,nesterov=true', 'point_2')
    """
    text = ",".join(f"{name}={_short(value)}" for name, value in point.items())
    is_plain = all(letter.isalnum() or letter in "=,.-+_" for letter in text)
    return text if is_plain and 0 < len(text) <= MAX_NAME else f"point_{number}"


def _short(value: Any) -> str:
    if isinstance(value, list):
        return "_".join(map(_short, value))
    return repr(value) if isinstance(value, float) else json.dumps(value).strip('"')


@dataclass(frozen=True, eq=False, repr=False)
class Sweep:
    """The runs of a sweep; shows itself as a table of points against results."""

    points: Mapping[str, dict[str, Any]]
    """Name of each point in the results -> its hyperparameters that were swept."""
    runs: tuple[Run, ...]
    higher_is_better: bool
    """Of the target metric."""

    def table(self) -> Table:
        """A row per run: the point, then how it ended and what it reached."""
        with_studies = len({run.study for run in self.runs}) > 1
        rows = Table()
        order = list(self.points)
        for run in sorted(self.runs, key=lambda one: (order.index(one.name), one.study)):
            facts = {key: value for key, value in run.facts().items() if key not in ("name", "workload")}
            point = {
                name: value if isinstance(value, (int, float, str)) else shown(value)
                for name, value in self.points[run.name].items()
            }
            study = {"study": run.study} if with_studies else {}
            rows.append({**point, **study, **facts})
        return rows

    @property
    def best(self) -> Run:
        """The run that reached the target first on the submission clock; where none did, that with the best metric.

        Raises:
          UsageError: if no run has come to an evaluation.
        """
        reached = [run for run in self.runs if run.reached_sec is not None]
        if reached:
            return min(reached, key=lambda run: run.reached_sec or 0.0)
        known = [(run, value) for run in self.runs if (value := _best_value(run)) is not None]
        if not known:
            raise UsageError("No run of this sweep has come to an evaluation; its table says why.")
        sign = 1 if self.higher_is_better else -1
        return max(known, key=lambda pair: sign * pair[1])[0]

    def plot(self, output: Path | str | None = None) -> Any:
        """The learning curves of all points; see `Run.plot`."""
        found = [run.curves() for run in self.runs if run.evaluations]
        return plots.draw(found, None if output is None else Path(output))

    def __repr__(self) -> str:
        return repr(self.table())

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


def _best_value(run: Run) -> float | None:
    ended = run.summary
    return None if ended is None else (ended.best or {}).get(f"validation/{ended.target_metric}")
