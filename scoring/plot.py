"""The performance profile as a picture: right-continuous step functions."""

from pathlib import Path

from algoperf import files
from scoring import picture, profiles
from scoring.leaderboard import Leaderboard
from scoring.results import STEPS


def write_profile_picture(board: Leaderboard, path: Path) -> None:
    """SVG; one line per submission, best first in the legend; x = ratio to the fastest, y = share of workloads."""
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
