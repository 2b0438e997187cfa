"""Summaries: one set of keys however a trial ends, older ones are read, later ones refused."""

import dataclasses
import json
import os
import signal
import types

import pytest
from harness import run_trial, sgd, submission, trial_config

from algoperf import records
from algoperf.run import clock, ending, session, summary, trial
from algoperf.run.summary import Summary
from algoperf.spec import UsageError

KEYS = {field.name for field in dataclasses.fields(Summary)} - {"already_finished"}
OF_EVERY_TRIAL = (
    "submission",
    "workload",
    "framework",
    "hyperparameters",
    "budget_sec",
    "target_metric",
    "identity",
)


def stored(folder):
    return json.loads((folder / records.SUMMARY).read_text())


def write(folder, **content):
    folder.mkdir(parents=True, exist_ok=True)
    (folder / records.SUMMARY).write_text(json.dumps(content))
    return folder


def stopping_for_good(folder):
    def update_params(**arguments):
        if arguments["global_step"] == 2:
            records.write_json(folder / "trial_1" / records.STOP, {"reason": "it cannot matter"})
            os.kill(os.getpid(), signal.SIGTERM)
        return sgd("pytorch").update_params(**arguments)

    return submission("pytorch", update_params=update_params)


def fails_in_set_up(*arguments, **options):
    raise ZeroDivisionError("not today")


def fail_elsewhere(folder, monkeypatch, *, in_set_up):
    """As process 0 records that another process has failed: before its own session is complete, or later."""
    failures, config = types.SimpleNamespace(record=None), trial_config(folder, "pytorch")
    if in_set_up:
        monkeypatch.setattr(session, "Workload", fails_in_set_up)
        with pytest.raises(ZeroDivisionError):
            trial.set_up(config, clock.Ledger(), failures)
    else:
        started = trial.set_up(config, clock.Ledger(), failures)
        started.close()
    failures.record("process 1: out of luck")


def test_however_a_trial_ends_its_summary_has_all_keys(tmp_path, monkeypatch):
    run_trial(tmp_path / "finished", "pytorch", max_steps=2)
    run_trial(tmp_path / "stopped", "pytorch", stopping_for_good(tmp_path / "stopped"))
    run_trial(tmp_path / "set_up", "pytorch", submission("pytorch", init_optimizer_state=fails_in_set_up))
    fail_elsewhere(tmp_path / "elsewhere", monkeypatch, in_set_up=False)
    fail_elsewhere(tmp_path / "early", monkeypatch, in_set_up=True)
    found = {folder.name: stored(folder / "trial_1") for folder in tmp_path.iterdir()}
    assert {name: one["status"] for name, one in found.items()} == {
        "finished": "max_steps",
        **{"stopped": "stopped", "set_up": "failed", "elsewhere": "failed", "early": "failed"},
    }
    for one in found.values():
        assert one.keys() == KEYS
        assert one["version"] == summary.VERSION
        assert all(one[name] is not None for name in OF_EVERY_TRIAL)
    assert "not today" in found["set_up"]["error"]
    assert found["elsewhere"]["error"] == found["early"]["error"] == "process 1: out of luck"
    assert [found[name]["global_step"] for name in ("stopped", "set_up", "elsewhere", "early")] == [
        3,
        0,
        0,
        None,
    ]
    assert found["stopped"]["stop_reason"] == "it cannot matter"
    assert found["finished"]["stop_reason"] is None
    for name, one in found.items():
        assert summary.read(tmp_path / name / "trial_1").to_json() == one, "read as written"


@pytest.mark.parametrize(
    "content",
    [
        {"status": "target_reached", "global_step": 10, "validation_target_reached": {"global_step": 5}},
        {
            "status": "failed",
            "submission": "sgd",
            "warnings": [],
            "error": "process 1: out of luck",
            "identity": {},
        },
        {
            "status": "failed",
            "error": "segmentation",
            "exit_code": 139,
            "hyperparameters": {"learning_rate": 1.0},
        },
        {"status": "stopped", "stop_reason": "sibling: ...", "something_else": 1},
    ],
    ids=["finished", "failed_set_up", "given_up", "stopped"],
)
def test_summaries_without_a_version_are_read_and_what_they_lack_is_unknown(tmp_path, content):
    found = summary.read(write(tmp_path, **content))
    known = {name: value for name, value in content.items() if name in KEYS}
    assert {name: getattr(found, name) for name in known} == known
    unknown = KEYS - content.keys() - {"version"}
    assert {getattr(found, name) for name in unknown} == {None}
    assert found.version == summary.VERSION


@pytest.mark.parametrize("version", [summary.VERSION + 1, "2.0"])
def test_a_summary_of_a_later_version_is_refused_in_one_line(tmp_path, version):
    folder = write(tmp_path, status="failed", version=version)
    with pytest.raises(UsageError, match=r"summary\.json has version .*: use the version that wrote it\.$"):
        summary.read(folder)


@pytest.mark.parametrize("text", ["", '{"status": "fai', "[]", '{"global_step": 3}', '{"status": ""}'])
def test_what_does_not_say_how_a_trial_ended_is_no_summary(tmp_path, text):
    (tmp_path / records.SUMMARY).write_text(text)
    assert summary.read(tmp_path) is None
    assert summary.read(tmp_path / "not_there") is None


@pytest.mark.parametrize(("max_steps", "wanted"), [(10, False), (11, True), (9, False), (None, True)])
def test_a_trial_goes_on_only_where_more_updates_are_wanted_than_it_did(max_steps, wanted):
    assert Summary(status="max_steps", global_step=10).goes_on(max_steps) is wanted
    assert Summary(status="budget_exhausted", global_step=10).goes_on(max_steps) is False


def test_a_summary_that_knows_little_is_described_by_what_it_knows(tmp_path):
    text = summary.describe(Summary(status="failed", workload="digits", error="a\nb"), tmp_path)
    assert "on digits (None), study None, trial None: failed" in text
    assert "  a\n  b\n" in text
    assert "memory" not in text


def test_making_a_summary_changes_nothing(tmp_path):
    failures = types.SimpleNamespace(record=None)
    config = trial_config(
        tmp_path, "pytorch", point={"learning_rate": 0.1, "momentum": 0.9, "wieght_decay": 0.1}
    )
    started = trial.set_up(config, clock.Ledger(), failures)
    started.close()
    first, second = (ending.summarize(config, started, "failed", warnings=("odd",)) for _ in range(2))
    assert first.warnings == second.warnings
    assert first.warnings[0] == "odd"
    assert sum("'wieght_decay'" in text for text in second.warnings) == 1
