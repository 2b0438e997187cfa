import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from scoring.bootstrap import bootstrap, interval, ranks, resampled_medians

STUDY = st.one_of(st.floats(1.0, 100.0), st.just(math.inf))


def medians_of(cells, num_samples=200, seed=0):
    counts = np.array([[len(cell) for cell in row] for row in cells])
    values = np.full((*counts.shape, max(1, counts.max())), np.nan)
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            values[i, j, : len(cell)] = cell
    return resampled_medians(values, counts, num_samples, np.random.default_rng(seed))


@settings(max_examples=30)
@given(st.lists(STUDY, min_size=1, max_size=5), st.lists(STUDY, min_size=1, max_size=5))
def test_resampled_medians_lie_between_the_fastest_and_the_slowest_study(first, second):
    medians = medians_of([[first, second]])
    for column, cell in enumerate((first, second)):
        assert (medians[:, 0, column] >= min(cell)).all()
        assert (medians[:, 0, column] <= max(cell)).all()


def test_the_frequencies_are_those_of_drawing_with_replacement():
    # Of 3 draws from {1, 2, 3} the median is 1 in 7 of 27 cases, 2 in 13, 3 in 7.
    medians = medians_of([[[1.0, 2.0, 3.0]]], num_samples=40_000)[:, 0, 0]
    shares = [np.mean(medians == value) for value in (1.0, 2.0, 3.0)]
    np.testing.assert_allclose(shares, [7 / 27, 13 / 27, 7 / 27], atol=0.01)


def test_an_even_number_of_studies_averages_the_two_middle_ones():
    medians = medians_of([[[1.0, 3.0], [1.0, 2.0, 3.0]]])
    assert set(np.unique(medians[:, 0, 0])) == {1.0, 2.0, 3.0}


def test_no_studies_stay_absent_and_infinite_studies_stay_infinite():
    medians = medians_of([[[], [math.inf, math.inf]]])
    assert np.isnan(medians[:, 0, 0]).all()
    assert np.isinf(medians[:, 0, 1]).all()


def test_the_same_seed_gives_the_same_draws_and_another_seed_others():
    cells = [[[1.0, 2.0, 3.0, 4.0, 5.0]]]
    assert (medians_of(cells, seed=1) == medians_of(cells, seed=1)).all()
    assert (medians_of(cells, seed=1) != medians_of(cells, seed=2)).any()


def test_the_ends_of_an_interval_of_ranks_are_ranks_that_occur():
    samples = np.repeat([1, 3], [97, 3])[:, None]
    assert (interval(samples, whole=True).low, interval(samples, whole=True).high) == (1, 3)
    assert 1 < interval(samples).high < 3


def test_identical_studies_give_an_interval_without_width():
    values = np.full((2, 1, 5), 7.0)
    values[1] = 9.0
    result = bootstrap(
        values, np.full((2, 1), 5), lambda times: 1 / times[..., 0], None, num_samples=50, seed=0
    )
    np.testing.assert_allclose(result.score.low, [1 / 7, 1 / 9])
    np.testing.assert_allclose(result.score.high, [1 / 7, 1 / 9])
    assert result.rank.low.tolist() == result.rank.high.tolist() == [1, 2]


@given(st.lists(st.sampled_from([0.1, 0.5, 0.9]), min_size=1, max_size=6))
def test_ranks_count_who_is_strictly_better(scores):
    expected = [1 + sum(other > own for other in scores) for own in scores]
    assert ranks(np.array(scores)).tolist() == expected
