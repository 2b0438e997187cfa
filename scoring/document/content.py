"""All parts of the document together, and its file."""

import importlib.resources
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from algoperf import files
from algoperf.submission_info import SubmissionInfo
from scoring import output, sources
from scoring.differences import Differences
from scoring.document import axes, curves, hits, trials, tuning, why, workloads
from scoring.leaderboard import Leaderboard
from scoring.results import Finding, Trial
from scoring.sensitivity import Variation

LINE_EACH = ("trials", "curves", "hits")
"""Parts that are written without line breaks within their own parts: they hold most of the numbers."""


@dataclass(frozen=True, kw_only=True)
class Origin:
    """Where a field comes from, for links and descriptions."""

    places: tuple[sources.Source, ...] = ()
    output_dir: Path | None = None
    infos: Mapping[str, SubmissionInfo] = field(default_factory=dict)
    relaxed_targets: float = 0.0
    """Share by which the targets were relaxed."""
    is_running: bool = False
    """Whether more results are to come."""


def make(
    board: Leaderboard,
    findings: Collection[Finding],
    differences: Differences | None,
    notes: Collection[str],
    found: Sequence[Trial],
    variations: Collection[Variation],
    origin: Origin,
) -> dict[str, Any]:
    """The document, as plain JSON types: what `output.scores_content` holds, and all that explains it."""
    points = trials.hyperparameters(found, origin.places)
    return {
        **output.scores_content(board, findings, differences, notes, found, variations),
        "relaxed_targets": origin.relaxed_targets,
        "is_running": origin.is_running,
        "workloads": workloads.content(board),
        "times": workloads.times(board),
        "axes": axes.content(board, found),
        "infos": workloads.infos(origin.infos),
        "why": why.content(board, found),
        "tuning": tuning.content(board, found, points),
        "hits": hits.content(board, found),
        "trials": trials.content(found, points, origin.places, origin.output_dir),
        "curves": curves.content(found),
    }


def text(content: Mapping[str, Any]) -> str:
    """JSON, indented where people read it and dense where numbers stand."""
    parts = [f"{json.dumps(name)}: {_part(name, value)}" for name, value in content.items()]
    return "{\n" + ",\n".join(parts) + "\n}\n"


def _part(name: str, value: Any) -> str:
    if name not in LINE_EACH or not value:
        return json.dumps(value, indent=1, allow_nan=False)
    if isinstance(value, list):
        return "[\n" + ",\n".join(map(_dense, value)) + "\n]"
    return "{\n" + ",\n".join(f"{json.dumps(key)}: {_dense(part)}" for key, part in value.items()) + "\n}"


def _dense(value: Any) -> str:
    # An infinity here is a bug: see `output.finite`.
    return json.dumps(value, separators=(",", ":"), allow_nan=False)


def write(path: Path, content: Mapping[str, Any]) -> None:
    """The file, whole or not at all."""
    files.write_text(path, text(content))


def schema() -> dict[str, Any]:
    """The JSON Schema of the document, as shipped."""
    return json.loads((importlib.resources.files("scoring.document") / "schema.json").read_text())
