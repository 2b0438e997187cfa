"""The model that pools over a field, and draws from it."""

import math

import numpy as np
import pytest

from scoring import uncertainty
from scoring.uncertainty import Studies

INF = math.inf
NO_LIMIT = np.array([INF])


def studies_of(cells):
    """Studies from nested lists, (submissions, columns, any number)."""
    counts = np.array([[len(cell) for cell in row] for row in cells])
    values = np.full((*counts.shape, max(1, counts.max())), np.nan)
    for i, row in enumerate(cells):
        for j, cell in enumerate(row):
            values[i, j, : len(cell)] = cell
    return Studies(values, counts, np.zeros(counts.shape, dtype=bool))


def draws_of(cells, num_samples=4000, seed=0, limits=None):
    studies = studies_of(cells)
    limits = np.full(studies.counts.shape[1], INF) if limits is None else np.array(limits)
    return uncertainty.draw(uncertainty.fit(studies, limits), num_samples, np.random.default_rng(seed))


def test_the_same_seed_gives_the_same_draws_and_another_seed_others():
    cells = [[[10.0, 11.0, 12.0]], [[20.0, INF, 21.0]]]
    one, two, other = (draws_of(cells, 50, seed).medians for seed in (1, 1, 2))
    np.testing.assert_array_equal(one, two)
    assert (one != other).any()


def test_true_times_lie_around_the_measured_ones_and_more_studies_narrow_them():
    widths = []
    for number in (1, 3, 12):
        medians = draws_of([[[10.0 * (1 + 0.1 * (i % 3 - 1)) for i in range(number)]]]).medians[:, 0, 0]
        logs = np.log(medians[np.isfinite(medians)])
        assert abs(np.median(logs) - math.log(10)) < 0.12
        widths.append(np.subtract(*np.quantile(logs, [0.9, 0.1])))
    assert widths[0] > widths[1] > widths[2] > 0


def test_the_spread_of_one_cell_is_borrowed_by_those_that_have_one_study():
    calm = draws_of([[[10.0, 10.1, 9.9, 10.0, 10.1]] * 1, [[10.0, 10.1, 9.9, 10.0, 10.1]], [[20.0]]])
    wild = draws_of([[[10.0, 20.0, 5.0, 10.0, 20.0]] * 1, [[10.0, 20.0, 5.0, 10.0, 20.0]], [[20.0]]])
    spreads = [
        np.std(np.log(one.medians[:, 2, 0][np.isfinite(one.medians[:, 2, 0])])) for one in (calm, wild)
    ]
    assert spreads[1] > 2 * spreads[0]


def test_a_miss_of_who_misses_nowhere_else_is_less_final():
    def share_reached(others):
        cells = [[[INF], *([[10.0]] * 9)], [[10.0], *([others] * 9)], [[10.0], *([others] * 9)]]
        cells[0][1:] = [others] * 9
        return np.isfinite(draws_of(cells).medians[:, 0, 0]).mean()

    assert share_reached([10.0]) > share_reached([INF]) + 0.1


def test_three_misses_are_final_and_a_workload_without_studies_stays_infinite():
    medians = draws_of([[[INF] * 3, [], [10.0] * 3]]).medians
    assert np.isfinite(medians[:, 0, 0]).mean() < 0.1
    assert np.isinf(medians[:, 0, 1]).all()
    assert np.isfinite(medians[:, 0, 2]).mean() > 0.95


@pytest.mark.parametrize(("chance", "expected"), [(1.0, 1.0), (0.5, INF), (0.2, INF)])
def test_the_true_median_counts_misses_as_the_largest_values(chance, expected):
    found = uncertainty.true_median(np.array(chance), np.array(0.0), np.array(0.3), np.array(INF))
    np.testing.assert_allclose(found, expected)


def test_the_true_median_is_the_middle_of_many_studies():
    rng = np.random.default_rng(0)
    times = np.where(rng.random(200_001) < 0.7, np.exp(1 + 0.2 * rng.standard_normal(200_001)), INF)
    found = uncertainty.true_median(np.array(0.7), np.array(1.0), np.array(0.2), np.array(INF))
    np.testing.assert_allclose(found, np.median(times), rtol=3e-3)


def test_no_drawn_time_is_beyond_the_budget_and_a_miss_counts_as_the_budget():
    draws = draws_of([[[99.0, 95.0, 98.0]], [[INF, INF, INF]]], limits=[100.0])
    assert draws.medians[np.isfinite(draws.medians)].max() <= 100.0
    assert draws.restricted.max() <= 100.0 * (1 + 1e-12)
    assert draws.restricted[:, 1, 0].mean() > 95.0


def test_a_published_median_is_taken_as_it_is():
    studies = studies_of([[[12.5]], [[10.0]]])
    studies = Studies(studies.values, studies.counts, np.array([[True], [False]]))
    draws = uncertainty.draw(uncertainty.fit(studies, np.array([100.0])), 200, np.random.default_rng(0))
    assert set(draws.medians[:, 0, 0]) == set(draws.restricted[:, 0, 0]) == {12.5}
    assert len(set(draws.medians[:, 1, 0])) > 100
