"""What a chosen subset of workloads is worth on studies that did not choose it, and ranks on both axes."""

import dataclasses
import textwrap

import pytest
from harness import ROOT

from algoperf import suites
from algoperf.spec import UsageError
from algoperf.suites import Suite
from scoring import agreement, leaderboard, other_axis, out_of_sample
from scoring.leaderboard import Settings
from scoring.procedure import CLEAN
from scoring.results import AXES, Hit, Results, Trial

# Study -> submission -> seconds on workloads a, b, c. In study 0 `a` ranks as the whole does, in study 1 `c`.
TIMES = (
    {"x": (10.0, 11.0, 12.0), "y": (20.0, 10.0, 11.0), "z": (39.0, 12.0, 10.0)},
    {"x": (10.0, 12.0, 39.0), "y": (11.0, 10.0, 20.0), "z": (12.0, 11.0, 10.0)},
)


@pytest.fixture
def settings(suite):
    made = Suite(
        name="three",
        description="Three workloads.",
        workloads=("a", "b", "c"),
        held_out={},
        rulesets=suite.rulesets,
        r_max=4.0,
        known_targets=dict.fromkeys("abc", suite.known_targets["up"]),
    )
    return Settings(suite=made, ruleset_name="self", procedure=CLEAN, axis="submission_time")


def field(times=TIMES):
    trials = [
        Trial(
            submission=name,
            workload=workload,
            framework="jax",
            study=study,
            trial=1,
            hit=Hit(0, seconds, 100 - seconds),
            last_time_sec=seconds,
        )
        for study, rows in enumerate(times)
        for name, row in rows.items()
        for workload, seconds in zip("abc", row)
    ]
    return Results(tuple(times[0]), tuple(trials))


def test_a_subset_that_one_study_chose_is_measured_on_the_others(settings):
    found = out_of_sample.out_of_sample(field(), settings, 1)
    first, second = found.splits
    assert (found.num_subsets, first.chosen_on, second.chosen_on) == (3, 0, 1)
    whole = [out_of_sample.scores(field(), settings, "abc", {study}) for study in (0, 1)]
    for split, here, there in ((first, 0, 1), (second, 1, 0)):
        taus = {
            workload: agreement.kendall_tau(
                whole[there], out_of_sample.scores(field(), settings, (workload,), {there})
            )
            for workload in "abc"
        }
        own = out_of_sample.agreements(field(), settings, [("a",), ("b",), ("c",)], {here})
        assert split.best == pytest.approx(max(own.values()))
        assert split.elsewhere == pytest.approx(sum(taus[one] for (one,) in split.chosen) / len(split.chosen))
        assert split.median == pytest.approx(sorted(taus.values())[1])
    assert (first.chosen, second.chosen) == ((("a",),), (("c",),))
    assert (first.best, second.best) == pytest.approx((1.0, 1.0))
    assert (first.elsewhere, second.elsewhere) == pytest.approx((-1.0, -1.0))
    assert found.between_studies == pytest.approx((-1.0,))


def test_one_study_cannot_measure_what_it_chose(settings):
    with pytest.raises(UsageError, match="two or more are needed, got 1"):
        out_of_sample.out_of_sample(field(TIMES[:1]), settings, 1)
    with pytest.raises(UsageError, match="--num_workloads must be from 1 to 3"):
        out_of_sample.out_of_sample(field(), settings, 4)


@pytest.fixture(scope="module")
def mini_results():
    suite = suites.load("mini")
    return suite, agreement.read(suite, "self", None, "mini")


@pytest.mark.slow
@pytest.mark.parametrize("axis", AXES)
def test_the_document_says_what_mini_quick_is_worth_out_of_sample(mini_results, axis):
    suite, results = mini_results
    settings = Settings(suite=suite, ruleset_name="self", procedure=CLEAN, axis=axis)
    report = out_of_sample.report(out_of_sample.out_of_sample(results, settings, 3), 100)
    assert max(map(len, report.splitlines())) <= 100
    text = (ROOT / "docs" / "mini_leaderboard.md").read_text()
    assert f"axis {axis}, out of sample\n{textwrap.indent(report, '    ')}\n" in text


def test_the_report_of_a_mini_suite_has_ranks_on_both_axes(settings):
    mini = dataclasses.replace(
        settings.suite,
        workloads=("a_mini", "b_mini", "c_mini"),
        known_targets={f"{name}_mini": settings.suite.targets(name) for name in "abc"},
    )
    trials = [dataclasses.replace(trial, workload=f"{trial.workload}_mini") for trial in field().trials]
    results = dataclasses.replace(field(), trials=tuple(trials))
    board = leaderboard.make_leaderboard(results, dataclasses.replace(settings, suite=mini))
    [note] = other_axis.notes(board, results)
    # Updates are 100 less the seconds here: whoever is first by time is last by updates.
    by_steps = leaderboard.make_leaderboard(results, dataclasses.replace(board.settings, axis="steps"))
    for name, rank, other in zip(board.submissions, board.ranks(), by_steps.ranks()):
        assert f"{name} {other} ({rank})" in note
    assert list(board.ranks()) != list(by_steps.ranks())
    full = leaderboard.make_leaderboard(field(), settings)
    assert other_axis.notes(full, field()) == [], "a suite of full size needs no such note"
    assert other_axis.notes(by_steps, results) == []
