"""A workload without a test split: its validation target alone ends a run, and nothing speaks of another."""

import dataclasses
import functools

import harness
import pytest
from harness import digits, run_trial, shared_workload

from algoperf import evaluation, records, registry
from algoperf.data import prepared
from algoperf.run import summary as summaries
from algoperf.spec import UsageError

WITHOUT = {"num_test_examples": None, "test_target_value": None}


@pytest.fixture(autouse=True)
def own_workloads(monkeypatch):
    """Other tests share theirs, whose evaluators have a test split."""
    monkeypatch.setattr(harness, "_workload", functools.cache(harness._workload.__wrapped__))


def test_the_validation_target_ends_a_run_whose_records_have_no_test_split(tmp_path):
    found = run_trial(tmp_path, "pytorch", workload=digits(validation_target_value=0.0, **WITHOUT))
    assert (found["status"], found["global_step"]) == ("target_reached", 1)
    assert (found["test_target"], found["test_target_reached"]) == (None, None)
    assert found["ledger"]["eval_test"] == 0.0
    columns = records.read_csv(tmp_path / "trial_1" / records.EVAL_MEASUREMENTS)
    assert {"train/accuracy", "validation/accuracy", "validation/num_examples"} <= set(columns)
    assert not [name for name in columns if name.startswith("test/")]
    summary = summaries.read(tmp_path / "trial_1")
    text = summaries.describe(summary, tmp_path)
    assert "  validation accuracy target 0: reached at" in text
    assert "test" not in text.replace(str(tmp_path), "")


def test_a_run_that_misses_the_validation_target_goes_on(tmp_path):
    found = run_trial(tmp_path, "pytorch", workload=digits(validation_target_value=1.0, **WITHOUT))
    assert (found["status"], found["global_step"]) == ("max_steps", 10)
    assert found["validation_target_reached"] is None
    assert found["test_target_reached"] is None


def test_its_test_target_is_reached_from_the_start():
    workload = shared_workload(digits(**WITHOUT), "pytorch")
    assert workload.has_reached_test_target({})
    assert not workload.has_reached_validation_target({})
    assert (workload.num_test_examples, workload.test_target_value) == (None, None)
    assert list(evaluation.splits_of(workload.spec)) == ["eval_train", "validation"]
    assert prepared.num_examples(workload.spec).keys() == {"train", "validation"}
    # A trial that ends before its first evaluation has these columns and no row.
    assert "test/ppl" not in records.evaluation_columns("ppl", has_test_split=False)


@pytest.mark.parametrize("name", sorted(WITHOUT))
def test_a_target_without_a_split_and_a_split_without_a_target_are_refused(name):
    with pytest.raises(UsageError, match="both are None for a workload without test split"):
        dataclasses.replace(registry.get("digits"), **{name: None})
