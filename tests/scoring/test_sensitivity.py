"""What a ranking hangs on, on hand-made fields and on the official entries."""

import dataclasses
import json
import math
import re

import numpy as np
import pytest

from algoperf import suites
from scoring import curves, published, report_parts, results, score_field, sensitivity
from scoring.leaderboard import Settings, make_leaderboard
from scoring.procedure import CLEAN
from scoring.results import SUBMISSION_TIME
from scoring.score_field import Config


@pytest.fixture(scope="module")
def official_board():
    suite = suites.load("algoperf_v05")
    found = published.read_trials(published.DATA_DIR / "algoperf_v05_external.csv")
    return board_of(found, suite)


def board_of(found, suite):
    settings = Settings(suite=suite, ruleset_name="external", procedure=CLEAN, axis=SUBMISSION_TIME)
    return make_leaderboard(found, settings)


def without(found, name):
    return results.Results(
        tuple(one for one in found.submissions if one != name),
        tuple(trial for trial in found.trials if trial.submission != name),
    )


def test_the_line_on_first_place_agrees_with_leaving_the_entry_out(official_board):
    (line,) = report_parts.first_place_lines(official_board)
    assert "without caspr_adaptive, schedule_free_adamw is first: 0.809 to 0.803" in line
    found = published.read_trials(published.DATA_DIR / "algoperf_v05_external.csv")
    other = board_of(without(found, "caspr_adaptive"), official_board.settings.suite)
    first, second = other.order()[:2]
    assert other.submissions[first] == "schedule_free_adamw"
    assert [f"{other.scores[row]:.3f}" for row in (first, second)] == ["0.809", "0.803"]


def test_leaving_out_any_entry_or_workload_gives_the_scores_of_the_smaller_field(official_board):
    found = published.read_trials(published.DATA_DIR / "algoperf_v05_external.csv")
    suite = official_board.settings.suite
    for one in sensitivity.left_out(official_board):
        if one.kind == "entry":
            expected = board_of(without(found, one.what), suite)
        else:
            kept = [name for name in suite.workloads if name != one.what]
            expected = board_of(found, suites.customize(suite, workloads=kept))
        assert one.submissions == expected.submissions
        np.testing.assert_allclose(one.scores, expected.scores, rtol=1e-12)
        np.testing.assert_array_equal(one.ranks, expected.ranks())


def test_a_first_place_that_nothing_changes_has_no_line(official_board):
    found = published.read_trials(published.DATA_DIR / "algoperf_v05_external.csv")
    names = ("amos", "schedule_free_prodigy")
    trials = tuple(trial for trial in found.trials if trial.submission in names)
    board = board_of(results.Results(names, trials), official_board.settings.suite)
    assert report_parts.first_place_lines(board) == []


@pytest.mark.parametrize(
    ("metric", "higher", "target", "expected"),
    [
        ("error_rate", False, 0.2, 0.22),
        ("accuracy", True, 0.8, 0.78),
        ("accuracy", True, 0.3, 0.27),
        ("bleu", True, 30.0, 27.0),
        ("loss", False, 0.12, 0.132),
        ("ssim", True, 0.7, 0.67),
    ],
)
def test_a_target_moves_by_a_share_of_its_distance_to_the_nearer_end(metric, higher, target, expected, suite):
    targets = dataclasses.replace(
        suite.targets("up"), metric_name=metric, higher_is_better=higher, validation_target=target
    )
    moved = curves.relaxed(targets, 0.1).validation_target
    assert moved == pytest.approx(expected)
    assert curves.relaxed(targets, -0.1).validation_target == pytest.approx(2 * target - expected)


@pytest.fixture
def score(tmp_path, suite, monkeypatch):
    monkeypatch.setattr(suites, "load", lambda name: suite)

    def score(**options):
        options = {"bootstrap_samples": 50, "suite": "test", "sensitivity": True, **options}
        return score_field.run(Config(submissions_dir=tmp_path / "submissions", **options))

    return score


def test_relaxed_targets_are_looked_up_in_the_stored_evaluations(score, write_trial, tmp_path):
    # 'early' is at 0.21 soon and at 0.2 late; 'late' jumps below 0.19.
    for study in range(3):
        for trial in (1, 2):
            where = {"study": study, "trial": trial, "metric": "loss"}
            write_trial("early", "down_jax", **where, rows=[(10.0, 0.21), (60.0, 0.2), (61.0, 0.15)])
            write_trial("late", "down_jax", **where, rows=[(30.0, 0.3), (40.0, 0.1)])
    scored = score(workloads=("down",), output_dir=tmp_path / "out")
    targets = {one.what: one for one in scored.variations if one.kind == "target"}
    assert targets["relaxed by 1%"].first == ("late",)
    assert targets["relaxed by 5%"].first == ("early",)
    assert targets["tightened by 2%"].first == ("late",)
    text = re.sub(r"\s+", " ", scored.text())
    assert "targets relaxed by 5%: late 1 -> 2; early 2 -> 1" in text
    content = json.loads((tmp_path / "out" / "scores.json").read_text())
    (one,) = [one for one in content["sensitivity"] if one["what"] == "relaxed by 5%"]
    assert one["submissions"]["early"]["rank"] == 1


def test_tightened_targets_beyond_the_end_of_the_runs_are_not_ranked(score, write_trial):
    for study in range(3):
        write_trial("adam", "down_jax", study=study, trial=1, rows=[(10.0, 0.2)], metric="loss")
        write_trial("muon", "down_jax", study=study, trial=1, rows=[(20.0, 0.1)], metric="loss")
    scored = score(workloads=("down",), num_trials=1)
    assert not any(one.what.startswith("tightened") for one in scored.variations)
    assert any("tightened by 1% are not ranked: 3 of 6 hits" in note for note in scored.variation_notes)


def test_entries_without_curves_leave_targets_out_and_say_so():
    scored = score_field.run(
        Config(
            submissions_dir=None,
            suite="algoperf_v05",
            compare_to="algoperf_v05",
            bootstrap_samples=0,
            sensitivity=True,
        )
    )
    assert {one.kind for one in scored.variations} == {"entry", "workload", "r_max"}
    assert "only the first hits are stored" in scored.variation_notes[0]


def test_mini_entries_bring_their_curves():
    suite = suites.load("mini_quick")
    trials = published.load("mini", "external", suite, SUBMISSION_TIME).results.trials
    stored = published.curves("mini", "external", suite, trials)
    assert len(stored) == 135
    assert all(one.log is not None for one in stored)
    hits = curves.at_targets(stored, suites.load("mini_quick"), 0.0)
    for curve, hit in zip(stored, hits):
        assert (hit.trial.hit is None) == (curve.trial.hit is None)
        if hit.trial.hit:
            assert math.isclose(
                hit.trial.hit.submission_time_sec, curve.trial.hit.submission_time_sec, rel_tol=1e-12
            )
