"""Reading sweep folders, and results per point."""

import numpy as np
import pytest
import sweep_folders

from algoperf import records
from algoperf.spec import UsageError
from target_setting.sweep import read_sweep
from target_setting.sweep_tables import best_validation, make_table, metric_of, ranks


def test_a_trial_is_read_with_its_point_evaluations_and_facts(tmp_path):
    sweep_folders.write_trial(
        tmp_path, "adam", "digits", 3, [0.5, 0.1, 0.2], test=[0.6, 0.3, 0.2], end=(31.5, 300)
    )
    (trial,) = read_sweep(tmp_path).trials
    assert (trial.algorithm, trial.workload, trial.framework, trial.study, trial.trial) == (
        "adam",
        "digits",
        "jax",
        0,
        3,
    )
    assert trial.point == {"learning_rate": 0.003}
    np.testing.assert_array_equal(trial.step, [100, 200, 300])
    np.testing.assert_array_equal(trial.submission_time_sec, [10, 20, 30])
    np.testing.assert_array_equal(trial.validation, [0.5, 0.1, 0.2])
    np.testing.assert_array_equal(trial.test, [0.6, 0.3, 0.2])
    np.testing.assert_array_equal(trial.train, [0.5, 0.1, 0.2])
    assert (trial.status, trial.end_time_sec, trial.end_step) == ("max_steps", 31.5, 300)
    assert trial.facts["seeds"] == {"data": 3, "init": 3}
    assert trial.facts["git_commit_hash"] == "0123abc"


def test_sweep_and_reruns_are_kept_apart(tmp_path):
    sweep_folders.write_sweep(tmp_path, "adam", {"digits": [0.1, 0.2]})
    sweep_folders.write_reruns(tmp_path, "adam", "digits", [0.1, 0.12], [0.1, 0.1])
    sweep = read_sweep(tmp_path)
    assert [(t.study, t.trial) for t in sweep.trials] == [(0, 1), (0, 2)]
    assert [(t.study, t.trial) for t in sweep.reruns] == [(1, 1), (2, 1)]
    assert sweep.notes == ()


def test_other_studies_are_neither_sweep_nor_reruns(tmp_path):
    sweep_folders.write_trial(tmp_path, "adam", "digits", 1, [0.1])
    sweep_folders.write_trial(tmp_path, "adam", "digits", 1, [0.01], study=1)
    sweep_folders.write_trial(tmp_path / "reruns", "adam", "digits", 1, [0.01], study=0)
    sweep = read_sweep(tmp_path)
    assert [trial.study for trial in (*sweep.trials, *sweep.reruns)] == [0]
    assert sweep.notes == ("2 x stray folder ignored, as in adam study_0 of reruns.",)


def test_unfinished_trials_are_left_out_and_noted(tmp_path):
    sweep_folders.write_trial(tmp_path, "adam", "digits", 1, [0.1])
    sweep_folders.write_trial(tmp_path, "adam", "digits", 2, [0.1], status=None)
    sweep = read_sweep(tmp_path)
    assert [trial.trial for trial in sweep.trials] == [1]
    assert sweep.notes == ("1 x trial not finished, left out, as in adam/study_0/digits_jax/trial_2.",)


def test_rows_of_lost_work_and_a_torn_line_do_not_count(tmp_path):
    folder = sweep_folders.write_trial(tmp_path, "adam", "digits", 1, [0.5, 0.01])
    path = folder / records.EVAL_MEASUREMENTS
    header, first, second = path.read_text().splitlines()
    redone = second.replace("0.01", "0.3")
    path.write_text("\n".join([header, first, second, first.replace("0.5", "0.4"), redone, "30.0,9"]))
    (trial,) = read_sweep(tmp_path).trials
    np.testing.assert_array_equal(trial.validation, [0.4, 0.3])
    np.testing.assert_array_equal(trial.test, [0.4, 0.3])


def test_runs_that_ended_at_the_present_targets_are_warned_of(tmp_path):
    sweep_folders.write_trial(tmp_path, "adam", "digits", 1, [0.1], status="target_reached")
    assert "best metrics are cut off" in read_sweep(tmp_path).notes[0]


def test_the_best_metric_is_that_of_any_evaluation_and_a_diverged_run_keeps_it(tmp_path):
    nan, inf = float("nan"), float("inf")
    sweep_folders.write_trial(tmp_path, "adam", "wmt_mini", 1, [5.0, 9.0, nan], status="diverged")
    sweep_folders.write_trial(tmp_path, "adam", "wmt_mini", 2, [5.0, 9.0], status="failed")
    sweep_folders.write_trial(tmp_path, "adam", "wmt_mini", 3, [nan, inf], status="diverged")
    sweep_folders.write_trial(tmp_path, "adam", "wmt_mini", 4, [], status="failed")
    trials = read_sweep(tmp_path).trials
    values = [best_validation(trial, metric_of("wmt_mini")) for trial in trials]
    np.testing.assert_array_equal(values, [9.0, nan, nan, nan])


def test_a_table_holds_points_that_ran_everywhere_and_counts_the_others(tmp_path):
    sweep_folders.write_sweep(tmp_path, "adam", {"criteo1tb_mini": [0.3, 0.1, 0.2], "wmt_mini": [10.0, 20.0]})
    trials = read_sweep(tmp_path).trials
    table = make_table(trials, "adam", ("wmt_mini", "criteo1tb_mini"))
    assert (table.trials, table.num_left_out) == ((1, 2), 1)
    np.testing.assert_array_equal(table.values, [[10, 20], [0.3, 0.1]])
    np.testing.assert_array_equal(ranks(table.costs), [[1, 0], [1, 0]])
    everything = make_table(trials, "adam", ("wmt_mini", "criteo1tb_mini"), complete=False)
    np.testing.assert_array_equal(everything.values, [[10, 20, np.nan], [0.3, 0.1, 0.2]])


def test_a_trial_number_must_be_the_same_point_on_every_workload(tmp_path):
    sweep_folders.write_trial(tmp_path, "adam", "digits", 1, [0.1], point={"learning_rate": 1.0})
    sweep_folders.write_trial(tmp_path, "adam", "wmt_mini", 1, [9.0], point={"learning_rate": 2.0})
    with pytest.raises(UsageError, match="Trial 1 of adam is not the same point on digits and wmt_mini"):
        make_table(read_sweep(tmp_path).trials, "adam", ("digits", "wmt_mini"))


def test_what_is_wrong_with_a_folder_is_one_clear_error(tmp_path):
    with pytest.raises(UsageError, match="No sweep folder at"):
        read_sweep(tmp_path / "absent")
    with pytest.raises(UsageError, match="No trials below"):
        read_sweep(tmp_path)
    sweep_folders.write_trial(tmp_path, "adam", "digits", 1, [0.1], status=None)
    with pytest.raises(UsageError, match=r"No finished trials .* 1 not finished, such as adam/study_0"):
        read_sweep(tmp_path)
    sweep_folders.write_trial(tmp_path, "adam", "digits", 2, [0.1], framework="pytorch")
    with pytest.raises(UsageError, match=r"No algorithm in .* is called 'adm'; the nearest is 'adam'"):
        read_sweep(tmp_path, algorithms=["adm"])
    with pytest.raises(UsageError, match="No workload is called 'digit'"):
        read_sweep(tmp_path, workloads=["digit"])
    with pytest.raises(UsageError, match="No framework is called 'torch'"):
        read_sweep(tmp_path, framework="torch")
    with pytest.raises(UsageError, match="No finished trials of wmt_mini"):
        read_sweep(tmp_path, workloads=["wmt_mini"])
    sweep_folders.write_trial(tmp_path, "adam", "digits", 3, [0.1])
    with pytest.raises(UsageError, match="both frameworks; choose with --framework"):
        read_sweep(tmp_path)
    assert [trial.trial for trial in read_sweep(tmp_path, framework="jax").trials] == [3]


def test_an_unknown_workload_in_the_folder_is_an_error(tmp_path):
    (tmp_path / "adam" / "study_0" / "digitz_jax" / "trial_1").mkdir(parents=True)
    with pytest.raises(UsageError, match="No workload is called 'digitz'; the nearest is 'digits'"):
        read_sweep(tmp_path)


def test_points_with_different_keys_are_refused(tmp_path):
    sweep_folders.write_trial(tmp_path, "adam", "digits", 1, [0.1], point={"learning_rate": 0.1})
    sweep_folders.write_trial(
        tmp_path, "adam", "digits", 2, [0.1], point={"learning_rate": 0.1, "weight_decay": 0.1}
    )
    with pytest.raises(UsageError, match="Points of adam have different keys: weight_decay"):
        read_sweep(tmp_path)
