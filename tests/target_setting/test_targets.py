"""Best points and targets, against the rule worked out by hand."""

import dataclasses
import json
import math

import numpy as np
import pytest
import sweep_folders

from algoperf import registry, suites
from algoperf.spec import UsageError
from target_setting.procedures import targets as target_file
from target_setting.sweep import read_sweep
from target_setting.sweep_tables import Metric
from target_setting.target_rules import best, binomial_interval, notes_on, set_targets, targets_of

LOSS, ACCURACY = Metric("loss", False), Metric("accuracy", True)
NAN = float("nan")


def reruns(tmp_path, validation, test, workload="criteo1tb_mini", **options):
    sweep_folders.write_reruns(tmp_path, "adam", workload, validation, test, **options)
    return read_sweep(tmp_path).reruns


def test_the_best_point_is_that_of_any_algorithm_at_any_evaluation(tmp_path):
    sweep_folders.write_trial(tmp_path, "adam", "criteo1tb_mini", 1, [0.5, 0.2, 0.2])
    sweep_folders.write_trial(tmp_path, "adam", "criteo1tb_mini", 2, [0.5, 0.01], status="failed")
    sweep_folders.write_trial(tmp_path, "sgd", "criteo1tb_mini", 7, [0.1, 0.9, NAN], status="diverged")
    found = best(read_sweep(tmp_path).trials)
    assert (found.algorithm, found.trial) == ("sgd", 7)


def test_equal_bests_go_to_fewer_updates_then_to_name_and_number(tmp_path):
    sweep_folders.write_trial(tmp_path, "adam", "criteo1tb_mini", 1, [0.5, 0.1, 0.3])
    sweep_folders.write_trial(tmp_path, "sgd", "criteo1tb_mini", 5, [0.1, 0.3])
    sweep_folders.write_trial(tmp_path, "sgd", "criteo1tb_mini", 4, [0.1, 0.2])
    trials = read_sweep(tmp_path).trials
    assert best(trials).trial == best(trials[::-1]).trial == 4


def test_without_a_finite_metric_there_is_no_best_point(tmp_path):
    sweep_folders.write_trial(tmp_path, "adam", "criteo1tb_mini", 1, [NAN], status="diverged")
    with pytest.raises(UsageError, match="None of the 1 trials on criteo1tb_mini has a finite loss"):
        best(read_sweep(tmp_path).trials)


@pytest.mark.parametrize(
    ("metric", "validation", "test", "expected"),
    [
        # Odd: the median is one of the values; the three runs that reach it have tests 0.5, 0.4, 0.6.
        (LOSS, [0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.6, 0.9, 0.1], (0.3, 0.6)),
        (ACCURACY, [0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.6, 0.9, 0.2], (0.3, 0.2)),
        # Even: the mean of the middle two, which half of the runs reach.
        (LOSS, [0.1, 0.2, 0.4, 0.5], [0.3, 0.7, 0.9, 0.9], (0.3, 0.7)),
        (ACCURACY, [0.1, 0.2, 0.4, 0.5], [0.1, 0.1, 0.8, 0.6], (0.3, 0.6)),
        # A rerun without a result is the worst of five; a missing test metric is no target.
        (LOSS, [NAN, 0.1, 0.2, 0.3, 0.4], [NAN, 0.5, NAN, 0.6, 0.1], (0.3, 0.6)),
        (ACCURACY, [NAN, 0.1, 0.2, 0.3, 0.4], [NAN, 0.5, NAN, 0.7, 0.6], (0.2, 0.6)),
        (LOSS, [NAN, NAN, 0.2, 0.3], [NAN, NAN, 0.5, 0.5], (NAN, NAN)),
        # All equal: all reach the median.
        (LOSS, [0.2, 0.2, 0.2], [0.1, 0.3, 0.2], (0.2, 0.3)),
    ],
)
def test_targets_follow_the_rule(metric, validation, test, expected):
    np.testing.assert_allclose(targets_of(np.array(validation), np.array(test), metric), expected, rtol=1e-12)


def test_targets_of_many_reruns_equal_the_rule_by_brute_force():
    rng = np.random.default_rng(0)
    for metric in (LOSS, ACCURACY):
        better = max if metric.higher_is_better else min
        worse = min if metric.higher_is_better else max
        for number in (1, 2, 5, 20):
            validation, test = rng.normal(size=(2, number)).round(1)
            ordered = sorted(validation)
            middle = (ordered[(number - 1) // 2] + ordered[number // 2]) / 2
            reaching = [t for v, t in zip(validation, test) if better(v, middle) == v]
            target, test_target = targets_of(validation, test, metric)
            assert target == pytest.approx(middle)
            assert test_target == worse(reaching)


def test_reruns_give_targets_probability_and_spread(tmp_path):
    # Target 0.3; tests of the runs that reach it 0.5, 0.4, 0.6, so the test target is 0.6; run 5 reaches only that.
    found = set_targets(reruns(tmp_path, [0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.6, 0.9, 0.1]))
    assert (found.validation_target, found.test_target) == (0.3, 0.6)
    assert (found.probability_validation, found.probability_both) == (0.6, 0.6)
    assert found.probability_interval == pytest.approx((0.1466, 0.9473), abs=1e-4)  # Clopper-Pearson, 3 of 5.
    # Run k reaches its best at 20 + k seconds, step 200.
    assert found.time_to_validation.quantiles == (21, 21.5, 22, 22.5, 23)
    assert found.time_to_validation.relative == pytest.approx(1 / 22)
    assert found.steps_to_both.quantiles == (200,) * 5
    assert found.validation.quantiles == (0.1, 0.2, 0.3, 0.4, 0.5)
    assert (found.target_setting_sec, found.target_setting_steps) == (24, 200)


def test_the_probability_for_a_new_run_leaves_each_rerun_out(tmp_path):
    # Without 0.1 the target is 0.35, which 0.1 meets; 0.2 likewise. Without 0.3 it is 0.3, met if the test is no
    # worse than those of 0.1 and 0.2. Without 0.4 or 0.5 it is 0.25, missed.
    runs = reruns(tmp_path, [0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.5, 0.5, 0.5, 0.5])
    assert set_targets(runs).probability_left_out == 0.6
    runs = [dataclasses.replace(r, test=r.test + 0.1 if r.study == 3 else r.test) for r in runs]
    assert set_targets(runs).probability_left_out == 0.4


@pytest.mark.filterwarnings("error")
def test_one_rerun_says_nothing_about_a_new_run_and_numpy_does_not_complain(tmp_path):
    setting = set_targets(reruns(tmp_path, [0.2], [0.3]), min_reruns=1)
    assert (setting.validation_target, setting.test_target) == (0.2, 0.3)
    assert math.isnan(setting.probability_left_out)
    assert target_file.report([setting]).splitlines()[2].split()[-1] == "-"


def test_both_targets_may_be_met_at_different_evaluations(tmp_path):
    for study, (validation, test) in enumerate(
        [([0.1, 0.9, 0.9], [0.9, 0.9, 0.1]), ([0.2, 0.2, 0.2], [0.1, 0.9, 0.9]), ([0.3] * 3, [0.3] * 3)],
        start=1,
    ):
        sweep_folders.write_trial(
            tmp_path / "reruns",
            "adam",
            "criteo1tb_mini",
            1,
            validation,
            test=test,
            study=study,
            point={"x": 1},
        )
    found = set_targets(read_sweep(tmp_path).reruns, min_reruns=3)
    assert (found.validation_target, found.test_target) == (0.2, 0.1)
    assert [r.validation_hit and r.validation_hit.global_step for r in found.reruns] == [100, 100, None]
    assert [r.both_hit and r.both_hit.global_step for r in found.reruns] == [300, 100, None]


def test_a_crashed_rerun_counts_as_a_miss(tmp_path):
    reruns(tmp_path, [0.1, 0.2, 0.3, 0.4], [0.1] * 4)
    sweep_folders.write_trial(
        tmp_path / "reruns",
        "adam",
        "criteo1tb_mini",
        1,
        [0.01],
        study=5,
        status="failed",
        point={"learning_rate": 0.001},
    )
    found = set_targets(read_sweep(tmp_path).reruns)
    assert found.validation_target == 0.3
    assert found.probability_both == 0.6
    assert found.validation.count == 4


def test_reruns_that_are_no_repetitions_are_refused(tmp_path):
    runs = list(reruns(tmp_path, [0.1, 0.2, 0.3, 0.4], [0.1] * 4))
    with pytest.raises(UsageError, match="Too few reruns of criteo1tb_mini: 4 finished, at least 5 wanted"):
        set_targets(runs)
    other_point = dataclasses.replace(runs[0], study=5, point={"learning_rate": 7.0})
    with pytest.raises(UsageError, match="are not of one point"):
        set_targets([*runs, other_point])
    with pytest.raises(UsageError, match="have the same seeds: one run, not two"):
        set_targets([*runs, dataclasses.replace(runs[0], study=5)])
    failed = [dataclasses.replace(run, status="failed") for run in runs[:2]]
    with pytest.raises(
        UsageError, match=r"No target for criteo1tb_mini.*2 of 4 have no finite validation loss"
    ):
        set_targets([*failed, *runs[2:]], min_reruns=4)
    no_test = [dataclasses.replace(run, test=run.test * np.nan) for run in runs]
    with pytest.raises(UsageError, match=r"those that meet the validation target .* have no finite test"):
        set_targets(no_test, min_reruns=4)


def test_reruns_that_are_not_of_the_best_point_or_differ_in_version_are_noted(tmp_path):
    runs = reruns(tmp_path, [0.1, 0.2, 0.3], [0.1] * 3)
    found = set_targets(runs, min_reruns=3)
    assert notes_on(found, runs[0]) == []
    other = dataclasses.replace(runs[0], algorithm="sgd", trial=9)
    assert "not of the sweep's best point, sgd trial 9" in notes_on(found, other)[0]
    changed = dataclasses.replace(runs[0], facts={**runs[0].facts, "device": "gpu"})
    assert notes_on(set_targets([changed, *runs[1:]], min_reruns=3), None) == [
        "criteo1tb_mini: reruns differ in device."
    ]


def test_targets_that_separate_nothing_are_noted(tmp_path):
    (perfect,) = notes_on(set_targets(reruns(tmp_path, [0.0, 0.0, 0.1], [0.1, 0.2, 0.3]), min_reruns=3), None)
    assert "the validation target is 0, the best loss there can be" in perfect
    equal = reruns(tmp_path / "equal", [0.2, 0.2, 0.2], [0.1, 0.2, 0.3])
    (same,) = notes_on(set_targets(equal, min_reruns=3), None)
    assert "all 3 reruns have the same best loss, 0.2" in same


def test_a_suite_reads_the_target_file(tmp_path):
    sweep_folders.write_sweep(tmp_path, "adam", {"criteo1tb_mini": [0.1, 0.05]})
    runs = reruns(tmp_path, [0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.6, 0.9, 0.1])
    content = target_file.content([set_targets(runs)], read_sweep(tmp_path).trials)
    path = tmp_path / "targets.json"
    path.write_text(json.dumps(content))
    written, suite = json.loads(path.read_text()), suites.load(str(path))
    assert (suite.name, suite.scored_names()) == (str(path), ("criteo1tb_mini",))
    assert suite.rulesets == suites.load("mini").rulesets
    targets, spec = suite.targets("criteo1tb_mini"), registry.get("criteo1tb_mini")
    assert (targets.validation_target, targets.test_target) == (0.3, 0.6)
    assert (targets.metric_name, targets.higher_is_better) == ("loss", False)
    assert (targets.runtime_budget_sec, targets.step_hint) == (spec.max_allowed_runtime_sec, spec.step_hint)
    provenance = written["provenance"]["criteo1tb_mini"]
    assert provenance["sweep"]["num_points"] == {"adam": 2}
    assert provenance["sweep"]["points"]["adam"][1]["best_validation"] == 0.05
    assert [run["best_validation"] for run in provenance["reruns"]] == [0.1, 0.2, 0.3, 0.4, 0.5]
    assert provenance["reruns"][2]["seeds"] == {"rng_seed": 0, "data": 3001, "init": 6001}
    assert provenance["reruns"][3]["validation_target_reached"] is None
    assert provenance["probability_of_hitting"]["validation_and_test"] == 0.6
    assert provenance["package_versions"]["numpy"] == "2.0"
    assert provenance["git_commit_hash"] == "0123abc"


def test_the_measured_budget_is_four_thirds_of_whole_runs(tmp_path):
    runs = reruns(tmp_path, [0.1] * 5, [0.1] * 5, end=(30.0, 300))
    targets = target_file.workload_targets(set_targets(runs), "measured")
    assert (targets.runtime_budget_sec, targets.step_hint) == (40, 400)
    early = [dataclasses.replace(runs[0], status="target_reached"), *runs[1:]]
    with pytest.raises(UsageError, match="ended with 'target_reached'"):
        target_file.workload_targets(set_targets(early), "measured")
    with pytest.raises(UsageError, match="No runtime budget is called 'measure'"):
        target_file.workload_targets(set_targets(runs), "measure")


def test_intervals_are_exact():
    low, high = binomial_interval(10, 20)
    # P(X >= 10 | low) = P(X <= 10 | high) = 0.025 by the binomial sum.
    tail = sum(math.comb(20, k) * low**k * (1 - low) ** (20 - k) for k in range(10, 21))
    assert tail == pytest.approx(0.025, rel=1e-6)
    assert high == pytest.approx(1 - low)


def test_a_workload_without_test_split_gets_one_target_and_is_reached_by_it(tmp_path):
    for study, value in enumerate([10.0, 20.0, 30.0, 40.0, 50.0], start=1):
        sweep_folders.write_trial(
            tmp_path / "reruns",
            "adam",
            "finewebedu_lm_mini",
            1,
            [90.0, value],
            test=[NAN, NAN],
            study=study,
            point={"x": 1},
        )
    found = set_targets(read_sweep(tmp_path).reruns)
    assert (found.validation_target, found.test_target) == (30.0, None)
    assert (found.probability_validation, found.probability_both) == (0.6, 0.6)
    # Without 10 or 20 the target is 35, which both meet; without 30 it is 30; without 40 or 50, 25.
    assert found.probability_left_out == 0.6
    assert found.steps_to_both == found.steps_to_validation
    assert target_file.workload_targets(found).test_target is None
    row = target_file.report([found]).splitlines()[2].split()
    assert row[:5] == ["finewebedu_lm_mini", "adam", "ppl", "30", "-"]
    assert target_file.panels([found])[0][2] == "rerun"
