"""What "better" means, for metrics of both directions."""

import dataclasses
import math

import numpy as np
import pytest

from algoperf import direction, registry
from algoperf.metrics.averages import AverageMetrics
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
        assert direction.meets_target(value, 0.5, "accuracy", higher_is_better) is wanted
        assert targets.is_met_by(value) is wanted
        assert spec.meets(value, 0.5) is wanted
        metric = Metric("accuracy", higher_is_better)
        np.testing.assert_array_equal(metric.meets(np.array([value]), 0.5), [wanted])


@pytest.mark.parametrize(("higher_is_better", "infinity"), [(True, math.inf), (False, -math.inf)])
def test_an_infinite_metric_reaches_no_target_and_is_nobodys_best(higher_is_better, infinity):
    assert not direction.meets_target(infinity, 0.5, "perplexity", higher_is_better)
    found = direction.meets_target(np.array([infinity, 0.5]), 0.5, "perplexity", higher_is_better)
    assert found.tolist() == [False, True]
    assert direction.best([0.5, infinity, math.nan], higher_is_better) == 0.5
    assert math.isnan(direction.best([infinity], higher_is_better))
    assert direction.best([-infinity], higher_is_better) == -infinity


@pytest.mark.parametrize("num_examples", [250, 1_024, 10_000, 50_000])
def test_a_metric_that_is_a_count_meets_a_target_when_the_count_does(num_examples):
    counts = np.arange(num_examples + 1)
    # Of the ways to a share, the first is exact and the others are not; targets are written with six digits.
    shares = [counts / num_examples, 1 - (num_examples - counts) / num_examples]
    shares.append((counts.astype(np.float32) / np.float32(num_examples)).astype(float))
    for needed in (1, num_examples // 3, num_examples * 39 // 40, num_examples - 1):
        for target in (needed / num_examples, float(f"{needed / num_examples:.6f}")):
            for values in shares:
                up = direction.meets_target(values, target, "accuracy", higher_is_better=True)
                np.testing.assert_array_equal(up, counts >= needed)
                down = direction.meets_target(values, target, "error_rate", higher_is_better=False)
                np.testing.assert_array_equal(down, counts <= needed)


def test_the_rounding_of_counts_is_less_than_half_a_count_of_any_workload():
    for name in registry.names():
        spec = registry.get(name)
        if spec.target_metric_name in direction.COUNTED_METRICS:
            words = 50 if spec.target_metric_name == "wer" else 1  # Of an utterance, and more than there are.
            most = words * max(spec.num_validation_examples, spec.num_test_examples)
            assert 0.5 / most > direction.ROUNDING, name


def test_metrics_that_are_no_counts_are_compared_as_they_are():
    above = np.nextafter(0.25, 1)
    assert not direction.meets_target(above, 0.25, "loss", higher_is_better=False)
    assert direction.meets_target(above, 0.25, "wer", higher_is_better=False)


def test_six_wrong_of_250_digits_are_enough():
    """The target was missed by rounding: 1 - 244/250 is 0.02400000000000002."""
    spec = registry.get("digits")
    for right, wanted in ((243, False), (244, True), (245, True)):
        for share in (right / 250, 1 - (250 - right) / 250):
            assert spec.meets(share, spec.validation_target_value) is wanted
    metrics = AverageMetrics("error_rate")
    metrics.update({}, {"correct": np.arange(250) < 244})
    assert metrics.result()["error_rate"] == 0.024


def test_the_best_of_several_values_leaves_out_what_is_no_number():
    assert direction.best([0.2, math.nan, 0.4, 0.1], higher_is_better=True) == 0.4
    assert direction.best([0.2, math.nan, 0.4, 0.1], higher_is_better=False) == 0.1
    assert math.isnan(direction.best([math.nan], higher_is_better=True))
    assert math.isnan(direction.best([], higher_is_better=False))
