import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scoring.profiles import exact_score, grid_score, profile

# A ratio is 1 or visibly above it: at 1 + 2e-16 the score is 1 as well, by rounding.
RATIO = st.one_of(st.floats(1 + 1e-9, 6.0), st.just(math.inf), st.sampled_from([1.0, 4.0]))
RATIOS = st.lists(RATIO, min_size=1, max_size=9).map(np.array)


def trapezoid_on_100_points(ratios: np.ndarray, r_max: float) -> float:
    """The official procedure's steps 10 and 11, written out."""
    taus = np.linspace(1, r_max, 100)
    shares = [(ratios <= tau).mean() for tau in taus]
    return np.trapezoid(shares, taus) / (r_max - 1)


@given(RATIOS)
def test_the_exact_score_is_the_area_under_the_profile(ratios):
    taus, shares = profile(ratios, 4.0)
    area = np.sum(np.diff(taus) * shares[:-1]) / 3.0
    np.testing.assert_allclose(exact_score(ratios, 4.0), area, atol=1e-12)


@given(RATIOS)
def test_the_grid_score_is_the_trapezoidal_rule_on_100_points(ratios):
    np.testing.assert_allclose(grid_score(ratios, 4.0), trapezoid_on_100_points(ratios, 4.0), atol=1e-12)


@given(RATIOS)
def test_the_grid_is_within_half_a_percent_of_the_exact_score(ratios):
    assert abs(grid_score(ratios, 4.0) - exact_score(ratios, 4.0)) <= 1 / 198 + 1e-12


@given(RATIOS, st.integers(0, 8), st.floats(1.0, 2.0))
def test_a_slower_time_never_raises_a_score(ratios, which, factor):
    slower = ratios.copy()
    slower[which % len(ratios)] *= factor
    assert exact_score(slower, 4.0) <= exact_score(ratios, 4.0) + 1e-15
    assert grid_score(slower, 4.0) <= grid_score(ratios, 4.0) + 1e-15


@given(RATIOS)
def test_a_score_is_in_the_unit_interval_and_1_exactly_for_the_fastest_everywhere(ratios):
    for score in (exact_score(ratios, 4.0), grid_score(ratios, 4.0)):
        assert 0 <= score <= 1
    assert (exact_score(ratios, 4.0) == 1) == bool((ratios == 1).all())
    assert (grid_score(ratios, 4.0) == 1) == bool((ratios == 1).all())


def test_a_ratio_of_exactly_r_max_earns_nothing_exactly_and_one_198th_on_the_grid():
    assert exact_score(np.array([4.0]), 4.0) == 0
    np.testing.assert_allclose(grid_score(np.array([4.0]), 4.0), 1 / 198, rtol=1e-12)


def test_a_profile_steps_up_at_its_ratios_and_keeps_the_height_from_there_on():
    taus, shares = profile(np.array([1.5, 1.5, 3.0, math.inf]), 4.0)
    assert taus.tolist() == [1.0, 1.5, 3.0, 4.0]
    assert shares.tolist() == [0.0, 0.5, 0.75, 0.75]


@pytest.mark.parametrize("score", [exact_score, grid_score])
def test_scores_keep_batch_axes(score):
    ratios = np.random.default_rng(0).uniform(1, 5, (4, 3, 8))
    expected = [[score(ratios[i, j], 4.0) for j in range(3)] for i in range(4)]
    np.testing.assert_allclose(score(ratios, 4.0), expected, rtol=1e-15)
