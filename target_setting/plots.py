"""Pictures of the procedures: interactive HTML, one file each (needs plotly)."""

import importlib
import itertools
import math
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from scoring.plot import INSTALL, is_available
from target_setting.budgets import QUANTILES, SimulatedBudget
from target_setting.calibration import Calibration
from target_setting.degradation import Degradation
from target_setting.expected_best import ExpectedBest
from target_setting.narrow import Narrowed
from target_setting.optlist import OptList
from target_setting.results import Metric, Table
from target_setting.targets import TargetSetting
from target_setting.variants import VariantTest

__all__ = ["INSTALL", "is_available", "write"]

BAND = "rgba(31, 119, 180, 0.2)"
COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd")
COLUMNS = 3
Panel = tuple[str, str, str, Callable[[Any], Sequence[Any]]]
"""Title, name of the x axis, of the y axis, and traces from `plotly.graph_objects`."""


def write(path: Path, title: str, panels: Sequence[Panel], **axes: Any) -> None:
    """A self-contained page with one panel per entry; `axes` go to all x axes (`type="log"`)."""
    graph_objects = importlib.import_module("plotly.graph_objects")
    subplots = importlib.import_module("plotly.subplots")
    columns = min(COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = subplots.make_subplots(rows=rows, cols=columns, subplot_titles=[panel[0] for panel in panels])
    for index, (_, x_name, y_name, traces) in enumerate(panels):
        place = {"row": index // columns + 1, "col": index % columns + 1}
        for color, trace in zip(itertools.cycle(COLORS), traces(graph_objects)):
            trace.showlegend = bool(trace.name) and index == 0
            if trace.type == "scatter" and not (trace.marker.color or trace.line.color):
                trace.update(marker_color=color, line_color=color)  # The same in every panel.
            figure.add_trace(trace, **place)
        figure.update_xaxes(title=x_name, **axes, **place)
        figure.update_yaxes(title=y_name, **place)
    figure.update_layout(title=title, template="plotly_white", height=120 + 380 * rows)
    path.write_text(figure.to_html(include_plotlyjs=True, full_html=True))


def targets(settings: Collection[TargetSetting]) -> list[Panel]:
    """Best validation and test metric of each rerun, and the two targets as lines."""

    def panel(setting: TargetSetting) -> Panel:
        x = np.array([rerun.best_validation for rerun in setting.reruns])
        y = np.array([rerun.best_test for rerun in setting.reruns])
        labels = [f"study {rerun.trial.study}" for rerun in setting.reruns]
        met = np.array([rerun.both_hit is not None for rerun in setting.reruns])

        def traces(go: Any) -> list[Any]:
            groups = [("meets both targets", met, "#2ca02c"), ("does not", ~met, "#d62728")]
            points = [
                go.Scatter(
                    x=x[keep].tolist(),
                    y=y[keep].tolist(),
                    text=[label for label, kept in zip(labels, keep) if kept],
                    mode="markers",
                    name=name,
                    marker={"color": color, "size": 9},
                )
                for name, keep, color in groups
            ]
            ends = [_ends(x, setting.validation_target), _ends(y, setting.test_target)]
            dash = {"dash": "dash", "color": "gray"}
            vertical = go.Scatter(x=[setting.validation_target] * 2, y=ends[1], mode="lines", line=dash)
            horizontal = go.Scatter(x=ends[0], y=[setting.test_target] * 2, mode="lines", line=dash)
            return [*points, vertical, horizontal]

        name = setting.metric.name
        return setting.workload, f"best validation {name}", f"best test {name}", traces

    return [panel(setting) for setting in settings]


def calibrations(found: Collection[Calibration]) -> list[Panel]:
    """Best validation metric of each run by kind of choice, with the target as a line."""

    def panel(one: Calibration) -> Panel:
        setting = one.setting
        groups = [("reruns", [rerun.best_validation for rerun in setting.reruns])]
        groups += [
            (choice.name, choice.values) for choice in (*one.algorithms, *([one.weak] if one.weak else []))
        ]

        def traces(go: Any) -> list[Any]:
            points = [
                go.Scatter(x=[name] * len(values), y=list(values), mode="markers", name=name)
                for name, values in groups
            ]
            target = go.Scatter(
                x=[groups[0][0], groups[-1][0]],
                y=[setting.validation_target] * 2,
                mode="lines",
                line={"dash": "dash", "color": "gray"},
            )
            return [*points, target]

        return setting.workload, "", f"best validation {setting.metric.name}", traces

    return [panel(one) for one in found]


def _ends(values: np.ndarray, target: float) -> list[float]:
    known = [*values[np.isfinite(values)].tolist(), target]
    return [min(known), max(known)]


def variants(tests: Collection[VariantTest]) -> list[Panel]:
    """Every point's metric on base and variant; the best of each marked."""

    def panel(test: VariantTest) -> Panel:
        base, variant = test.table.values

        def traces(go: Any) -> list[Any]:
            marked = []
            for name, transfer, symbol in (
                ("best of base", test.base_to_variant, "star"),
                ("best of variant", test.variant_to_base, "diamond"),
            ):
                index = test.table.trials.index(transfer.trial)
                marked.append(
                    go.Scatter(
                        x=[base[index]],
                        y=[variant[index]],
                        mode="markers",
                        name=name,
                        marker={"symbol": symbol, "size": 14},
                    )
                )
            return [_points(go, base, variant, test.table), *marked]

        words = f"{test.variant}: D = {test.distinctness}"
        return words, f"{test.base} {test.metric.name}", f"{test.metric.name}", traces

    return [panel(test) for test in tests]


def _points(go: Any, x: np.ndarray, y: np.ndarray, table: Table) -> Any:
    return go.Scatter(
        x=x.tolist(),
        y=y.tolist(),
        text=[f"trial {trial}" for trial in table.trials],
        mode="markers",
        name="points",
        marker={"color": "#bbbbbb"},
    )


def narrowed(spaces: Collection[Narrowed]) -> list[Panel]:
    """Learning rate and weight decay of all points, the chosen ones, and the range."""

    def panel(one: Narrowed) -> Panel:
        names = [name for name in ("learning_rate", "weight_decay") if name in one.space]
        names = (names + [name for name in one.space if name not in names])[:2]
        x, y = ([point[name] for point in one.table.points] for name in (names * 2)[:2])

        def traces(go: Any) -> list[Any]:
            points = _points(go, np.array(x), np.array(y), one.table)
            chosen = go.Scatter(
                x=[x[index] for index in one.chosen],
                y=[y[index] for index in one.chosen],
                text=list(one.table.workloads),
                mode="markers",
                name="best of a workload",
                marker={"size": 11},
            )
            ranges = [one.space[name] for name in (names * 2)[:2]]
            if not all("min" in each for each in ranges):
                return [points, chosen]
            (left, right), (low, high) = ((each["min"], each["max"]) for each in ranges)
            outline = go.Scatter(
                x=[left, right, right, left, left], y=[low, low, high, high, low], mode="lines", name="space"
            )
            return [points, chosen, outline]

        return one.table.algorithm, *(names * 2)[:2], traces

    return [panel(one) for one in spaces]


def optlists(lists: Collection[OptList]) -> list[Panel]:
    """Rank of each entry on each workload."""

    def panel(one: OptList) -> Panel:
        def traces(go: Any) -> list[Any]:
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


def degradations(results: Collection[Degradation]) -> list[Panel]:
    """δ on each workload for the point with the least worst case."""

    def panel(one: Degradation) -> Panel:
        def traces(go: Any) -> list[Any]:
            return [go.Bar(x=list(one.table.workloads), y=one.per_point[:, one.overall].tolist())]

        return f"{one.table.algorithm}: worst case {one.value:.3f}", "", "relative degradation", traces

    return [panel(one) for one in results]


def budgets(rows: Collection[tuple[str, Metric, Sequence[SimulatedBudget]]]) -> list[Panel]:
    """Median of the best of k trials with its 5 and 95 % quantiles, exact and simulated; `rows` have titles."""

    def panel(title: str, metric: Metric, results: Sequence[SimulatedBudget]) -> Panel:
        x = [one.budget for one in results]
        exact, simulated = (
            metric.values(np.array([getattr(one, name) for one in results]))
            for name in ("exact", "simulated")
        )
        middle = QUANTILES.index(0.5)

        def traces(go: Any) -> list[Any]:
            ends = [
                go.Scatter(x=x, y=exact[:, index].tolist(), mode="lines", line={"dash": "dot"}, name=name)
                for index, name in ((0, "lucky: 5 %"), (-1, "unlucky: 95 %"))
            ]
            median = go.Scatter(x=x, y=exact[:, middle].tolist(), mode="lines+markers", name="median")
            check = go.Scatter(x=x, y=simulated[:, middle].tolist(), mode="markers", name="simulated")
            return [*ends, median, check]

        return title, "trials", f"best validation {metric.name}", traces

    return [panel(*row) for row in rows]


def expected(rows: Collection[tuple[str, Metric, ExpectedBest]]) -> list[Panel]:
    """Expected best with its bootstrap interval, and the 5 to 95 % range of luck; `rows` have titles."""

    def panel(title: str, metric: Metric, curve: ExpectedBest) -> Panel:
        x = curve.num_trials.tolist()

        def traces(go: Any) -> list[Any]:
            def line(costs: np.ndarray, **options: Any) -> Any:
                return go.Scatter(x=x, y=metric.values(costs).tolist(), mode="lines", **options)

            thin, dotted = {"width": 0}, {"dash": "dot", "color": "gray"}
            return [
                line(curve.low, line=thin),
                line(curve.high, line=thin, fill="tonexty", fillcolor=BAND, name="95 % interval"),
                line(curve.expected, name="expected best"),
                line(curve.luck[0], line=dotted, name="lucky: 5 %"),
                line(curve.luck[2], line=dotted, name="unlucky: 95 %"),
            ]

        return title, "trials", f"best validation {metric.name}", traces

    return [panel(*row) for row in rows]
