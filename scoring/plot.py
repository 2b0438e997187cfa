"""The performance-profile plot: interactive HTML, right-continuous step functions (needs plotly)."""

import importlib
import importlib.util
from pathlib import Path

from scoring import profiles
from scoring.leaderboard import Leaderboard
from scoring.records import STEPS

INSTALL = "pip install 'algoperf[plot]' (or pip install plotly)"


def is_available() -> bool:
    """Whether plotly is installed; does not import it."""
    return importlib.util.find_spec("plotly") is not None


def write_profile_plot(board: Leaderboard, path: Path) -> None:
    """One line per submission, best first in the legend; x = ratio to the fastest, y = share of workloads.

    The file is self-contained (it embeds plotly.js) and opens without a network.
    """
    graph_objects = importlib.import_module("plotly.graph_objects")
    r_max = board.settings.suite.r_max
    figure = graph_objects.Figure()
    for row in board.order():
        taus, shares = profiles.profile(board.ratios.values[row], r_max)
        figure.add_trace(
            graph_objects.Scatter(
                x=taus.tolist(),
                y=shares.tolist(),
                mode="lines",
                line={
                    "shape": "hv"
                },  # keeps the height until the next point, where it jumps: right-continuous
                name=f"{board.submissions[row]} ({board.scores[row]:.4f})",
            )
        )
    unit = "steps" if board.settings.axis == STEPS else "time"
    figure.update_layout(
        title=f"Performance profiles: {board.settings.suite.name}, {board.settings.ruleset_name} ruleset",
        xaxis={"title": f"{unit} to target / least {unit} to target", "range": [1, r_max]},
        yaxis={"title": "share of workloads", "range": [0, 1.02]},
        template="plotly_white",
    )
    path.write_text(figure.to_html(include_plotlyjs=True, full_html=True))
