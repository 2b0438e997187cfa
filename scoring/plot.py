"""The performance-profile plot, right-continuous step functions: interactive HTML (plotly), and a picture."""

import importlib
import importlib.util
from pathlib import Path

from algoperf import files
from scoring import picture, profiles
from scoring.leaderboard import Leaderboard
from scoring.results import STEPS

INSTALL = "pip install 'algoperf[plot]'"


def is_available() -> bool:
    """Whether plotly is installed; does not import it."""
    return importlib.util.find_spec("plotly") is not None


def write_profile_plot(board: Leaderboard, path: Path) -> None:
    """One line per submission, best first in the legend; x = ratio to the fastest, y = share of workloads.

    The file is self-contained (it embeds plotly.js) and opens without a network.
    """
    graph_objects = importlib.import_module("plotly.graph_objects")
    figure = graph_objects.Figure()
    for name, taus, shares in _lines(board):
        figure.add_trace(
            graph_objects.Scatter(
                x=taus,
                y=shares,
                mode="lines",
                # Keeps the height until the next point, where it jumps: right-continuous.
                line={"shape": "hv"},
                name=name,
            )
        )
    x_name, y_name = _axes(board)
    figure.update_layout(
        title=_title(board),
        xaxis={"title": x_name, "range": [1, board.settings.suite.r_max]},
        yaxis={"title": y_name, "range": [0, 1.02]},
        template="plotly_white",
    )
    files.write_text(path, figure.to_html(include_plotlyjs=True, full_html=True))


def write_profile_picture(board: Leaderboard, path: Path) -> None:
    """The same for a page that shows pictures only, as SVG; needs no library."""
    x_name, y_name = _axes(board)
    r_max = board.settings.suite.r_max
    page = picture.draw(_lines(board), title=_title(board), x_name=x_name, y_name=y_name, x_max=r_max)
    files.write_text(path, page)


def _lines(board: Leaderboard) -> list[tuple[str, list[float], list[float]]]:
    """Name with score, ratios at which the profile jumps, share of workloads from there on; best first."""
    found = []
    for row in board.order():
        taus, shares = profiles.profile(board.ratios.values[row], board.settings.suite.r_max)
        name = f"{board.label(row)} ({board.scores[row]:.4f})"
        found.append((name, taus.tolist(), shares.tolist()))
    return found


def _title(board: Leaderboard) -> str:
    return f"Performance profiles: {board.settings.suite.name}, {board.settings.ruleset_name} ruleset"


def _axes(board: Leaderboard) -> tuple[str, str]:
    unit = "steps" if board.settings.axis == STEPS else "time"
    return f"{unit} to target / least {unit} to target", "share of workloads"
