"""Values that a submission logs are numbers from the moment on at which it gives them."""

import enum

import numpy as np
import pytest

from algoperf.logged import SubmissionLog
from algoperf.records import MetricsLogger, read_csv
from algoperf.spec import UsageError


class Trains:
    """Reads as a number, and does something whenever it is read."""

    reads = 0

    def __float__(self):
        Trains.reads += 1
        return 1.0


class TrainsAsFloat(float):
    """A float that does something when it is written."""

    __float__ = __repr__ = __str__ = Trains.__float__


class Rank(enum.IntEnum):
    FIRST = 1


@pytest.fixture
def log(tmp_path):
    """(the submission's log, a function that gives the rows as written)."""
    logger = MetricsLogger(tmp_path, float)

    def rows():
        logger.finish()
        return read_csv(tmp_path / "measurements.csv")

    yield SubmissionLog(logger, lambda value: None), rows
    logger.finish()


@pytest.mark.parametrize(
    "value", [1, True, 0.5, np.float32(0.5), np.int64(3), np.ones((1, 1)), Rank.FIRST], ids=repr
)
def test_numbers_of_python_and_numpy_are_logged(log, value):
    given, rows = log
    given.append_scalar_metrics({"x": value}, np.int64(7))
    assert rows() == {"x": [float(np.asarray(value).item())], "global_step": [7]}


@pytest.mark.parametrize(
    "value",
    [Trains(), [1, 2], None, {"a": 1}, np.ones(2), np.array(["text"]), 1j],
    ids=lambda one: type(one).__name__,
)
def test_what_is_no_number_is_refused_when_it_is_given_and_not_read(log, value):
    given, rows = log
    Trains.reads = 0
    for metrics, step in (({"x": value}, 1), ({"x": 1.0}, value)):
        with pytest.raises(UsageError, match=f"as a {type(value).__name__}, which is not one number"):
            given.append_scalar_metrics(metrics, step)
    assert Trains.reads == 0
    assert rows() == {}


def test_a_float_of_the_submissions_own_class_is_the_number_and_nothing_of_it_runs(log):
    given, rows = log
    Trains.reads = 0
    given.append_scalar_metrics({"x": TrainsAsFloat(0.25)}, 1)
    assert rows()["x"] == [0.25]
    assert Trains.reads == 0


def test_an_array_that_changes_after_it_was_logged_is_logged_as_it_was(log):
    given, rows = log
    value = np.zeros(())
    given.append_scalar_metrics({"x": value}, 1)
    value += 1
    assert rows()["x"] == [0.0]


def test_names_are_plain_texts(log):
    class Name(str):
        pass

    given, _ = log
    with pytest.raises(UsageError, match="got a name of type Name"):
        given.append_scalar_metrics({Name("x"): 1.0}, 1)


def test_what_is_logged_for_one_step_is_one_row(tmp_path):
    logger = MetricsLogger(tmp_path, float)
    logger.append_scalar_metrics({"loss": 2.0}, 5)
    logger.append_scalar_metrics({"learning_rate": 0.1}, 5)
    logger.append_scalar_metrics({"loss": 3.0}, 5)  # Twice the same column: both are kept.
    logger.append_scalar_metrics({"validation/loss": 1.0}, 5, is_eval=True)
    logger.append_scalar_metrics({"loss": 1.0}, 6)
    logger.finish()
    found = read_csv(tmp_path / "measurements.csv")
    assert found["global_step"] == [5, 5, 5, 6]
    np.testing.assert_array_equal(found["learning_rate"], [0.1, np.nan, np.nan, np.nan])
    np.testing.assert_array_equal(found["loss"], [2, 3, np.nan, 1])
