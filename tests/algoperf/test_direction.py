"""What "better" means, for metrics of both directions."""

import dataclasses
import math

import numpy as np
import pytest

from algoperf import direction, registry
from algoperf.suites import WorkloadTargets
from target_setting.sweep_tables import Metric


@pytest.mark.parametrize(("higher_is_better", "worse"), [(True, 0.4), (False, 0.6)])
def test_all_who_ask_whether_a_target_is_met_give_one_answer(higher_is_better, worse):
    targets = WorkloadTargets(
        metric_name="accuracy",
        higher_is_better=higher_is_better,
        validation_target=0.5,
        test_target=None,
        runtime_budget_sec=1.0,
        step_hint=None,
        eval_period_sec=1.0,
    )
    spec = dataclasses.replace(registry.get("digits"), higher_is_better=higher_is_better)
    for value, wanted in ((0.5, True), (worse, False), (1 - worse, True), (math.nan, False)):
        assert direction.at_least_as_good(value, 0.5, higher_is_better) is wanted
        assert targets.is_met_by(value) is wanted
        assert spec.meets(value, 0.5) is wanted
        metric = Metric("accuracy", higher_is_better)
        np.testing.assert_array_equal(metric.meets(np.array([value]), 0.5), [wanted])


def test_the_best_of_several_values_leaves_out_what_is_no_number():
    assert direction.best([0.2, math.nan, 0.4, 0.1], higher_is_better=True) == 0.4
    assert direction.best([0.2, math.nan, 0.4, 0.1], higher_is_better=False) == 0.1
    assert math.isnan(direction.best([math.nan], higher_is_better=True))
    assert math.isnan(direction.best([], higher_is_better=False))
