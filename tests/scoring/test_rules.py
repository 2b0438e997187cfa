import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from scoring import rules
from scoring.results import Miss, Reason
from scoring.rules import blame, performance_ratios

TIME = st.one_of(st.floats(1.0, 1e5), st.just(math.inf), st.just(math.nan))
# Three fixed workloads; the variants in columns 3 and 4 guard workloads 0 and 2.
FIELDS = hnp.arrays(float, st.tuples(st.integers(1, 6), st.just(5)), elements=TIME)
BASES = (0, 2)


def ratios_of(times, one_best=True):
    return performance_ratios(np.array(times), 3, BASES, 4.0, one_best=one_best).values


def official_ratios(times: np.ndarray) -> np.ndarray:
    """Steps 6 to 9 of the official procedure, cell by cell."""
    times = times.copy()
    rows, columns = range(len(times)), range(times.shape[1])

    def known(column):
        return [times[row, column] for row in rows if not math.isnan(times[row, column])]

    for variant, base in zip((3, 4), BASES):
        for row in rows:
            if not times[row, base] < math.inf:
                times[row, variant] = math.inf
    bests = [min(known(column), default=math.inf) for column in columns]
    for column in columns:
        for row in rows:
            if times[row, column] > 4 * bests[column]:
                times[row, column] = math.inf
    for variant, base in zip((3, 4), BASES):
        for row in rows:
            if not times[row, variant] < math.inf:
                times[row, base] = math.inf
    ratios = np.full((len(times), 3), math.inf)
    for column in range(3):
        best = min(known(column), default=math.inf)
        for row in rows:
            if times[row, column] < math.inf:
                ratios[row, column] = times[row, column] / best
    return ratios


@given(FIELDS)
def test_the_official_rules_step_by_step_give_the_same_ratios(times):
    np.testing.assert_array_equal(ratios_of(times, one_best=False), official_ratios(times))


@given(FIELDS)
def test_every_ratio_is_at_least_1_and_at_most_r_max_or_infinite(times):
    ratios = ratios_of(times)
    assert (ratios >= 1).all()
    assert (ratios[np.isfinite(ratios)] <= 4 * (1 + 1e-12)).all()


@given(FIELDS)
def test_somebody_has_ratio_1_on_every_workload_that_anybody_solved(times):
    ratios = ratios_of(times)
    assert ((ratios.min(axis=0) == 1) | np.isinf(ratios).all(axis=0)).all()


@given(FIELDS, st.randoms())
def test_the_order_of_submissions_changes_nothing(times, random):
    order = random.sample(range(len(times)), len(times))
    np.testing.assert_array_equal(ratios_of(times[order]), ratios_of(times)[order])


@given(FIELDS, st.floats(1.0, 10.0))
def test_a_submission_that_is_slower_everywhere_changes_nobody_elses_ratios(times, factor):
    joined = np.concatenate([times, times[:1] * factor])
    np.testing.assert_array_equal(ratios_of(joined)[:-1], ratios_of(times))


@given(FIELDS, st.floats(0.01, 100))
def test_the_unit_of_time_changes_nothing_but_rounding(times, unit):
    before, after = ratios_of(times), ratios_of(times * unit)
    same = np.isfinite(before) == np.isfinite(after)
    if same.all():  # a time at exactly 4 x the fastest may fall either way
        np.testing.assert_allclose(after, before, rtol=1e-12)


@given(hnp.arrays(float, (2, 3, 5), elements=TIME))
def test_a_batch_of_fields_is_scored_field_by_field(fields):
    np.testing.assert_array_equal(ratios_of(fields), np.stack([ratios_of(field) for field in fields]))


def test_a_missing_held_out_variant_disqualifies():
    assert math.isinf(ratios_of([[1.0, 1.0, 1.0, math.nan, 1.0]])[0, 0])


def test_a_workload_without_variant_needs_none():
    assert ratios_of([[math.nan, 1.0, math.nan, math.nan, math.nan]]).tolist() == [[math.inf, 1.0, math.inf]]


def test_who_misses_the_fixed_workload_sets_no_pace_on_the_variant():
    # The second is ten times faster on the variant of workload 0, but never solved workload 0.
    ratios = ratios_of([[10.0, 1.0, 1.0, 50.0, 1.0], [math.inf, 1.0, 1.0, 5.0, 1.0]])
    assert ratios[0, 0] == 1.0


@pytest.mark.parametrize(("slowdown", "expected"), [(4.0, 1.0), (4.001, math.inf)])
def test_exactly_r_max_times_the_fastest_on_the_variant_still_passes(slowdown, expected):
    assert ratios_of([[1.0, 1.0, 1.0, slowdown, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]])[0, 0] == expected


@pytest.mark.parametrize(("time", "expected"), [(4.0, 4.0), (4.001, math.inf)])
def test_exactly_r_max_times_the_fastest_on_the_fixed_workload_still_counts(time, expected):
    assert ratios_of([[1.0, time, 1.0, 1.0, 1.0], [1.0, 1.0, 1.0, 1.0, 1.0]])[0, 1] == expected


@pytest.mark.parametrize(
    ("reason", "blamed"),
    [
        (Reason.WORKLOAD_MISSING, Reason.HELD_OUT_MISSING),
        (Reason.STUDY_MISSING, Reason.HELD_OUT_MISSING),
        (Reason.TOO_SLOW, Reason.HELD_OUT_TOO_SLOW),
        (Reason.TARGET_NOT_REACHED, Reason.HELD_OUT_TARGET_NOT_REACHED),
        (Reason.OVER_BUDGET, Reason.HELD_OUT_TARGET_NOT_REACHED),
        (Reason.TRIAL_FAILED, Reason.HELD_OUT_TARGET_NOT_REACHED),
    ],
)
def test_a_fixed_workload_says_what_went_wrong_on_its_variant(reason, blamed):
    assert blame("up_variant", Miss(reason, "the detail")) == Miss(blamed, "up_variant: the detail")


def test_the_two_bests_of_the_official_procedure_differ_where_the_fastest_is_disqualified():
    # The first is fastest on workload 0 but fails its variant; the second is 5 x slower than it.
    field = [[1.0, 1.0, 1.0, math.inf, 1.0], [5.0, 1.0, 1.0, 5.0, 1.0]]
    assert ratios_of(field, one_best=True)[1, 0] == 1.0
    assert math.isinf(ratios_of(field, one_best=False)[1, 0])


def test_a_hit_at_time_0_is_infinitely_faster_than_any_other():
    with np.errstate(all="raise"):
        found = performance_ratios(np.array([[0.0], [0.0], [5.0], [np.inf]]), 1, (), 4.0)
    np.testing.assert_array_equal(found.values.ravel(), [1, 1, np.inf, np.inf])


def test_the_version_that_files_carry_is_that_of_the_text():
    text = (Path(__file__).resolve().parents[2] / "RULES.md").read_text()
    assert f"Version {rules.VERSION} of the text." in text
