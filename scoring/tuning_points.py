"""What one point for all workloads costs, and which hyperparameters matter.

*Shared point*: that which hits on most workloads, and of these has the smallest mean share of the budget until its
hit. Its times are compared with those of the best point of each workload. Where studies repeat the points of a list,
both are chosen on the other studies and measured on the one that is left out, in turn. Where every point ran once, both
are chosen and measured on the same run: each workload's own best is then lucky, and the loss too large.

*Sensitivity*: points are ranked on each workload, hits by time, then misses by their best metric. The share of the
variance of these ranks that a parabola in the rank of one hyperparameter explains, less what so many coefficients
explain of noise (adjusted R squared), is averaged over workloads. Beside it stands what luck alone reaches: the 95 %
quantile, over random assignments of points to results, of the largest share among all hyperparameters.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scoring.tuning_runs import Run, Tuned

MIN_POINTS = 8
"""With fewer, a parabola explains anything."""
NUM_PERMUTATIONS = 2000
BEST_SHARE = 1 / 3


@dataclass(frozen=True)
class Shared:
    """One point for all workloads beside each workload's own best."""

    num_workloads: int
    hits: float
    """Workloads on which the shared point hits; mean over the studies that were left out."""
    own_hits: float
    """The same for each workload's own best point."""
    slowdown: float
    """Its time over that of the own best, geometric mean over the workloads that both hit; NaN where there is none."""
    budget_share: float
    """Of the shared point: seconds to target over the budget, a miss counted as 1; mean over workloads."""
    own_budget_share: float
    is_out_of_sample: bool
    point: int
    """The shared point, chosen on all studies."""


@dataclass(frozen=True)
class Sensitivity:
    """One hyperparameter."""

    name: str
    share: float
    """Of the variance of ranks; 0 where it explains less than noise would."""
    luck: float
    """What luck alone reaches in 1 of 20 cases, for the largest share of all hyperparameters."""
    correlation: float
    """Spearman's, of its value with how good the point is, mean over workloads: positive if larger is better."""
    best: tuple[float, float]
    """Least and most of its values among the best third of the points."""

    @property
    def is_clear(self) -> bool:
        """Whether it explains more than luck."""
        return self.share > self.luck


def shared_point(tuned: Tuned) -> Shared | None:
    """The loss from one point for all workloads; None if no point ran on all of several workloads."""
    if len(tuned.runs) < 2:
        return None
    studies = sorted({run.study for runs in tuned.runs.values() for run in runs})
    whole = times(tuned, studies)
    common = np.flatnonzero(~np.isnan(whole).any(axis=0))
    if not len(common):
        return None
    choice = int(common[_best_shared(whole[:, common])])
    if tuned.is_list and len(studies) > 1:
        pairs = [
            (times(tuned, [study for study in studies if study != out]), times(tuned, [out]))
            for out in studies
        ]
    else:
        pairs = [(whole, whole)]
    found = []
    for chosen_on, measured_on in pairs:
        both = ~np.isnan(chosen_on).any(axis=0) & ~np.isnan(measured_on).any(axis=0)
        if both.any():
            here, there = chosen_on[:, both], measured_on[:, both]
            own = there[np.arange(len(there)), here.argmin(axis=1)]
            found.append((there[:, _best_shared(here)], own))
    if not found:
        return None
    shared, own = (
        np.array(side) for side in zip(*found)
    )  # (pairs, workloads) shares of the budget; above 1 a miss
    hit, own_hit = shared <= 1, own <= 1
    ratios = np.log(shared[hit & own_hit] / own[hit & own_hit])
    return Shared(
        num_workloads=len(whole),
        hits=float(hit.sum(axis=1).mean()),
        own_hits=float(own_hit.sum(axis=1).mean()),
        slowdown=float(np.exp(ratios.mean())) if len(ratios) else math.nan,
        budget_share=float(np.minimum(shared, 1).mean()),
        own_budget_share=float(np.minimum(own, 1).mean()),
        is_out_of_sample=len(pairs) > 1,
        point=choice,
    )


def times(tuned: Tuned, studies: Sequence[int]) -> np.ndarray:
    """(workloads, points) median time over studies as a share of the budget; 2 for a miss, NaN for no run."""
    found = np.full((len(tuned.runs), len(tuned.points)), np.nan)
    for row, (workload, runs) in enumerate(tuned.runs.items()):
        for place in {run.point for run in runs}:
            own = [run.time_sec for run in runs if run.point == place and run.study in studies]
            if own:
                middle = float(np.sort(own)[len(own) // 2])  # Of an even number the worse one.
                found[row, place] = min(middle / tuned.budgets[workload], 2.0) if middle < math.inf else 2.0
    return found


def _best_shared(values: np.ndarray) -> int:
    """The column with the most hits, then the smallest mean share of the budget."""
    hits = (values <= 1).sum(axis=0)
    mean = np.minimum(values, 1).mean(axis=0)
    return int(np.lexsort((mean, -hits))[0])


def hit_everywhere(tuned: Tuned) -> tuple[int, int]:
    """Points that hit on every workload (in most of their studies), and points that ran on all of them."""
    values = times(tuned, sorted({run.study for runs in tuned.runs.values() for run in runs}))
    ran = ~np.isnan(values).any(axis=0)
    return int((values[:, ran] <= 1).all(axis=0).sum()), int(ran.sum())


def sensitivities(tuned: Tuned, higher_is_better: dict[str, bool], seed: int = 0) -> list[Sensitivity]:
    """Every numeric hyperparameter that varies, by its share; none for fewer than `MIN_POINTS` points.

    Args:
      tuned: one submission.
      higher_is_better: workload -> whether larger metrics are better.
      seed: of the random assignments.
    """
    ranks = np.array([_ranks(len(tuned.points), runs, higher_is_better[w]) for w, runs in tuned.runs.items()])
    ran = ~np.isnan(ranks).any(axis=0)
    if ran.sum() < MIN_POINTS:
        return []
    columns = {
        name: np.array([float(point.get(name, math.nan)) for point in tuned.points])[ran]
        for name in tuned.points[0]
        if all(isinstance(point.get(name), int | float) for point in tuned.points)
    }
    columns = {name: values for name, values in columns.items() if len(set(values)) > 1}
    if not columns:
        return []
    goodness = -np.array([_average_ranks(row[ran]) for row in ranks])  # (workloads, points)
    goodness -= goodness.mean(axis=1, keepdims=True)
    goodness /= np.maximum(np.linalg.norm(goodness, axis=1, keepdims=True), 1e-300)
    bases = [_basis(_average_ranks(values)) for values in columns.values()]
    rng = np.random.default_rng(seed)
    orders = np.array([rng.permutation(goodness.shape[1]) for _ in range(NUM_PERMUTATIONS)])
    lucky = np.max([_shares(goodness[:, orders], basis).mean(axis=0) for basis in bases], axis=0)
    luck = float(np.quantile(lucky, 0.95))
    best = np.argsort(-goodness.mean(axis=0))[: max(1, round(BEST_SHARE * goodness.shape[1]))]
    found = []
    for (name, values), basis in zip(columns.items(), bases):
        share = float(_shares(goodness[:, None, :], basis).mean())
        line = _average_ranks(values) - _average_ranks(values).mean()
        found.append(
            Sensitivity(
                name=name,
                share=max(0.0, share),
                luck=luck,
                correlation=float((goodness @ line / np.linalg.norm(line)).mean()),
                best=(float(values[best].min()), float(values[best].max())),
            )
        )
    return sorted(found, key=lambda one: (-one.share, one.name))


def _ranks(num_points: int, runs: Sequence[Run], higher_is_better: bool) -> np.ndarray:
    """(points,) mean rank of each point's runs, the best first; NaN for points without one."""

    def badness(run: Run) -> tuple[bool, float]:
        if run.time_sec < math.inf:
            return False, run.time_sec
        metric = -run.best if higher_is_better else run.best
        return True, math.inf if math.isnan(metric) else metric

    order = sorted(runs, key=badness)
    keys = [badness(run) for run in order]
    places = [keys.index(badness(run)) + (keys.count(badness(run)) - 1) / 2 for run in order]
    found = np.full(num_points, np.nan)
    for place in {run.point for run in runs}:
        found[place] = np.mean([at for at, run in zip(places, order) if run.point == place])
    return found


def _average_ranks(values: np.ndarray) -> np.ndarray:
    from scipy.stats import rankdata

    return rankdata(values)


def _basis(ranks: np.ndarray) -> np.ndarray:
    """(points, 1 or 2) orthonormal columns: a line and, for more than two values, a parabola, without their means."""
    degree = min(2, len(set(ranks)) - 1)
    scaled = (ranks - ranks.mean()) / ranks.std()
    powers = np.stack([scaled**power for power in range(degree + 1)], axis=1)
    return np.linalg.qr(powers)[0][:, 1:]


def _shares(goodness: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """(...) adjusted R squared; `goodness` has (..., points), each of length 1."""
    explained = ((goodness @ basis) ** 2).sum(axis=-1)
    num_points, degree = basis.shape
    return 1 - (1 - explained) * (num_points - 1) / (num_points - 1 - degree)
