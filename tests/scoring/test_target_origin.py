"""Verdicts that hang on how a target was set."""

import dataclasses
import json

import pytest

from algoperf import suites
from algoperf.suites import TargetOrigin
from scoring import score_field, target_origin


@pytest.fixture
def score(tmp_path, suite, monkeypatch):
    def score(reruns, **options):
        origins = {"up": TargetOrigin(tuple(reruns))} if reruns else {}
        bare = dataclasses.replace(suite, held_out={}, origins=origins)
        monkeypatch.setattr(suites, "load", lambda name: bare)
        config = score_field.Config(
            submissions_dir=tmp_path / "submissions",
            suite="test",
            bootstrap_samples=0,
            num_trials=1,
            workloads=("up",),
            **options,
        )
        return score_field.run(config)

    return score


def write(write_trial, name, *bests):
    for study, best in enumerate(bests):
        write_trial(name, "up_jax", study=study, rows=[(10.0, 0.1), (95.0, best)])


FEW = (0.78, 0.79, 0.8, 0.82, 0.83)


def note_of(scored):
    return next((note for note in scored.notes if "reruns" in note), "")


def test_a_miss_within_the_uncertainty_of_its_target_is_named(score, write_trial):
    write(write_trial, "near", 0.79, 0.785, 0.1)  # The target is 0.8.
    write(write_trial, "far", 0.79, 0.7, 0.1)
    write(write_trial, "good", 0.9, 0.84, 0.9)
    write(write_trial, "barely", 0.81, 0.82, 0.9)
    note = note_of(score(FEW))
    assert "Some targets were set from 5 reruns (the AlgoPerf paper takes 20)." in note
    assert "up: 5 reruns put the target between 0.78 and 0.83, and near missed it within that" in note
    assert "1 of 2 that reached it are within it, too" in note
    assert "far" not in note


def test_hits_within_the_uncertainty_are_counted_where_nobody_missed_by_it(score, write_trial):
    write(write_trial, "barely", 0.81, 0.82, 0.9)
    write(write_trial, "good", 0.9, 0.84, 0.9)
    assert "not beyond what few reruns leave open of it: up 1 of 2." in note_of(score(FEW))


def test_clear_verdicts_and_targets_of_unknown_origin_have_no_note(score, write_trial):
    write(write_trial, "good", 0.9, 0.84, 0.9)
    write(write_trial, "far", 0.5, 0.5, 0.5)
    assert note_of(score(FEW)) == ""
    write(write_trial, "barely", 0.81, 0.82, 0.9)
    assert note_of(score(())) == "", "no reruns known, so nothing to say"


def test_more_reruns_leave_less_of_the_target_open():
    many = [0.7 + 0.01 * index for index in range(20)]
    low, high = target_origin.median_range(many)
    assert (low, high) == pytest.approx((0.75, 0.84))
    assert target_origin.median_range([0.8]) == (0.8, 0.8)
    assert target_origin.median_range([0.8, 0.9]) == (0.8, 0.9)


def test_a_file_of_targets_says_what_they_were_set_from(tmp_path):
    entry = dataclasses.asdict(suites.load("mini").targets("wmt_mini"))
    reruns = [{"study": 0, "best_validation": 38.5}, {"study": 1, "best_validation": None}]
    content = {"targets": {"wmt_mini": entry}, "provenance": {"wmt_mini": {"reruns": reruns}}}
    path = tmp_path / "targets.json"
    path.write_text(json.dumps(content))
    assert suites.load(str(path)).origins == {"wmt_mini": TargetOrigin((38.5,))}
    path.write_text(json.dumps({**content, "provenance": "by hand"}))
    assert suites.load(str(path)).origins == {}


@pytest.mark.parametrize("name", ["mini", "mini_quick"])
def test_targets_of_the_mini_suites_are_the_medians_of_their_five_reruns(name):
    suite = suites.load(name)
    assert set(suite.origins) == set(suite.workloads)
    for workload, origin in suite.origins.items():
        assert len(origin.reruns) == 5
        median, targets = sorted(origin.reruns)[2], suite.targets(workload)
        # Rounded to the easier side, at three digits, BLEU and perplexity at one.
        slack = 0.1 if targets.metric_name in ("bleu", "ppl") else 0.001
        behind = (
            median - targets.validation_target
            if targets.higher_is_better
            else targets.validation_target - median
        )
        assert 0 <= behind < slack, workload
