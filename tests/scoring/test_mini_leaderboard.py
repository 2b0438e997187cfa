"""The results of reference algorithms that ship with the package, and the document that shows them."""

import collections
import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest

from algoperf import suites
from scoring import archive, published, score_field
from scoring.leaderboard import make_leaderboard
from scoring.results import AXES, Hit
from scoring.score_field import Config

DOCUMENT = Path(__file__).parents[2] / "docs" / "mini_leaderboard.md"
SUITES = {"self": "mini", "external": "mini_quick"}
"""Ruleset -> suite whose workloads were run."""


@pytest.fixture(scope="module", params=SUITES)
def ruleset(request):
    return request.param


@pytest.fixture(scope="module")
def boards(ruleset):
    """Axis -> leaderboard, with the intervals of the command's defaults."""
    given = {
        "submissions_dir": None,
        "suite": SUITES[ruleset],
        "ruleset": ruleset,
        "compare_to": "mini",
    }
    return {axis: score_field.run(Config(axis=axis, **given)).board for axis in AXES}


@pytest.mark.slow
def test_all_that_the_suite_asks_was_run(ruleset):
    suite = suites.load(SUITES[ruleset])
    asked = suite.ruleset(ruleset)
    results = published.load("mini", ruleset, suite, "steps").results
    assert not results.findings
    each = len(suite.scored_names()) * asked.num_studies * asked.num_trials
    assert len(results.trials) == each * len(results.submissions)
    assert f"mini/{published.REFERENCES['mini']}" in results.submissions


@pytest.mark.slow
def test_the_document_shows_scores_and_ranks_with_their_intervals(ruleset, boards):
    """Rows are | submission | score by time | rank | score by updates | rank | workloads reached, by time |."""
    row = re.compile(
        r"^\| (\w+) \|(( [\d.]+ \([\d.]+ - [\d.]+\) \| \d( \(\d - \d\))? \|){2} \d+) \|$", re.MULTILINE
    )
    shown = {f"mini/{name}": cells.strip().split(" | ") for name, cells, *_ in row.findall(_section(ruleset))}
    by_time = boards["submission_time"]
    reached = dict(zip(by_time.submissions, np.isfinite(by_time.ratios.values).sum(axis=1)))
    cells = [_scores_and_ranks(board) for board in boards.values()]
    assert shown == {name: [*cells[0][name], *cells[1][name], str(reached[name])] for name in reached}
    assert list(shown) == [by_time.submissions[place] for place in by_time.order()]


def _scores_and_ranks(board):
    """Submission -> score with its interval, rank with its own where it has two ends."""
    cells, ranks = {}, board.ranks()
    for place, name in enumerate(board.submissions):
        score, rank = (
            (one.low[place], one.high[place]) for one in (board.uncertainty.score, board.uncertainty.rank)
        )
        spread = "" if rank[0] == rank[1] else f" ({rank[0]:.0f} - {rank[1]:.0f})"
        cells[name] = [
            f"{board.scores[place]:.4f} ({score[0]:.2f} - {score[1]:.2f})",
            f"{ranks[place]}{spread}",
        ]
    return cells


@pytest.mark.slow
def test_early_stops_changed_no_score_and_hardly_an_interval(ruleset, boards):
    """A stopped trial could have reached its target right after the stop, or never; both give the same."""
    stops = {}
    with archive.unpacked(published.DATA_DIR / f"mini_{ruleset}.tar.xz") as root:
        for path in root.rglob("summary.json"):
            trial = json.loads(path.read_text())
            if trial["status"] == "stopped":
                key = (f"mini/{path.parts[-5]}", trial["workload"], trial["study"], trial["trial"])
                stops[key] = (
                    trial["stop_reason"].split(":")[0],
                    trial["submission_time_sec"],
                    trial["global_step"],
                )
    rules = collections.Counter(rule for rule, *_ in stops.values())
    words = re.search(
        r"Early stops ended (\d+) of the (\d+) trials, (\d+|all) of them by the r_max rule",
        _section(ruleset),
    )
    results = published.load("mini", ruleset, suites.load(SUITES[ruleset]), "steps").results
    num_r_max = "all" if set(rules) == {"r_max"} else str(rules["r_max"])
    assert words.groups() == (str(len(stops)), str(len(results.trials)), num_r_max)

    def reached(trial):
        stop = stops.get((trial.submission, trial.workload, trial.study, trial.trial))
        return dataclasses.replace(trial, hit=Hit(999, *stop[1:])) if stop and not trial.hit else trial

    changed = dataclasses.replace(results, trials=tuple(map(reached, results.trials)))
    assert changed != results
    for board in boards.values():
        other = make_leaderboard(changed, board.settings, num_bootstrap_samples=1000)
        np.testing.assert_array_equal(other.scores, board.scores)
        one, two = other.uncertainty.score, board.uncertainty.score
        # A study that reached its target late is no longer one that missed it.
        np.testing.assert_allclose((one.low, one.high), (two.low, two.high), atol=0.07)


@pytest.mark.slow
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
