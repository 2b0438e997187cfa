"""The performance-profile plot, right-continuous step functions: interactive HTML (plotly), a picture (matplotlib)."""

import importlib
import importlib.util
import itertools
from pathlib import Path

from algoperf import files
from scoring import profiles
from scoring.leaderboard import Leaderboard
from scoring.results import STEPS

INSTALL = "pip install 'algoperf[plot]'"


def is_available() -> bool:
    """Whether plotly is installed; does not import it."""
    return importlib.util.find_spec("plotly") is not None


def is_picture_available() -> bool:
    """Whether matplotlib is installed; does not import it."""
    return importlib.util.find_spec("matplotlib") is not None


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
    """The same for a page that shows pictures only; the suffix says the format (.svg, .png, .pdf)."""
    matplotlib = importlib.import_module("matplotlib")
    figure = importlib.import_module("matplotlib.figure").Figure(figsize=(9, 5), layout="constrained")
    axes = figure.subplots()
    styles = itertools.cycle(("-", "--", ":"))
    for (name, taus, shares), color in zip(_lines(board), itertools.cycle(range(10))):
        if color == 0:
            style = next(styles)
        axes.step(taus, shares, where="post", label=name, color=f"C{color}", linestyle=style)
    axes.set_xlim(1, board.settings.suite.r_max)
    axes.set_ylim(0, 1.02)
    axes.set_title(_title(board))
    x_name, y_name = _axes(board)
    axes.set_xlabel(x_name)
    axes.set_ylabel(y_name)
    axes.grid(alpha=0.3)
    if board.submissions:
        axes.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False)
    # Without a date and with fixed identifiers, the same results give the same file.
    settings = {"svg.hashsalt": "algoperf", "svg.fonttype": "none"}
    meta_data = {"Date": None} if path.suffix == ".svg" else None
    # A full disk leaves no half of a picture.
    with matplotlib.rc_context(settings), files.replacing(path) as temporary:
        figure.savefig(temporary, format=path.suffix[1:], metadata=meta_data)


def _lines(board: Leaderboard) -> list[tuple[str, list[float], list[float]]]:
    """Name with score, ratios at which the profile jumps, share of workloads from there on; best first."""
    found = []
    for row in board.order():
        taus, shares = profiles.profile(board.ratios.values[row], board.settings.suite.r_max)
        name = f"{board.submissions[row]} ({board.scores[row]:.4f})"
        found.append((name, taus.tolist(), shares.tolist()))
    return found


def _title(board: Leaderboard) -> str:
    return f"Performance profiles: {board.settings.suite.name}, {board.settings.ruleset_name} ruleset"


def _axes(board: Leaderboard) -> tuple[str, str]:
    unit = "steps" if board.settings.axis == STEPS else "time"
    return f"{unit} to target / least {unit} to target", "share of workloads"
