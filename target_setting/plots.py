"""What the pictures of the procedures share: a page of panels as interactive HTML (needs plotly)."""

import importlib
import importlib.util
import itertools
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from algoperf import files
from target_setting.sweep_tables import Table

INSTALL = "pip install 'algoperf[plot]'"
COLORS = ("#1f77b4", "#ff7f0e", "#2ca02c", "#d62728", "#9467bd")
COLUMNS = 3
DASHED = {"dash": "dash", "color": "gray"}
"""Lines of targets."""
Trace = Any
"""One of plotly's, which has no types and is imported only where a picture is drawn."""
Panel = tuple[str, str, str, Callable[[ModuleType], Sequence[Trace]]]
"""Title, name of the x axis, of the y axis, and traces from `plotly.graph_objects`."""


def is_available() -> bool:
    """Whether plotly is installed; does not import it."""
    return importlib.util.find_spec("plotly") is not None


def write(path: Path, title: str, panels: Sequence[Panel], **axes: str) -> None:
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
    files.write_text(path, figure.to_html(include_plotlyjs=True, full_html=True))


def points(go: ModuleType, x: np.ndarray, y: np.ndarray, table: Table) -> Trace:
    """All points of a table in gray, labelled with their trials."""
    return go.Scatter(
        x=x.tolist(),
        y=y.tolist(),
        text=[f"trial {trial}" for trial in table.trials],
        mode="markers",
        name="points",
        marker={"color": "#bbbbbb"},
    )
