"""The broad search spaces of the paper's four algorithms, and what `narrow` makes of a sweep over one."""

import numpy as np
import pytest
from harness import ROOT

from algoperf import tuning
from target_setting.procedures.narrow import narrow
from target_setting.sweep_jobs import ALGORITHMS, BROAD_SPACE

EXTREMES = {
    "adamw": {
        "learning_rate": (0.00026, 0.055),
        "weight_decay": (0.00011, 0.34),
        "one_minus_beta1": (0.0063, 0.544),
        "one_minus_beta2": (0.0012, 0.94),
    },
    "nesterov": {
        "learning_rate": (0.029, 4.13),
        "weight_decay": (1e-7, 0.000577),
        "one_minus_beta1": (0.015, 0.073),
        "decay_steps_factor": (0.838, 0.984),
    },
}
"""Least and most among the points that the paper prints."""
EXTREMES.update(nadamw=EXTREMES["adamw"], heavy_ball=EXTREMES["nesterov"])
CHOICES = {
    "adamw": {"warmup_factor": [0.02, 0.05, 0.1]},
    "nesterov": {"warmup_factor": [0.05], "end_factor": [0.001, 0.01]},
}
CHOICES.update(nadamw=CHOICES["adamw"], heavy_ball=CHOICES["nesterov"])


def space_of(algorithm):
    return tuning.load_search_space(ROOT / "reference_algorithms" / algorithm / BROAD_SPACE)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_broad_space_holds_the_points_that_the_paper_prints(algorithm):
    space = space_of(algorithm)
    ranges = {name: entry for name, entry in space.items() if "feasible_points" not in entry}
    assert ranges.keys() == EXTREMES[algorithm].keys()
    for name, (least, most) in EXTREMES[algorithm].items():
        assert ranges[name]["min"] <= least < most <= ranges[name]["max"], name
        assert ranges[name]["scaling"] == ("linear" if name == "decay_steps_factor" else "log")
    sets = {name: entry["feasible_points"] for name, entry in space.items() if name not in ranges}
    both = {"label_smoothing": [0.0, 0.1, 0.2], "dropout_rate": [0.0, 0.1]}
    assert sets == {**CHOICES[algorithm], **both}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_sweep_over_a_broad_space_narrows_to_one_that_the_algorithm_takes(make_rows, algorithm):
    points = tuning.draw_points(space_of(algorithm), 20, seed=0)
    costs = np.random.default_rng(0).uniform(size=(3, 20))
    space = narrow(make_rows(points, **dict(zip("abc", costs)))).space
    assert space.keys() == points[0].keys()
    for name, value in {"one_minus_beta2": 0.001, "decay_steps_factor": 0.9, "warmup_factor": 0.05}.items():
        assert space.get(name) in (None, {"feasible_points": [value]})
    drawn = [tuning.make_hyperparameters(point) for point in tuning.draw_points(space, 20, seed=0)]
    if algorithm in ("adamw", "nadamw"):
        assert [one.beta2 for one in drawn] == [0.999] * 20
    assert all(0 < one.one_minus_beta1 < 1 for one in drawn)
