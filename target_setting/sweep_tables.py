"""Trials -> m_w(h), the best validation metric that point h reaches on workload w, and what "better" means.

Every comparison is made on costs: the metric where lower is better, its negative where higher is better, and
infinity for a result that does not exist (a run that crashed or never had a finite metric). So a failed point
is worse than all others everywhere, and it still counts as a trial.
"""

import collections
import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from algoperf import direction, registry
from algoperf.spec import UsageError
from target_setting.sweep import Point, SweepTrial


@dataclass(frozen=True)
class Metric:
    """The target metric of a workload."""

    name: str
    higher_is_better: bool

    def costs(self, values: np.ndarray | Sequence[float] | float) -> np.ndarray:
        """`values` so that lower is better; infinity for NaN and infinite ones.

        >>> Metric("accuracy", True).costs([0.5, np.nan])
        array([-0.5,  inf])
        """
        values = np.asarray(values, float)
        return np.where(np.isfinite(values), -values if self.higher_is_better else values, np.inf)

    def values(self, costs: np.ndarray | float) -> np.ndarray:
        """The inverse of `costs`; NaN for infinity.

        >>> Metric("accuracy", True).values(np.array([-0.5, np.inf]))
        array([0.5, nan])
        """
        costs = np.asarray(costs, float)
        return np.where(np.isfinite(costs), -costs if self.higher_is_better else costs, np.nan)

    def best(self, values: np.ndarray | Sequence[float]) -> float:
        """The best of several values; NaN if none is finite."""
        return float(self.values(np.min(self.costs(values), initial=np.inf)))

    def meets(self, values: np.ndarray | float, target: float) -> np.ndarray:
        """Whether values are at least as good as the target; NaN is not."""
        return np.isfinite(values) & direction.meets_target(
            np.asarray(values), target, self.name, self.higher_is_better
        )


def metric_of(workload: str) -> Metric:
    """The target metric of a workload of the registry."""
    spec = registry.get(workload)
    return Metric(spec.target_metric_name, spec.higher_is_better)


def best_validation(trial: SweepTrial, metric: Metric) -> float:
    """Best validation metric at any evaluation of the run, also of one that diverged later; NaN if it failed."""
    return np.nan if trial.status == "failed" else metric.best(trial.validation)


def best_test(trial: SweepTrial, metric: Metric) -> float:
    """Best test metric at any evaluation of the run; NaN if it failed."""
    return np.nan if trial.status == "failed" else metric.best(trial.test)


def steps_to_best(trial: SweepTrial, metric: Metric) -> float:
    """Updates until the best validation metric was first reached; infinity if it never was."""
    costs = metric.costs(trial.validation)
    if not len(costs) or not np.isfinite(costs.min()):
        return np.inf
    return float(trial.step[int(np.argmin(costs))])


@dataclass(frozen=True, eq=False)
class Table:
    """Results of one algorithm: the same points on several workloads."""

    algorithm: str
    workloads: tuple[str, ...]
    metrics: tuple[Metric, ...]
    """One per workload."""
    trials: tuple[int, ...]
    """Number of each point in the sweep, from 1."""
    points: tuple[Point, ...]
    values: np.ndarray
    """(workloads, points) best validation metric, NaN where there is no result."""
    num_left_out: int = 0
    """Points that were not run on every workload."""

    @property
    def costs(self) -> np.ndarray:
        """(workloads, points) lower is better, infinite where there is no result."""
        return np.stack([metric.costs(row) for metric, row in zip(self.metrics, self.values)])

    def degradations(self) -> np.ndarray:
        """(workloads, points) `|m_w(h) - m*_w| / |m*_w|`, with m*_w the best over the points of this table.

        Infinite where there is no result, and for points short of a best of zero.
        """
        best = self.costs.min(axis=1, keepdims=True)
        gap = np.where(np.isfinite(self.costs), self.costs, np.inf) - np.where(np.isfinite(best), best, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(gap == 0, 0.0, gap / np.abs(best))


def ranks(costs: np.ndarray) -> np.ndarray:
    """(..., points) number of points that are strictly better; 0 for the best.

    >>> ranks(np.array([0.2, 0.1, 0.2, np.inf]))
    array([1, 0, 1, 3])
    """
    return np.sum(costs[..., None, :] < costs[..., :, None], axis=-1)


def make_table(
    trials: Collection[SweepTrial], algorithm: str, workloads: Sequence[str], *, complete: bool = True
) -> Table:
    """Points x workloads of one algorithm.

    Args:
      trials: of a sweep; others than of this algorithm and these workloads are left alone.
      algorithm: its name.
      workloads: rows, in the order wanted.
      complete: keeps only points that ran on every workload; otherwise a run that is not there has no result.

    Raises:
      UsageError: if a trial number is not the same point on all workloads, no point remains, or a workload has
        no finite result.
    """
    points: dict[int, SweepTrial] = {}
    runs: dict[str, dict[int, SweepTrial]] = collections.defaultdict(dict)
    for trial in trials:
        if trial.algorithm != algorithm or trial.workload not in workloads:
            continue
        other = points.setdefault(trial.trial, trial)
        if point_key(trial.point) != point_key(other.point):
            raise UsageError(
                f"Trial {trial.trial} of {algorithm} is not the same point on {other.workload} and "
                f"{trial.workload}; a sweep runs the same points on every workload."
            )
        runs[trial.workload][trial.trial] = trial
    kept = sorted(t for t in points if not complete or all(t in runs[name] for name in workloads))
    if not kept:
        raise UsageError(f"No point of {algorithm} has a finished trial on all of {', '.join(workloads)}.")
    metrics = tuple(metric_of(name) for name in workloads)
    values = np.array(
        [
            [best_validation(runs[name][t], metric) if t in runs[name] else np.nan for t in kept]
            for name, metric in zip(workloads, metrics)
        ]
    )
    for name, row in zip(workloads, values):
        if not np.isfinite(row).any():
            raise UsageError(
                f"None of the {len(kept)} points of {algorithm} has a finite validation metric on {name}."
            )
    return Table(
        algorithm,
        tuple(workloads),
        metrics,
        tuple(kept),
        tuple(points[t].point for t in kept),
        values,
        len(points) - len(kept),
    )


def point_key(point: Point) -> str:
    """Equal for equal points."""
    return json.dumps(point, sort_keys=True, default=str)


def names(trials: Collection[SweepTrial]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Algorithms and workloads that occur, each sorted."""
    algorithms, workloads = ({getattr(t, name) for t in trials} for name in ("algorithm", "workload"))
    return tuple(sorted(algorithms)), tuple(sorted(workloads))


def on(workload: str, trials: Collection[SweepTrial]) -> list[SweepTrial]:
    """Those on one workload."""
    return [trial for trial in trials if trial.workload == workload]
