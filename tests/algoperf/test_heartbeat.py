"""Work that a process has used in vain counts when its trial goes on (R6.25)."""

import dataclasses
import json

import pytest
from harness import PretendedTime, run_trial, sgd

from algoperf import records
from algoperf.run import clock, heartbeat
from algoperf.run.heartbeat import Beat, Heartbeat, carried_on


@pytest.fixture
def fails_at(monkeypatch, warm_framework):
    """run(folder, step) runs a trial whose steps take a second each, and that fails in one of them."""
    time = PretendedTime(monkeypatch)

    def run(folder, fails=None, **changes):
        def update_params(**arguments):
            if arguments["global_step"] == fails:
                raise RuntimeError("out of luck")
            return sgd(warm_framework).update_params(**arguments)

        return run_trial(
            folder, warm_framework, time.takes(warm_framework, 1, update_params=update_params), **changes
        )

    return run


def test_a_run_that_failed_goes_on_where_its_clock_stood(tmp_path, fails_at):
    first = fails_at(tmp_path, fails=7)
    assert (first["status"], first["submission_time_sec"]) == ("failed", pytest.approx(8))
    second = fails_at(tmp_path, fails=8)
    assert second["submission_time_sec"] == pytest.approx(8 + 4), "from the checkpoint of step 5"
    third = fails_at(tmp_path)
    assert third["submission_time_sec"] == pytest.approx(8 + 4 + 5)
    assert third["lost_sec"] == pytest.approx(3 + 4)
    assert third["crashes"] == 2
    assert third["ledger"]["balanced"]
    assert sum("R6.25" in text for text in third["warnings"]) == 1
    assert third["num_evaluations"] == 3
    assert fails_at(tmp_path / "straight")["last"] == third["last"], "in everything but time"


def test_a_run_that_failed_before_its_first_checkpoint_starts_over_where_its_clock_stood(tmp_path, fails_at):
    fails_at(tmp_path, fails=3, save_checkpoints=False)
    found = fails_at(tmp_path, save_checkpoints=False)
    assert found["submission_time_sec"] == pytest.approx(4 + 10)
    assert found["preemption_count"] == 0
    assert fails_at(tmp_path, save_checkpoints=False, overwrite=True)["lost_sec"] == 0


def test_a_run_that_ended_as_it_should_loses_nothing(tmp_path, fails_at):
    fails_at(tmp_path, max_steps=7)
    found = fails_at(tmp_path)
    assert found["submission_time_sec"] == pytest.approx(10)
    assert (found["crashes"], found["lost_sec"], found["warnings"]) == (0, 0.0, [])


def test_a_process_that_was_killed_on_the_clock_is_charged_to_its_last_beat_and_a_period(tmp_path, fails_at):
    fails_at(tmp_path, max_steps=5)
    last = heartbeat.read(tmp_path / "trial_1")
    killed = dataclasses.replace(last, submission_sec=40.0, is_running=True, is_over=False)
    (tmp_path / "trial_1" / records.HEARTBEAT).write_text(json.dumps(dataclasses.asdict(killed)))
    found = fails_at(tmp_path)
    assert found["submission_time_sec"] == pytest.approx(40 + heartbeat.BEAT_SEC + 5)
    assert found["crashes"] == 1


def test_of_several_processes_each_second_counts_once():
    first = Beat(submission_sec=15.0, start_sec=0.0)
    second = carried_on(first, now_sec=10.0)
    assert (second.submission_sec, second.lost_sec) == (15.0, 5.0)
    dies_before_a_checkpoint = carried_on(dataclasses.replace(second, submission_sec=18.0), now_sec=10.0)
    assert (dies_before_a_checkpoint.submission_sec, dies_before_a_checkpoint.lost_sec) == (18.0, 8.0)
    dies_after_one = carried_on(dataclasses.replace(second, submission_sec=18.0), now_sec=17.0)
    assert (dies_after_one.submission_sec, dies_after_one.lost_sec) == (18.0, 6.0)
    assert dies_after_one.crashes == 2


def test_beats_come_by_themselves_while_a_step_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(heartbeat, "BEAT_SEC", 0.01)
    ledger = clock.Ledger(clock.UPDATE)
    beating = Heartbeat(tmp_path, ledger)
    seen = heartbeat.read(tmp_path).submission_sec
    while (now := heartbeat.read(tmp_path)).submission_sec == seen:
        pass
    assert now.is_running
    beating.finish(is_over=True)
    assert heartbeat.read(tmp_path).is_over


@pytest.mark.parametrize("text", ["", "{", "[]", '{"submission_sec": "x"}'])
def test_a_beat_that_is_not_whole_is_none(tmp_path, text):
    (tmp_path / records.HEARTBEAT).write_text(text)
    assert heartbeat.read(tmp_path) is None
