"""Bounds of incomplete results, against all ways of completing them."""

import dataclasses
import itertools
import math

import numpy as np
import pytest

from scoring import bounds, leaderboard, rules
from scoring.leaderboard import Settings, make_leaderboard
from scoring.procedure import CLEAN
from scoring.results import Hit, Results, Trial

NEVER = math.inf


def trial(submission, workload, study, at, number=1):
    hit = None if at == NEVER else Hit(0, at, 10.0)
    return Trial(
        submission=submission,
        workload=workload,
        framework="jax",
        study=study,
        trial=number,
        hit=hit,
        last_time_sec=50.0 if at == NEVER else at,
    )


def field_of(studies):
    """Results of {(submission, workload): study times}; None is a study that was not run."""
    names = tuple(sorted({name for name, _ in studies}))
    trials = tuple(
        trial(name, workload, study, at)
        for (name, workload), times in studies.items()
        for study, at in enumerate(times)
        if at is not None
    )
    return Results(names, trials)


@pytest.fixture
def settings(suite):
    one_trial = {name: dataclasses.replace(ruleset, num_trials=1) for name, ruleset in suite.rulesets.items()}
    return Settings(
        suite=dataclasses.replace(suite, rulesets=one_trial),
        ruleset_name="external",
        procedure=CLEAN,
        axis="submission_time",
    )


def without_held_out(settings):
    return dataclasses.replace(settings, suite=dataclasses.replace(settings.suite, held_out={}))


def bounded(studies, settings, final=()):
    results = field_of(studies)
    board = make_leaderboard(results, settings)
    found = bounds.of(board.table, settings.suite, "external", results.trials, final)
    return board, found


def completions(studies, settings, rng=None, limit=3000):
    """Scores of the field completed: each missing study at once, never, or at some time between."""
    known = {}
    for _, workload in studies:
        times = [
            at
            for (_, other), some in studies.items()
            for at in some
            if other == workload and at not in (None, NEVER)
        ]
        known[workload] = min(times, default=1.0)
    missing = [(cell, study) for cell, some in studies.items() for study, at in enumerate(some) if at is None]
    steps = (1 / bounds.HEAD_START, 1.0, 3.0, NEVER)
    ways = itertools.product(steps, repeat=len(missing))
    if rng is not None and len(steps) ** len(missing) > limit:
        ways = (tuple(rng.choice(steps, size=len(missing))) for _ in range(limit))
    for way in ways:
        complete = {cell: list(some) for cell, some in studies.items()}
        for ((name, workload), study), factor in zip(missing, way):
            complete[name, workload][study] = factor * known[workload]
        board = make_leaderboard(field_of(complete), settings)
        yield board.scores, board.ranks()


def random_field(rng, workloads, num_submissions):
    studies = {}
    for name in "abcd"[:num_submissions]:
        for workload in workloads:
            times = [float(at) for at in rng.choice([3, 4, 5, 8, 9, 14, 30, 40, NEVER], size=3)]
            studies[name, workload] = times
    cells = list(studies)
    for index in rng.choice(len(cells), size=2, replace=False):
        for study in range(int(rng.integers(1, 3))):
            studies[cells[index]][study] = None
    return studies


@pytest.mark.parametrize("seed", range(6))
def test_without_held_out_variants_the_bounds_of_scores_are_the_extremes_of_all_completions(settings, seed):
    rng = np.random.default_rng(seed)
    settings = without_held_out(settings)
    studies = random_field(rng, settings.suite.workloads, 3)
    _, found = bounded(studies, settings)
    scores, ranks = (np.array(each) for each in zip(*completions(studies, settings)))
    np.testing.assert_allclose(found.low, scores.min(axis=0), atol=1e-12)
    np.testing.assert_allclose(found.high, scores.max(axis=0), atol=1e-12)
    assert np.all(found.best_rank <= ranks.min(axis=0))
    assert np.all(found.worst_rank >= ranks.max(axis=0))


@pytest.mark.parametrize("seed", range(6))
def test_with_held_out_variants_no_completion_leaves_the_bounds(settings, seed):
    rng = np.random.default_rng(100 + seed)
    studies = random_field(rng, settings.suite.scored_names(), 4)
    _, found = bounded(studies, settings)
    scores, ranks = (np.array(each) for each in zip(*completions(studies, settings, rng, limit=200)))
    assert np.all(found.low - 1e-12 <= scores.min(axis=0))
    assert np.all(found.high + 1e-12 >= scores.max(axis=0))
    assert np.all(found.best_rank <= ranks.min(axis=0))
    assert np.all(found.worst_rank >= ranks.max(axis=0))


COMPLETE = {
    ("first", "down"): [10.0, 11.0, 12.0],
    ("first", "up"): [10.0, 11.0, 12.0],
    ("second", "down"): [20.0, 21.0, 22.0],
    ("second", "up"): [20.0, 21.0, 22.0],
    ("third", "down"): [30.0, 31.0, 32.0],
    ("third", "up"): [30.0, 31.0, 32.0],
}


def test_of_a_complete_field_there_are_no_bounds(settings):
    board, found = bounded(COMPLETE, without_held_out(settings))
    assert found is None
    assert [board.rank_range(row) for row in range(3)] == [(1, 1), (2, 2), (3, 3)]


def test_a_missing_study_of_three_lies_between_the_two_others_and_changes_no_rank(settings):
    studies = COMPLETE | {("second", "up"): [20.0, None, 22.0]}
    board, found = bounded(studies, without_held_out(settings))
    assert (found.low[1], found.high[1]) == pytest.approx(
        (board.scores[1], board.scores[1] + (22 / 11 - 20 / 11) / 3 / 2)
    )
    assert found.is_incomplete.tolist() == [False, True, False]
    assert list(zip(found.best_rank, found.worst_rank)) == [(1, 1), (2, 2), (3, 3)]
    assert [found.is_exact(row) for row in range(3)] == [True, False, True]
    [gap] = found.gaps
    assert (gap.submission, gap.workload, gap.num_trials, gap.matters) == ("second", "up", 1, False)


def test_a_missing_workload_leaves_ranks_open_and_is_the_next_to_run(settings):
    studies = {cell: times for cell, times in COMPLETE.items() if cell != ("second", "up")}
    board, found = bounded(studies, without_held_out(settings))
    # At once is twice as fast as the fastest study, 10: `first` is then slower by 11 / 5.
    assert (found.low[1], found.high[1]) == pytest.approx((board.scores[1], board.scores[1] + 1 / 2))
    assert found.low[0] == pytest.approx((1 + (4 - 11 / 5) / 3) / 2)
    assert list(zip(found.best_rank, found.worst_rank)) == [(1, 2), (1, 3), (2, 3)]
    [gap] = found.gaps
    assert gap.matters
    assert (gap.num_trials, gap.num_studies) == (3, 3)
    assert gap.seconds == pytest.approx(3 * (11 + 31) / 2)  # As long as the others' trials there.


def test_two_complete_entries_that_a_third_slows_alike_keep_their_order(settings):
    studies = COMPLETE | {
        ("second", "down"): [10.5, 11.5, 12.5],
        ("second", "up"): [10.5, 11.5, 12.5],
        ("third", "up"): [None, None, None],
    }
    _, found = bounded(studies, without_held_out(settings))
    assert found.low[0] < found.high[1], "their intervals overlap"
    assert list(zip(found.best_rank, found.worst_rank))[:2] == [(1, 1), (2, 2)]


def test_published_entries_are_final(settings):
    studies = COMPLETE | {("second", "up"): [None, None, None]}
    assert bounded(studies, without_held_out(settings), final=("second",))[1] is None


def test_a_missing_trial_can_only_lower_the_time_of_its_study(settings):
    ruleset = dataclasses.replace(settings.suite.rulesets["external"], num_trials=2)
    suite = dataclasses.replace(without_held_out(settings).suite, rulesets={"external": ruleset})
    settings = dataclasses.replace(settings, suite=suite)
    trials = [
        trial(name, workload, study, at, number)
        for (name, workload), times in COMPLETE.items()
        for study, at in enumerate(times)
        for number in (1, 2)
        if (name, workload, study, number) != ("third", "up", 0, 2)
    ]
    results = Results(("first", "second", "third"), tuple(trials))
    board = make_leaderboard(results, settings)
    found = bounds.of(board.table, suite, "external", results.trials)
    assert found.times[0][2, 1] == 31.0, "the median of 10, 31 and 32"
    assert found.is_exact(2)
    assert found.gaps[0].num_trials == 1


def test_the_interval_resamples_the_studies_that_were_run(settings):
    studies = COMPLETE | {("second", "up"): [20.0, None, 22.0]}
    board = make_leaderboard(field_of(studies), without_held_out(settings), num_bootstrap_samples=50)
    values, counts = board.table.study_values()
    assert counts[1, 1] == 2
    assert values[1, 1, :2].tolist() == [20.0, 22.0]
    assert board.uncertainty.score.high[1] > board.scores[1], "a study that was not run is no miss"


def test_scores_of_intervals_without_width_are_those_of_the_rules(settings):
    rng = np.random.default_rng(5)
    suite = settings.suite
    for _ in range(50):
        times = rng.choice([3.0, 4.0, 9.0, 14.0, NEVER], size=(4, 3))
        field = bounds.Field(2, (1,), suite.r_max)
        ratios = rules.performance_ratios(times, 2, (1,), suite.r_max)
        exact = leaderboard.scores_of(ratios, settings)
        low, high = field.scores(times, times)
        assert np.all((low <= exact + 1e-12) & (exact <= high + 1e-12))
