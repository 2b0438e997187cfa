"""Differences between submissions beside the luck of studies."""

import math

import numpy as np
import pytest

from algoperf.spec import UsageError
from scoring import separation
from scoring.leaderboard import Settings
from scoring.procedure import CLEAN
from scoring.results import Hit, Results, Trial

INF = math.inf


def test_deviations_of_known_groups():
    # Logarithms 0, 1, 2 and 4, 5, 6: variance 1 within; the means 1 and 5 vary by 8, of which 1 / 3 is luck.
    groups = [np.exp([0.0, 1.0, 2.0]), np.exp([4.0, 5.0, 6.0])]
    found = separation.separation("a", groups)
    assert found.luck == pytest.approx(1.0)
    assert found.differences == pytest.approx(math.sqrt(8 - 1 / 3))
    assert found.ratio == pytest.approx(found.differences)
    assert found.reached == (2, 0, 0)


def test_deviations_are_those_that_were_drawn():
    rng = np.random.default_rng(0)
    means = rng.normal(3.0, 0.5, size=(2_000, 1))
    found = separation.separation("a", list(np.exp(means + rng.normal(0.0, 0.2, size=(2_000, 3)))))
    assert found.luck == pytest.approx(0.2, rel=0.02)
    assert found.differences == pytest.approx(0.5, rel=0.05)


def test_misses_are_counted_and_left_out():
    groups = [np.array(row) for row in ([1.0, 2.0, 4.0], [8.0, INF, 16.0], [5.0, INF, INF], [INF] * 3)]
    found = separation.separation("a", groups)
    assert found.reached == (1, 2, 1)
    only = separation.separation("a", [np.array([1.0, 2.0, 4.0]), np.array([8.0, 16.0])])
    assert (found.luck, found.differences) == (only.luck, only.differences)


def test_equal_submissions_do_not_differ():
    found = separation.separation("a", [np.array([1.0, 2.0, 3.0])] * 3)
    assert found.differences == 0.0
    assert found.ratio == 0.0
    alone = separation.separation("a", [np.array([1.0, 2.0, 3.0]), np.array([INF] * 3)])
    assert math.isnan(alone.differences)
    assert "nan" not in separation.show([alone])


def field(times, num_studies):
    trials = [
        Trial(
            submission=name,
            workload=workload,
            framework="jax",
            study=study,
            trial=1,
            hit=Hit(0, time * (1 + study), 1),
            last_time_sec=time * (1 + study),
        )
        for name, time in times.items()
        for workload in ("up", "down")
        for study in range(num_studies)
    ]
    return Results(tuple(times), tuple(trials))


def test_a_row_for_each_workload(suite):
    settings = Settings(suite=suite, ruleset_name="self", procedure=CLEAN, axis="submission_time")
    found = separation.separations(field({"x": 1.0, "y": 20.0}, 3), settings)
    assert [one.workload for one in found] == ["down", "up"]
    shown = separation.show(found).splitlines()
    assert shown[1].split() == ["down", "2", "0", "0", "74%", "712%", "3.8"]
    with pytest.raises(UsageError, match="two studies or more; none did here"):
        separation.separations(field({"x": 1.0, "y": 20.0}, 1), settings)
