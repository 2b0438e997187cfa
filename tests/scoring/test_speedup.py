import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from algoperf import suites
from scoring.speedup import common_speedup, geometric_mean_speedup, penalties

TIMES = hnp.arrays(
    float,
    st.tuples(st.just(3), st.integers(1, 5)),
    elements=st.one_of(st.floats(1.0, 90.0), st.just(math.inf)),
)


@given(TIMES)
def test_nobody_is_faster_than_itself(times):
    assert geometric_mean_speedup(times, 0, np.full(times.shape[1], 100.0))[0] == 1.0


@given(TIMES)
def test_exchanging_reference_and_submission_inverts_the_speedup(times):
    replacement = np.full(times.shape[1], 100.0)
    forth, back = (geometric_mean_speedup(times, reference, replacement) for reference in (0, 1))
    np.testing.assert_allclose(forth[1] * back[0], 1.0, rtol=1e-12)


@given(TIMES, st.floats(0.1, 10))
def test_the_common_speedup_does_not_depend_on_the_unit_of_time(times, unit):
    before, count = common_speedup(times, 0)
    after, _ = common_speedup(times * unit, 0)
    np.testing.assert_allclose(after, before, rtol=1e-9)
    assert (np.isnan(before) == (count == 0)).all()


def test_a_submission_that_is_twice_as_fast_everywhere_has_speedup_2():
    np.testing.assert_allclose(
        geometric_mean_speedup(np.array([[8.0, 2.0], [4.0, 1.0]]), 0, np.ones(2)), [1, 2]
    )


def test_a_missing_workload_makes_the_official_speedup_undefined():
    assert math.isnan(geometric_mean_speedup(np.array([[8.0, 2.0], [math.nan, 1.0]]), 0, np.ones(2))[1])


@pytest.mark.parametrize(("ruleset", "expected"), [("external", 48_152), ("self", 3 * 48_151 + 1)])
def test_an_infinite_time_counts_as_the_budget_plus_one_second(ruleset, expected):
    suite = suites.load("algoperf_v05")
    times = np.full((1, 8), math.inf)
    assert penalties(suite, suite.ruleset(ruleset), "submission_time", times)[-1] == expected


def test_on_steps_an_infinite_time_counts_as_more_than_anybody_needed():
    suite = suites.load("algoperf_v05")
    times = np.full((2, 8), math.inf)
    times[0, -1] = 1e6
    result = penalties(suite, suite.ruleset("external"), "steps", times)
    assert result[-1] == 1e6 + 1
    assert result[0] == 10_666 + 1


def test_a_time_of_0_is_infinitely_fast_and_warns_of_nothing():
    times = np.array([[0.0, 10.0], [5.0, 10.0]])
    assert geometric_mean_speedup(times, 1, np.array([90.0, 90.0])).tolist() == [math.inf, 1.0]
    assert common_speedup(times, 1)[0].tolist() == [math.inf, 1.0]
