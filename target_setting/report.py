"""The procedures' results as tables for the terminal and as plain JSON types."""

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np

from scoring.score_report import count, number
from scoring.text import table
from target_setting.budgets import QUANTILES, SimulatedBudget
from target_setting.calibration import Calibration, Choice
from target_setting.degradation import Degradation
from target_setting.expected_best import LUCK, ExpectedBest
from target_setting.narrow import Narrowed
from target_setting.optlist import OptList
from target_setting.results import Metric
from target_setting.sweep import WEAK_FACTOR, SweepTrial
from target_setting.targets import Spread, TargetSetting
from target_setting.variants import Transfer, VariantTest

MAX_LINES = 12
"""Lines of an expected-best curve in the terminal; the file has all."""


def metric_value(value: float) -> str:
    return "-" if not np.isfinite(value) else f"{value:.6g}"


def percent(share: float) -> str:
    return "-" if np.isnan(share) else ("inf" if np.isinf(share) else f"{share:.1%}")


def targets(settings: Collection[TargetSetting]) -> str:
    """One row per workload; then the distributions behind it."""
    header = ["workload", "algorithm", "metric", "validation target", "test target", "reruns", "hit both"]
    header += ["interval", "left out"]
    rows, spreads = [], []
    for one in settings:
        low, high = one.probability_interval
        rows.append(
            [
                one.workload,
                one.reruns[0].trial.algorithm,
                one.metric.name,
                metric_value(one.validation_target),
                metric_value(one.test_target),
                str(len(one.reruns)),
                percent(one.probability_both),
                f"{low:.2f} - {high:.2f}",
                percent(one.probability_left_out),
            ]
        )
        spreads += [
            [one.workload, f"best validation {one.metric.name}", *spread_cells(one.validation)],
            [one.workload, f"best test {one.metric.name}", *spread_cells(one.test)],
            [one.workload, "seconds to validation target", *spread_cells(one.time_to_validation)],
            [one.workload, "steps to validation target", *spread_cells(one.steps_to_validation)],
            [one.workload, "seconds to both targets", *spread_cells(one.time_to_both)],
            [one.workload, "steps to both targets", *spread_cells(one.steps_to_both)],
        ]
    names = ["workload", "over the reruns", "number", "min", "25 %", "median", "75 %", "max", "IQR / median"]
    return (
        "Targets: median best validation, worst best test among the reruns that reach it\n"
        + table(header, rows, num_left=3)
        + "\n\nSpread\n"
        + table(names, spreads, num_left=2)
    )


def spread_cells(spread: Spread) -> list[str]:
    return [str(spread.count), *map(metric_value, spread.quantiles), percent(spread.relative)]


def best_points(trials: Sequence[tuple[SweepTrial, float, int]]) -> str:
    """(best trial of a workload, its metric, number of trials) as rows."""
    rows = [
        [one.workload, one.algorithm, str(one.trial), metric_value(value), str(number_of)]
        for one, value, number_of in trials
    ]
    return "Best points of the sweep\n" + table(
        ["workload", "algorithm", "trial", "best validation", "of trials"], rows, num_left=2
    )


def calibrations(found: Collection[Calibration]) -> str:
    """Targets and how surely and when they are reached; then what other choices come to."""
    header = ["workload", "metric", "targets", "hit both", "left out", "updates to both", "seconds to both"]
    names = ["workload", "choice", "runs", "hit both", "first at update", "best", "gap", "median gap"]
    rows, choices = [], []
    for one in found:
        setting = one.setting
        rows.append(
            [
                setting.workload,
                setting.metric.name,
                f"{metric_value(setting.validation_target)}, {metric_value(setting.test_target)}",
                f"{round(setting.probability_both * len(setting.reruns))} of {len(setting.reruns)}",
                percent(setting.probability_left_out),
                median_and_range(setting.steps_to_both),
                median_and_range(setting.time_to_both),
            ]
        )
        choices += [[setting.workload, *choice_cells(choice)] for choice in one.algorithms]
        if one.weak:
            best = setting.reruns[0].trial.algorithm
            choices.append(
                [setting.workload, f"weak: {best}, {WEAK_FACTOR:g} x rate", *choice_cells(one.weak)[1:]]
            )
    return (
        "Reruns: median (least - most) to both targets of those that hit both\n"
        + table(header, rows, num_left=3)
        + "\n\nPoints of the sweep and the weak choice; gaps of best and median run to the target, in standard "
        "deviations of reruns\n" + table(names, choices, num_left=2)
    )


def choice_cells(choice: Choice) -> list[str]:
    first = min((hit.global_step for hit in choice.hits), default=np.nan)
    return [
        choice.name,
        str(choice.num_runs),
        str(len(choice.hits)),
        "-" if np.isnan(first) else f"{first:,.0f}",
        metric_value(choice.best),
        number(choice.gap, 1),
        number(choice.median_gap, 1),
    ]


def median_and_range(spread: Spread) -> str:
    if not spread.count:
        return "-"
    least, _, middle, _, most = spread.quantiles
    return f"{middle:,.0f} ({least:,.0f} - {most:,.0f})"


def calibrations_content(found: Collection[Calibration]) -> list[dict[str, Any]]:
    return [
        {
            "workload": one.setting.workload,
            "framework": one.setting.framework,
            "metric_name": one.setting.metric.name,
            "validation_target": one.setting.validation_target,
            "test_target": one.setting.test_target,
            "num_reruns": len(one.setting.reruns),
            "probability_both": one.setting.probability_both,
            "probability_left_out": one.setting.probability_left_out,
            "steps_to_both": list(one.setting.steps_to_both.quantiles),
            "seconds_to_both": list(one.setting.time_to_both.quantiles),
            "noise": one.noise,
            "algorithms": {choice.name: choice_content(choice) for choice in one.algorithms},
            "weak": choice_content(one.weak) if one.weak else None,
        }
        for one in found
    ]


def choice_content(choice: Choice) -> dict[str, Any]:
    return {
        "num_runs": choice.num_runs,
        "hits": [dataclasses.asdict(hit) for hit in choice.hits],
        "best_validation": choice.best,
        "gap": choice.gap,
        "median_gap": choice.median_gap,
    }


def variants(tests: Collection[VariantTest]) -> str:
    header = ["variant", "base", "metric", "points", "base -> variant", "variant -> base", "D"]
    header += ["best of base", "best of variant", "gap", "trainable"]
    rows = [
        [
            one.variant,
            one.base,
            one.metric.name,
            str(len(one.table.trials)),
            f"rank {one.base_to_variant.rank} ({metric_value(one.base_to_variant.value_away)})",
            f"rank {one.variant_to_base.rank} ({metric_value(one.variant_to_base.value_away)})",
            str(one.distinctness),
            metric_value(one.base_to_variant.value),
            metric_value(one.variant_to_base.value),
            percent(one.relative_gap),
            "yes" if one.is_trainable else "no",
        ]
        for one in tests
    ]
    return (
        "Variant test: rank of the best point of one workload on the other (metric there); D is the smaller rank\n"
        + table(header, rows, num_left=3)
    )


def variants_content(tests: Collection[VariantTest]) -> list[dict[str, Any]]:
    return [
        {
            "base": one.base,
            "variant": one.variant,
            "algorithm": one.table.algorithm,
            "metric_name": one.metric.name,
            "num_points": len(one.table.trials),
            "base_to_variant": transfer_content(one, one.base_to_variant),
            "variant_to_base": transfer_content(one, one.variant_to_base),
            "distinctness": one.distinctness,
            "is_trainable": one.is_trainable,
            "relative_gap": one.relative_gap,
            "tolerance": one.tolerance,
        }
        for one in tests
    ]


def transfer_content(test: VariantTest, transfer: Transfer) -> dict[str, Any]:
    return {
        "trial": transfer.trial,
        "point": dict(test.table.points[test.table.trials.index(transfer.trial)]),
        "best_validation": transfer.value,
        "rank": transfer.rank,
        "best_validation_away": transfer.value_away,
    }


def narrowed(spaces: Collection[Narrowed]) -> str:
    parts = []
    for one in spaces:
        names = list(one.space)
        chosen = [
            [
                workload,
                str(one.table.trials[index]),
                metric_value(float(row[index])),
                *(short(one.table.points[index].get(name)) for name in names),
            ]
            for workload, row, index in zip(one.table.workloads, one.table.values, one.chosen)
        ]
        ranges = [[name, space_entry(entry)] for name, entry in one.space.items()]
        parts.append(
            f"{one.table.algorithm}: best points\n"
            + table(["workload", "trial", "validation", *names], chosen)
            + f"\n\n{one.table.algorithm}: narrow search space\n"
            + table(["hyperparameter", "values"], ranges, num_left=2)
        )
    return "\n\n".join(parts)


def short(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def space_entry(entry: dict[str, Any]) -> str:
    if "feasible_points" in entry:
        return "{" + ", ".join(map(short, entry["feasible_points"])) + "}"
    return f"{entry['scaling']} [{entry['min']:.4g}, {entry['max']:.4g}]"


def narrowed_content(spaces: Collection[Narrowed]) -> list[dict[str, Any]]:
    return [
        {
            "algorithm": one.table.algorithm,
            "space": one.space,
            "chosen": {
                workload: {"trial": one.table.trials[index], "point": dict(one.table.points[index])}
                for workload, index in zip(one.table.workloads, one.chosen)
            },
            "replacements": [
                {"workload": r.workload, "trial": r.trial, "by": r.by, "degradation": r.degradation}
                for r in one.replacements
            ],
        }
        for one in spaces
    ]


def optlists(lists: Collection[OptList]) -> str:
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
            + table(header, rows, num_left=3)
        )
    return "\n\n".join(parts)


def optlists_content(lists: Collection[OptList]) -> list[dict[str, Any]]:
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


def degradations(results: Collection[Degradation]) -> str:
    header = ["algorithm", "workload", "best", "of overall point", "degradation"]
    parts = []
    for one in results:
        rows = [
            [
                one.table.algorithm,
                workload,
                metric_value(metric.best(values)),
                metric_value(float(values[one.overall])),
                percent(float(one.per_point[row, one.overall])),
            ]
            for row, (workload, metric, values) in enumerate(
                zip(one.table.workloads, one.table.metrics, one.table.values)
            )
        ]
        parts.append(
            f"{one.table.algorithm}: worst-case degradation {number(one.value, 4)} at trial "
            f"{one.table.trials[one.overall]} of {count(len(one.table.points), 'point')}\n"
            + table(header, rows, num_left=2)
        )
    return "\n\n".join(parts)


def degradations_content(results: Collection[Degradation]) -> list[dict[str, Any]]:
    return [
        {
            "algorithm": one.table.algorithm,
            "worst_case_degradation": one.value,
            "trial": one.table.trials[one.overall],
            "point": dict(one.table.points[one.overall]),
            "num_points": len(one.table.points),
            "workloads": {
                workload: {
                    "best": metric.best(values),
                    "of_overall_point": float(values[one.overall]),
                    "degradation": float(one.per_point[row, one.overall]),
                }
                for row, (workload, metric, values) in enumerate(
                    zip(one.table.workloads, one.table.metrics, one.table.values)
                )
            },
            "per_point": dict(zip(map(str, one.table.trials), one.worst.tolist())),
        }
        for one in results
    ]


Row = tuple[str, str, Metric, int]
"""Algorithm, workload, its metric, number of results."""


def budgets(rows: Sequence[tuple[Row, Sequence[SimulatedBudget]]]) -> str:
    levels = [f"{level:.0%}" for level in QUANTILES]
    header = ["algorithm", "workload", "metric", "of", "trials", *levels, "simulated median"]
    lines = [
        [
            algorithm,
            workload,
            metric.name,
            str(n),
            str(one.budget),
            *map(metric_value, metric.values(one.exact).tolist()),
            metric_value(float(metric.values(one.simulated)[QUANTILES.index(0.5)])),
        ]
        for (algorithm, workload, metric, n), results in rows
        for one in results
    ]
    return "Best of k trials: exact quantiles, from good luck to bad luck\n" + table(
        header, lines, num_left=3
    )


def budgets_content(rows: Sequence[tuple[Row, Sequence[SimulatedBudget]]]) -> list[dict[str, Any]]:
    return [
        {
            "algorithm": algorithm,
            "workload": workload,
            "metric_name": metric.name,
            "num_results": n,
            "quantiles": list(QUANTILES),
            "budgets": [
                {
                    "trials": one.budget,
                    "exact": metric.values(one.exact).tolist(),
                    "simulated": metric.values(one.simulated).tolist(),
                }
                for one in results
            ],
        }
        for (algorithm, workload, metric, n), results in rows
    ]


def expected(rows: Sequence[tuple[Row, ExpectedBest]]) -> str:
    header = ["algorithm", "workload", "metric", "trials", "expected best", "95 % interval", "unbiased"]
    header += ["5 %", "median", "95 %"]
    lines = []
    for (algorithm, workload, metric, _), curve in rows:
        for index in shown(len(curve.num_trials)):
            ends = sorted(metric.values(np.array([curve.low[index], curve.high[index]])).tolist())
            lines.append(
                [
                    algorithm,
                    workload,
                    metric.name,
                    str(curve.num_trials[index]),
                    metric_value(float(metric.values(curve.expected[index]))),
                    " - ".join(map(metric_value, ends)),
                    metric_value(float(metric.values(curve.unbiased[index]))),
                    *map(metric_value, metric.values(curve.luck[:, index]).tolist()),
                ]
            )
    return "Expected best validation metric of k trials; quantiles from good luck to bad luck\n" + table(
        header, lines, num_left=3
    )


def shown(length: int) -> list[int]:
    """Positions of the curve that the terminal shows: all of a short one, about evenly spaced in log of a long one.

    >>> shown(3), shown(200)[:6], shown(200)[-1]
    ([0, 1, 2], [0, 1, 2, 3, 6, 10], 199)
    """
    if length <= MAX_LINES:
        return list(range(length))
    return np.unique(np.round(np.geomspace(1, length, MAX_LINES)).astype(int) - 1).tolist()


def expected_content(rows: Sequence[tuple[Row, ExpectedBest]]) -> list[dict[str, Any]]:
    return [
        {
            "algorithm": algorithm,
            "workload": workload,
            "metric_name": metric.name,
            "num_results": n,
            "num_failed": curve.num_failed,
            "trials": curve.num_trials.tolist(),
            "expected": metric.values(curve.expected).tolist(),
            "unbiased": metric.values(curve.unbiased).tolist(),
            "interval_95": np.sort(metric.values(np.stack([curve.low, curve.high])), axis=0).T.tolist(),
            "quantile_levels": list(LUCK),
            "quantiles": metric.values(curve.luck).T.tolist(),
        }
        for (algorithm, workload, metric, n), curve in rows
    ]
