"""A broad sweep -> a narrow search space, from the best point of each workload.

Source: https://arxiv.org/abs/2306.07179, section 7.1, items 1 to 4. What the paper leaves open ("slightly",
"rounded", "outliers") is an argument here.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from algoperf import tuning
from algoperf.spec import UsageError
from target_setting.results import Table

RANGED = ("learning_rate", "weight_decay")
"""Log-uniform between the extremes of the best points, widened."""
FIXED: Mapping[str, Sequence[float]] = {
    "beta2": (0.999,),
    "one_minus_beta2": (0.001,),
    "warmup_factor": (0.05,),
    "decay_steps_factor": (0.9,),
    "end_factor": (0.001, 0.01),
    "dropout_rate": (0.0, 0.1),
    "label_smoothing": (0.1, 0.2),
}
"""Values that the paper gives to every algorithm."""
TIED = {"aux_dropout_rate": "dropout_rate"}
"""Left out: the workload ties the first to the second."""
MAX_DISCRETE = 5
"""A hyperparameter with at most so many different values in the sweep counts as a set of values."""


@dataclass(frozen=True)
class Replacement:
    """An outlier among the best points and the point that stands in for it."""

    workload: str
    trial: int
    by: int
    degradation: float
    """How much worse the stand-in is on the workload, relative."""


@dataclass(frozen=True, eq=False)
class Narrowed:
    """The space and the points it spans."""

    table: Table
    chosen: tuple[int, ...]
    """Position of each workload's point among the table's points, after replacement."""
    replacements: tuple[Replacement, ...]
    space: dict[str, Any]
    """In the grammar of `algoperf.tuning`."""
    notes: tuple[str, ...]


def narrow(
    table: Table,
    *,
    widen: float = 1.25,
    fix_beta1: bool = False,
    outlier_tolerance: float = 0.0,
    outlier_factor: float = 10.0,
) -> Narrowed:
    """The search space that the best points of all workloads span.

        learning_rate, weight_decay   log [min / widen, max * widen]
        one_minus_beta1               log [min, max], rounded outward to one digit; or {0.1}
        warmup, decay, β2, dropout, label smoothing   as in the paper: `FIXED`
        others                        the values among the best points (sets), or their range

    Args:
      table: points x workloads of one algorithm.
      widen: factor by which both ends of a range move outward, at least 1.
      fix_beta1: takes 0.1 for `one_minus_beta1`.
      outlier_tolerance: how much worse, relative to the best of the workload, a point may be that stands in for an
        outlier (the paper does this for momentum methods); 0 keeps every best point.
      outlier_factor: a best point is an outlier if its learning rate or weight decay lies further than this factor
        outside the range of the other workloads' best points.

    Raises:
      UsageError: for arguments out of range.
    """
    if not (math.isfinite(widen) and widen >= 1):
        raise UsageError(f"--widen must be a factor of 1 or more, got {widen}.")
    if not 0 <= outlier_tolerance < 1:
        raise UsageError(f"--outlier_tolerance must be in [0, 1), got {outlier_tolerance}.")
    if not outlier_factor >= 1:
        raise UsageError(f"--outlier_factor must be 1 or more, got {outlier_factor}.")
    best = [int(np.argmin(row)) for row in table.costs]
    chosen, replacements = replace_outliers(table, best, outlier_tolerance, outlier_factor)
    space: dict[str, Any] = {}
    notes = []
    for name in table.points[0]:
        if name in TIED:
            notes.append(f"{name} is left out: it is tied to {TIED[name]}.")
        elif name == "one_minus_beta1" and fix_beta1:
            space[name] = {"feasible_points": [0.1]}
        elif name in FIXED:
            space[name] = {"feasible_points": list(FIXED[name])}
            other = [
                point[name]
                for point in map(table.points.__getitem__, chosen)
                if not _is_fixed(name, point[name])
            ]
            if other:
                notes.append(
                    f"{table.algorithm}: {name} gets the paper's {_set(FIXED[name])}, while best points have "
                    f"{_set(_distinct(other))}: write these into the space where the algorithm needs them."
                )
        else:
            among_best = [table.points[index][name] for index in chosen]
            space[name] = entry(name, among_best, [point[name] for point in table.points], widen)
    tuning.check_search_space(space)
    return Narrowed(table, tuple(chosen), tuple(replacements), space, tuple(notes))


def entry(name: str, among_best: Sequence[Any], everywhere: Sequence[Any], widen: float) -> dict[str, Any]:
    """The search space of one hyperparameter from its values among the best points and in the whole sweep."""
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in everywhere)
    if name not in (*RANGED, "one_minus_beta1") and (not numbers or len(set(everywhere)) <= MAX_DISCRETE):
        return {"feasible_points": sorted(set(among_best)) if numbers else _distinct(among_best)}
    low, high = min(among_best), max(among_best)
    if low <= 0:
        return {"min": low, "max": high, "scaling": "linear"}
    if name == "one_minus_beta1":
        return {"min": round_outward(low, -1), "max": min(1.0, round_outward(high, 1)), "scaling": "log"}
    return {"min": low / widen, "max": high * widen, "scaling": "log"}


def _is_fixed(name: str, value: Any) -> bool:
    """Whether a value is among those that the paper gives to a hyperparameter."""
    return isinstance(value, (int, float)) and any(math.isclose(value, one) for one in FIXED[name])


def _set(values: Sequence[Any]) -> str:
    return (
        "{" + ", ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in values) + "}"
    )


def _distinct(values: Sequence[Any]) -> list[Any]:
    return [value for index, value in enumerate(values) if value not in values[:index]]


def round_outward(value: float, direction: int) -> float:
    """One significant digit, down for direction -1 and up for 1.

    >>> round_outward(0.0268, -1), round_outward(0.1363, 1), round_outward(0.02, 1)
    (0.02, 0.2, 0.02)
    """
    exponent = math.floor(math.log10(value))
    digit = value / 10.0**exponent
    rounded = math.ceil(digit - 1e-9) if direction > 0 else math.floor(digit + 1e-9)
    return float(f"{rounded}e{exponent}")


def replace_outliers(
    table: Table, best: Sequence[int], tolerance: float, factor: float
) -> tuple[list[int], list[Replacement]]:
    """The best points, with outliers replaced by nearly equal points within the range of the others.

    A workload's stand-in has a degradation of at most `tolerance` there and lies within the range that the other
    workloads span, in learning rate and in weight decay; of several the best is taken. Without one the outlier stays.
    """
    names = [name for name in RANGED if all(point.get(name, 0) > 0 for point in table.points)]
    logs = np.array([[math.log(point[name]) for name in names] for point in table.points])
    chosen, replacements = list(best), []
    if tolerance == 0 or len(best) < 3 or not names:
        return chosen, replacements
    degradations = table.degradations()
    for row, workload in enumerate(table.workloads):
        others = logs[[index for position, index in enumerate(chosen) if position != row]]
        low, high = others.min(axis=0), others.max(axis=0)
        beyond = np.maximum(low - logs[chosen[row]], logs[chosen[row]] - high)
        if beyond.max() <= math.log(factor):
            continue
        inside = np.all((logs >= low) & (logs <= high), axis=1) & (degradations[row] <= tolerance)
        if inside.any():
            by = int(np.argmin(np.where(inside, degradations[row], np.inf)))
            replacements.append(
                Replacement(
                    workload, table.trials[chosen[row]], table.trials[by], float(degradations[row][by])
                )
            )
            chosen[row] = by
    return chosen, replacements
