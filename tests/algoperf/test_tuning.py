"""Search spaces and points: a point depends on (space, seed, study, trial) and on nothing else."""

import json
import math
import pickle

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import qmc

from algoperf import tuning
from algoperf.spec import UsageError
from algoperf.tuning import draw_points, make_hyperparameters, unread

SPACE = {
    "learning_rate": {"min": 1e-4, "max": 1e-2, "scaling": "log"},
    "beta": {"min": 0.5, "max": 0.9, "scaling": "linear"},
    "warmup": {"feasible_points": [0.02, 0.05, 0.1]},
    "kind": {"feasible_points": ["a", True, None, [1, 2]]},
    "fixed": {"feasible_points": [7]},
}


def distinct(points):
    return len({json.dumps(point, sort_keys=True) for point in points})


def test_every_form_of_the_grammar_gives_values_of_its_kind():
    for point in draw_points(SPACE, 40, seed=0):
        assert list(point) == list(SPACE), "in the order of the file"
        assert 1e-4 <= point["learning_rate"] <= 1e-2
        assert 0.5 <= point["beta"] <= 0.9
        assert point["warmup"] in (0.02, 0.05, 0.1)
        assert point["kind"] in ("a", True, None, [1, 2])
        assert point["fixed"] == 7


def test_a_range_without_scaling_is_linear():
    values = [point["x"] for point in draw_points({"x": {"min": -1, "max": 3}}, 64, seed=0)]
    assert min(values) < -0.8
    assert max(values) > 2.8


@given(st.integers(1, 40), st.integers(1, 40), st.integers(0, 2**31), st.integers(0, 5))
@settings(max_examples=20, deadline=None)
def test_a_point_does_not_depend_on_how_many_are_drawn(few, many, seed, study):
    few, many = sorted((few, many))
    assert draw_points(SPACE, many, seed, study)[:few] == draw_points(SPACE, few, seed, study)


@pytest.mark.parametrize("num_points", [3, 5, 6, 9])
def test_a_point_of_a_list_does_not_depend_on_how_many_are_drawn(num_points):
    space = [{"x": value} for value in range(num_points)]
    drawn = [draw_points(space, count, 0, 1, trials_per_study=5) for count in range(1, 12)]
    for points in drawn:
        assert points == drawn[-1][: len(points)]


def test_points_differ_between_studies_and_seeds_and_nothing_else():
    points = {(seed, study): draw_points(SPACE, 5, seed, study) for seed in (0, 1) for study in (0, 1, 2)}
    assert distinct([point for some in points.values() for point in some]) == 30
    assert points[1, 2] == draw_points(SPACE, 5, 1, 2)


@given(st.integers(0, 2**32), st.integers(0, 10), st.integers(1, 24))
@settings(max_examples=25, deadline=None)
def test_the_points_of_a_study_are_distinct_even_where_the_space_is_small(seed, study, count):
    space = {"a": {"feasible_points": [1, 2, 3, 4]}, "b": {"feasible_points": list("uvwxyz")}}
    assert distinct(draw_points(space, count, seed, study)) == count


def test_the_points_of_a_seed_stay_what_they_were_in_earlier_versions():
    points = draw_points({"x": {"min": 0.0, "max": 1.0}, "y": {"min": 0.0, "max": 1.0}}, 5, seed=3, study=2)
    halton = qmc.Halton(d=2, scramble=True, rng=np.random.default_rng([3, 2])).random(5)
    np.testing.assert_array_equal([[point["x"], point["y"]] for point in points], halton)


def test_more_points_than_the_space_holds_are_refused_with_the_number():
    with pytest.raises(UsageError, match="only 2 different points, fewer than the 3 trials"):
        draw_points({"a": {"feasible_points": [1, 2, 2]}}, 3, seed=0)


@given(
    st.floats(-1e6, 1e6),
    st.floats(-1e6, 1e6),
    st.integers(0, 100),
)
@settings(max_examples=50, deadline=None)
def test_linear_points_stay_in_their_range(a, b, seed):
    low, high = sorted((a, b))
    for point in draw_points({"x": {"min": low, "max": high}, "u": {"min": 0, "max": 1}}, 5, seed):
        assert low <= point["x"] <= high


@given(st.floats(1e-12, 1e12), st.floats(1e-12, 1e12), st.integers(0, 100))
@settings(max_examples=50, deadline=None)
def test_log_points_stay_in_their_range(a, b, seed):
    low, high = sorted((a, b))
    entry = {"min": low, "max": high, "scaling": "log"}
    for point in draw_points({"x": entry, "u": {"min": 0, "max": 1}}, 5, seed):
        assert low * (1 - 1e-12) <= point["x"] <= high * (1 + 1e-12)


def test_log_points_are_spread_evenly_over_the_orders_of_magnitude():
    points = draw_points({"x": {"min": 1e-4, "max": 1.0, "scaling": "log"}}, 64, seed=0)
    decades = [math.floor(math.log10(point["x"])) for point in points]
    assert [decades.count(decade) for decade in (-4, -3, -2, -1)] == pytest.approx([16] * 4, abs=2)


def test_a_range_whose_ends_are_equal_is_one_value():
    for scaling in ("log", "linear"):
        space = {"x": {"min": 0.5, "max": 0.5, "scaling": scaling}}
        tuning.check_search_space(space)
        assert tuning.num_distinct(space) == 1
        assert draw_points(space, 1, seed=0) == [{"x": 0.5}]
        with pytest.raises(UsageError, match="only 1 different points, fewer than the 2 trials"):
            draw_points(space, 2, seed=0)


def test_a_list_as_long_as_a_study_is_dealt_in_file_order():
    space = [{"x": value} for value in (3, 1, 2)]
    assert draw_points(space, 3, seed=5, study=1) == space
    assert draw_points(space, 5, seed=5, study=1) == space, "a shorter one gives fewer points"


@given(st.integers(6, 30), st.integers(0, 1000), st.integers(0, 3))
@settings(max_examples=25, deadline=None)
def test_a_longer_list_is_dealt_without_replacement(size, seed, study):
    space = [{"x": value} for value in range(size)]
    points = draw_points(space, 5, seed, study)
    assert len(points) == 5
    assert distinct(points) == 5
    assert all(point in space for point in points)


def test_other_studies_get_other_points_of_a_long_list():
    space = [{"x": value} for value in range(100)]
    studies = [tuple(point["x"] for point in draw_points(space, 5, 0, study)) for study in range(3)]
    assert len(set(studies)) == 3


def test_points_are_copies_of_the_entries_of_a_list():
    space = [{"x": 1}]
    draw_points(space, 1, 0)[0]["x"] = 2
    assert space == [{"x": 1}]


def test_the_number_of_distinct_points_counts_values_not_entries():
    assert tuning.num_distinct({"a": {"feasible_points": [1, 1, True]}, "b": {"min": 2, "max": 2}}) == 2
    assert tuning.num_distinct({"a": {"min": 1, "max": 2}}) == math.inf
    assert tuning.num_distinct([{"a": 1}, {"a": 2}]) == 2


# ---- hyperparameters -------------------------------------------------------------------------------------------------


def test_hyperparameters_are_a_namedtuple_in_file_order():
    found = make_hyperparameters({"b": 1, "a": 2.5})
    assert type(found).__name__ == "Hyperparameters"
    assert found._fields == ("b", "a")
    assert tuple(found) == (1, 2.5)
    assert (found.b, found.a) == (1, 2.5)
    assert not hasattr(found, "label_smoothing")
    assert getattr(found, "grad_clip", None) is None
    assert hash(found) == hash((1, 2.5))
    with pytest.raises(AttributeError):
        found.a = 3


def test_hyperparameters_know_what_was_read():
    found = make_hyperparameters({"a": 1, "b": 2, "c": 3})
    assert unread(found) == ["a", "b", "c"]
    _ = found.b
    assert unread(found) == ["a", "c"]
    assert hasattr(found, "c")
    assert unread(found) == ["a"]
    assert unread(make_hyperparameters({"a": 1})) == ["a"], "each trial counts for itself"
    assert unread(None) == []


def test_a_hyperparameter_that_is_swept_as_its_complement_can_be_read_as_itself():
    found = make_hyperparameters({"one_minus_beta1": 0.25, "one_minus_beta2": 0.001, "beta2": 0.5})
    assert unread(found) == ["one_minus_beta1", "one_minus_beta2", "beta2"]
    assert found.beta1 == 0.75
    assert unread(found) == ["one_minus_beta2", "beta2"]
    assert found.beta2 == 0.5, "a name of the point stands for itself"
    assert found._fields == ("one_minus_beta1", "one_minus_beta2", "beta2")
    assert pickle.loads(pickle.dumps(found)).beta1 == 0.75
    with pytest.raises(AttributeError, match=r"Hyperparameters.*'beta3'"):
        _ = found.beta3


def test_a_misspelt_hyperparameter_is_told_the_keys_and_the_nearest():
    found = make_hyperparameters({"learning_rate": 1, "warmup": 2})
    with pytest.raises(
        AttributeError, match=r"no 'lerning_rate'; the nearest is 'learning_rate'.*learning_rate, warmup"
    ):
        _ = found.lerning_rate


@pytest.mark.parametrize(
    "read_all",
    [
        lambda h: h._asdict(),
        lambda h: h._replace(a=2),
        lambda h: tuple(h),
        lambda h: [*h],
        lambda h: h[0] + h[1],
    ],
    ids=["_asdict", "_replace", "tuple", "unpack", "index"],
)
def test_reading_everything_at_once_counts_as_reading(read_all):
    found = make_hyperparameters({"a": 1, "b": 2})
    read_all(found)
    assert unread(found) == []


def test_hyperparameters_survive_pickle():
    found = pickle.loads(pickle.dumps(make_hyperparameters({"a": 1, "b": None})))
    assert (found.a, found.b) == (1, None)


@pytest.mark.parametrize("name", ["\ufb01", "\u017f"])
def test_letters_that_python_takes_for_others_are_refused_in_names(name):
    with pytest.raises(UsageError, match="is no name for a hyperparameter"):
        tuning.check_search_space([{name: 1, "fi": 2, "s": 3}])
