"""Rank agreement of a subset of workloads with the whole suite."""

import dataclasses
import math

import pytest

from algoperf import suites
from algoperf.spec import UsageError
from algoperf.suites import Suite
from scoring import agreement
from scoring.leaderboard import Settings
from scoring.procedure import CLEAN
from scoring.results import Hit, Results, Trial

# Submission -> seconds on workloads a, b, c. On a the ranking is that of all three, on c it is the reverse.
TIMES = {"x": (10.0, 10.0, 13.0), "y": (15.0, 20.0, 11.0), "z": (25.0, 15.0, 10.0)}


@pytest.fixture
def settings(suite):
    targets = suite.known_targets["up"]
    made = Suite(
        name="three",
        description="Three workloads.",
        workloads=("a", "b", "c"),
        held_out={},
        rulesets=suite.rulesets,
        r_max=4.0,
        known_targets=dict.fromkeys("abc", targets),
    )
    return Settings(suite=made, ruleset_name="self", procedure=CLEAN, axis="submission_time")


def field(times):
    trials = [
        Trial(
            submission=name,
            workload=workload,
            framework="jax",
            study=study,
            trial=1,
            hit=Hit(0, seconds, 1),
            last_time_sec=seconds,
        )
        for name, row in times.items()
        for workload, seconds in zip("abc", row)
        for study in range(3)
    ]
    return Results(tuple(times), tuple(trials))


def test_subsets_are_ordered_by_agreement(settings):
    # Mean ratios: x (1, 1, 1.3), y (1.5, 2, 1.1), z (2.5, 1.5, 1): x before y and y before z.
    found = agreement.agreements(field(TIMES), settings, 1)
    assert [one.workloads for one in found] == [("a",), ("b",), ("c",)]
    assert [one.tau for one in found] == pytest.approx([1.0, 1 / 3, -1.0])
    assert [one.first for one in found] == [("x",), ("x",), ("z",)]
    assert [one.study_sec for one in found] == pytest.approx([50 / 3, 15.0, 34 / 3])


def test_the_whole_agrees_with_itself(settings):
    [whole] = agreement.agreements(field(TIMES), settings, 3)
    assert whole.tau == pytest.approx(1.0)


def test_a_subset_on_which_all_tie_comes_last(settings):
    times = {"x": (10.0, 10.0, 10.0), "y": (15.0, 20.0, 10.0), "z": (25.0, 25.0, 10.0)}
    found = agreement.agreements(field(times), settings, 1)
    assert found[-1].workloads == ("c",)
    assert math.isnan(found[-1].tau)


def test_wrong_numbers_are_named(settings):
    with pytest.raises(UsageError, match="--num_workloads must be from 1 to 3"):
        agreement.agreements(field(TIMES), settings, 4)
    with pytest.raises(UsageError, match="three submissions or more, got 2"):
        agreement.agreements(field({name: TIMES[name] for name in "xy"}), settings, 1)
    for folder, version in ((None, None), ("any", "mini")):
        with pytest.raises(UsageError, match="one of the two"):
            agreement.read(settings.suite, "self", folder, version)


def test_results_without_the_ends_of_runs_have_no_seconds_a_study(settings):
    times = field(TIMES)
    trials = tuple(dataclasses.replace(trial, last_time_sec=math.nan) for trial in times.trials)
    found = agreement.agreements(Results(times.submissions, trials), settings, 1)
    assert [one.workloads for one in found] == [("a",), ("b",), ("c",)]
    assert agreement.table(found, 1).splitlines()[-1].split() == ["1.000", "-", "x", "a"]


def test_results_without_studies_are_refused():
    suite = suites.load("algoperf_v05")
    assert agreement.read(suite, "external", None, "algoperf_v05").trials
    with pytest.raises(UsageError, match=r"medians over studies, .* or give a folder of submissions"):
        agreement.read(suite, "self", None, "algoperf_v05")
