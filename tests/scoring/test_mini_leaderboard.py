"""The results of reference algorithms that ship with the package, and the document that shows them."""

import re
from pathlib import Path

import pytest

from algoperf import suites
from scoring import command, published
from scoring.command import Config
from scoring.records import AXES

DOCUMENT = Path(__file__).parents[2] / "docs" / "mini_leaderboard.md"
SUITES = {"self": "mini", "external": "mini_quick"}
"""Ruleset -> suite whose workloads were run."""


@pytest.fixture(scope="module", params=SUITES)
def ruleset(request):
    return request.param


@pytest.fixture(scope="module")
def boards(ruleset):
    """Axis -> leaderboard."""
    given = {
        "submissions_dir": None,
        "suite": SUITES[ruleset],
        "ruleset": ruleset,
        "compare_to": "mini",
        "bootstrap_samples": 0,
    }
    return {axis: command.run(Config(axis=axis, **given)).board for axis in AXES}


def test_all_that_the_suite_asks_was_run(ruleset):
    suite = suites.load(SUITES[ruleset])
    asked = suite.ruleset(ruleset)
    results = published.load("mini", ruleset, suite, "steps").results
    assert not results.findings
    each = len(suite.scored_names()) * asked.num_studies * asked.num_trials
    assert len(results.trials) == each * len(results.submissions)
    assert f"mini/{published.REFERENCES['mini']}" in results.submissions


def test_the_document_shows_the_scores(ruleset, boards):
    """Rows are | submission | score by time (interval) | rank | score by updates (interval) | rank | reached |."""
    found = re.findall(
        r"^\| (\w+) \| ([\d.]+)[^|]*\| \d[^|]*\| ([\d.]+)[^|]*\| \d[^|]*\| \d+ \|$",
        _section(ruleset),
        re.MULTILINE,
    )
    shown = {f"mini/{name}": scores for name, *scores in found}
    by_time, by_steps = (dict(zip(board.submissions, board.scores)) for board in boards.values())
    assert shown == {name: [f"{by_time[name]:.4f}", f"{by_steps[name]:.4f}"] for name in by_time}


def test_the_document_shows_the_times(ruleset, boards):
    """Rows of the last table are | submission | seconds, updates | seconds, updates | ...; a dash is a miss."""
    rows = re.findall(r"^\| (\w+)((?: \| (?:[\d,]+ s, [\d,]+|-))+) \|$", _section(ruleset), re.MULTILINE)
    shown = {f"mini/{name}": cells.split(" | ")[1:] for name, cells in rows}
    seconds, updates = (board.table.values() for board in boards.values())
    names = boards["steps"].submissions
    expected = {
        name: [
            "-" if t == float("inf") else f"{t:,.0f} s, {u:,.0f}" for t, u in zip(seconds[row], updates[row])
        ]
        for row, name in enumerate(names)
    }
    assert shown == expected


def _section(ruleset: str) -> str:
    """The part of the document on one ruleset."""
    heading = {"self": "## Self-tuning", "external": "## External tuning"}[ruleset]
    return DOCUMENT.read_text().split(heading)[1].split("\n## ")[0]
