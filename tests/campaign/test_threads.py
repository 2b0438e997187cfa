"""How many threads a trial of a campaign gets: those that its user has set, or one a core."""

import pytest

from algoperf.spec import UsageError
from campaign import local, process
from campaign.execution import Options

THREADS = "OMP_NUM_THREADS"


@pytest.fixture(autouse=True)
def four_cores(monkeypatch):
    monkeypatch.setattr(local.cores, "usable", lambda: [0, 1, 2, 3])


def test_a_trial_has_as_many_threads_as_cores_where_the_user_says_nothing(monkeypatch):
    monkeypatch.delenv(THREADS, raising=False)
    found = [place.environment()[THREADS] for place in local.places(2)]
    assert found == ["2", "2"]


def test_the_number_of_threads_that_the_user_has_set_is_kept(monkeypatch):
    for value in ("1", "2", "2,1"):
        monkeypatch.setenv(THREADS, value)
        assert [place.environment()[THREADS] for place in local.places(2)] == [value, value]


def test_what_the_user_has_set_wins_over_what_ray_sets_for_its_tasks(monkeypatch):
    monkeypatch.setenv(THREADS, "4")  # By Ray, in the process of a task.
    assert process.Place((0, 1), threads="1").environment()[THREADS] == "1"
    assert process.Place((0, 1)).environment()[THREADS] == "2"
    assert process.Place().environment()[THREADS] == "4"


@pytest.mark.parametrize("value", ["8", "3", "many", "0", "2,x"])
def test_threads_with_which_trials_cannot_run_are_refused_before_anything_starts(monkeypatch, value):
    monkeypatch.setenv(THREADS, value)
    with pytest.raises(UsageError, match=f"{THREADS}={value}.*unset it"):
        Options(workers=2)
