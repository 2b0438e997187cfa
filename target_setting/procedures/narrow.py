"""A narrow search space from the best point of each workload.

Source: https://arxiv.org/abs/2306.07179, section 7.1, items 1 to 4. What the paper leaves open ("slightly", "rounded",
"outliers") is an argument here.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

import numpy as np

from algoperf import tuning
from algoperf.spec import UsageError
from scoring.text import table as text_table
from target_setting import plots
from target_setting.outcome import Outcome
from target_setting.selection import Selection
from target_setting.sweep_tables import Table
from target_setting.tables import metric_value


@dataclass(frozen=True, kw_only=True)
class Options:
    """The flags."""

    widen: float = 1.25
    """Factor by which ranges are widened on both sides."""
    fix_beta1: bool = False
    """Take 0.1 for one_minus_beta1 instead of a range."""
    outlier_tolerance: float = 0.0
    """How much worse a point may be that stands in for an outlier; 0 keeps all."""
    outlier_factor: float = 10.0
    """Factor beyond the other workloads' range from which a best point is an outlier."""


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
    widen: float = Options.widen,
    fix_beta1: bool = Options.fix_beta1,
    outlier_tolerance: float = Options.outlier_tolerance,
    outlier_factor: float = Options.outlier_factor,
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


def entry(name: str, among_best: Sequence[Any], everywhere: Sequence[Any], widen: float) -> dict[str, object]:
    """The search space of one hyperparameter from its values among the best points and in the whole sweep."""
    numbers = all(isinstance(value, (int, float)) and not isinstance(value, bool) for value in everywhere)
    if name not in (*RANGED, "one_minus_beta1") and (not numbers or len(set(everywhere)) <= MAX_DISCRETE):
        return {"feasible_points": sorted(set(among_best)) if numbers else _distinct(among_best)}
    low, high = min(among_best), max(among_best)
    if low <= 0:  # No logarithm.
        return {"min": low, "max": high, "scaling": "linear"}
    if name == "one_minus_beta1":
        return {"min": round_outward(low, -1), "max": min(1.0, round_outward(high, 1)), "scaling": "log"}
    # By a factor, because the scale is logarithmic: both ends move equally far.
    return {"min": low / widen, "max": high * widen, "scaling": "log"}


def _is_fixed(name: str, value: object) -> bool:
    """Whether a value is among those that the paper gives to a hyperparameter."""
    return isinstance(value, (int, float)) and any(math.isclose(value, one) for one in FIXED[name])


def _set(values: Sequence[object]) -> str:
    return "{" + ", ".join(map(_short, values)) + "}"


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _distinct(values: Sequence[object]) -> list[object]:
    return [value for index, value in enumerate(values) if value not in values[:index]]


def round_outward(value: float, direction: int) -> float:
    """One significant digit, down for direction -1 and up for 1.

    >>> round_outward(0.0268, -1), round_outward(0.1363, 1), round_outward(0.02, 1)
    (0.02, 0.2, 0.02)
    """
    exponent = math.floor(math.log10(value))
    digit = value / 10.0**exponent
    # 0.02 is a little more than 2e-2 in binary, and is to stay what it is.
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
    chosen, replacements = list(best), list[Replacement]()
    # Of two points, neither is the outlier.
    if tolerance == 0 or len(best) < 3 or not names:
        return chosen, replacements
    degradations = table.degradations()
    for row, workload in enumerate(table.workloads):
        # Against the others as they are now: one outlier that has been replaced does not excuse the next one.
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


def analyse(selection: Selection, options: Options) -> Outcome:
    """A narrow search space for every algorithm."""
    made, _ = selection.tables(complete=False)
    spaces = [narrow(one, **asdict(options)) for one in made]
    replaced = [
        f"{one.table.algorithm}: on {r.workload} trial {r.trial} is an outlier; trial {r.by} stands in for it "
        f"({r.degradation:.1%} worse)."
        for one in spaces
        for r in one.replacements
    ]
    return Outcome(
        table=report(spaces),
        content=content(spaces),
        panels=panels(spaces),
        title="Narrowing of the search space",
        files={f"{one.table.algorithm}_search_space.json": one.space for one in spaces},
        notes=(*replaced, *(note for one in spaces for note in one.notes)),
        axes={"type": "log"},
    )


def report(spaces: Collection[Narrowed]) -> str:
    """Two tables for every algorithm: the points, and the space that they span."""
    parts = []
    for one in spaces:
        names = list(one.space)
        chosen = [
            [
                workload,
                str(one.table.trials[index]),
                metric_value(float(row[index])),
                *(_short(one.table.points[index].get(name)) for name in names),
            ]
            for workload, row, index in zip(one.table.workloads, one.table.values, one.chosen)
        ]
        ranges = [[name, space_entry(entry)] for name, entry in one.space.items()]
        parts.append(
            f"{one.table.algorithm}: best points\n"
            + text_table(["workload", "trial", "validation", *names], chosen)
            + f"\n\n{one.table.algorithm}: narrow search space\n"
            + text_table(["hyperparameter", "values"], ranges, num_left=2)
        )
    return "\n\n".join(parts)


def space_entry(entry: Mapping[str, Any]) -> str:
    """A set or a range, for a cell."""
    if "feasible_points" in entry:
        return _set(entry["feasible_points"])
    return f"{entry['scaling']} [{entry['min']:.4g}, {entry['max']:.4g}]"


def content(spaces: Collection[Narrowed]) -> list[dict[str, object]]:
    """The same as plain JSON types, and what was replaced."""
    return [
        {
            "algorithm": one.table.algorithm,
            "space": one.space,
            "chosen": {
                workload: {"trial": one.table.trials[index], "point": dict(one.table.points[index])}
                for workload, index in zip(one.table.workloads, one.chosen)
            },
            "replacements": [asdict(replacement) for replacement in one.replacements],
        }
        for one in spaces
    ]


def panels(spaces: Collection[Narrowed]) -> list[plots.Panel]:
    """Learning rate and weight decay of all points, the chosen ones, and the range."""

    def panel(one: Narrowed) -> plots.Panel:
        names = [name for name in RANGED if name in one.space]
        names = (names + [name for name in one.space if name not in names])[:2]
        x_name, y_name = (names * 2)[:2]
        x, y = ([point[name] for point in one.table.points] for name in (x_name, y_name))

        def traces(go: ModuleType) -> list[plots.Trace]:
            points = plots.points(go, np.array(x), np.array(y), one.table)
            chosen = go.Scatter(
                x=[x[index] for index in one.chosen],
                y=[y[index] for index in one.chosen],
                text=list(one.table.workloads),
                mode="markers",
                name="best of a workload",
                marker={"size": 11},
            )
            ranges = [one.space[name] for name in (x_name, y_name)]
            if not all("min" in each for each in ranges):
                return [points, chosen]
            (left, right), (low, high) = ((each["min"], each["max"]) for each in ranges)
            outline = go.Scatter(
                x=[left, right, right, left, left], y=[low, low, high, high, low], mode="lines", name="space"
            )
            return [points, chosen, outline]

        return one.table.algorithm, x_name, y_name, traces

    return [panel(one) for one in spaces]
