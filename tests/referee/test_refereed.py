"""Refereed trials on digits: the same numbers as without, and nothing that a submission does off its clock is free."""

import json
import os
from pathlib import Path

import logs
import numpy as np
from harness import SGD_FILES, assert_equal_params, finish, patient_suite
from refereed import EVERY, STEPS, results, wait_for

from algoperf import records
from algoperf.referee.kept_source import read_index
from algoperf.run import chain_check, checkpoint

OTHER_COLUMNS = (
    *(records.SCORE, records.SUBMISSION_TIME, records.EVAL_TIME, records.LOGGING_TIME),
    records.TOTAL_DURATION,
)
"""In which two runs of one trial differ: times."""


def metrics(rows):
    """The rows of evaluations without times."""
    return [{name: cell for name, cell in row.items() if name not in OTHER_COLUMNS} for row in rows]


def test_parameters_and_metrics_are_those_without_a_referee_bit_for_bit(pair, framework):
    plain, refereed = pair(framework)
    assert_equal_params(plain.trial, refereed.trial)
    assert metrics(refereed.rows) == metrics(plain.rows)
    assert [row["global_step"] for row in refereed.rows] == ["1", str(EVERY), str(STEPS)]


def test_a_referee_sends_what_the_records_hold(pair, framework):
    trial = pair(framework)[1].trial
    shown = logs.in_tensorboard(trial)
    assert shown == logs.in_measurements(trial)
    assert max(shown["validation/accuracy"]) == STEPS


def test_the_records_of_a_refereed_trial_say_so_and_hold_what_others_hold(pair, framework):
    plain, refereed = pair(framework)
    summary = refereed.summary
    assert summary["refereed"]
    assert summary["findings"] == []
    assert summary["ledger"]["balanced"]
    assert summary["identity"] == {**plain.summary["identity"], "referee": True}
    assert summary["referee"]["initial_metrics"].keys() >= {"validation/accuracy", "test/loss"}
    assert not plain.summary["refereed"]
    assert f"refereed, 0 findings; seal {summary['seal']}" in refereed.out.splitlines()[-2]
    assert chain_check.check(str(refereed.trial)) == chain_check.Checked(summary["seal"])
    names = [{path.name for path in one.trial.iterdir()} for one in (plain, refereed)]
    assert names[0] - {records.HEARTBEAT} | {records.CHAIN} == names[1]
    study = refereed.trial.parents[1]
    (kept,) = (study / records.SOURCE).iterdir()
    assert kept.name == summary["identity"]["submission_source"]
    assert read_index(kept).main.read_bytes() == SGD_FILES[framework].read_bytes()
    meta_data = [records.newest_meta_data(one.trial) for one in (plain, refereed)]
    assert meta_data[0].keys() <= meta_data[1].keys()
    for one in meta_data:  # PyTorch names the folder of its cache, which is below that for temporary files.
        one["environment"]["variables"].pop("TORCHINDUCTOR_CACHE_DIR", None)
    same = ("global_batch_size", "environment", "num_devices", "seeds", "data_manifest", "submission_hash")
    assert [meta_data[0][name] for name in same] == [meta_data[1][name] for name in same]
    compared = ("status", "best", "last", "unread_hyperparameters", "global_batch_size", "device")
    assert {name: plain.summary[name] for name in compared} == {name: summary[name] for name in compared}


WAITS = """
import os, time

def update_params(**arguments):
    while arguments["global_step"] == 4 and not os.path.exists(os.environ["TEST_GOES_ON"]):
        time.sleep(0.02)
    return sgd_torch.update_params(**arguments)
"""


def test_a_referee_that_was_killed_takes_its_children_along_and_the_trial_goes_on(
    started, bent, pair, tmp_path
):
    submission, sign = bent(WAITS), tmp_path / "goes_on"
    first = started(tmp_path / "e", submission, TEST_GOES_ON=str(sign))
    trial = results(tmp_path / "e").trial
    wait_for((trial / f"checkpoint_{EVERY}").exists, "checkpoint")
    task = Path(f"/proc/{first.pid}/task/{first.pid}/children")
    children = [int(pid) for pid in task.read_text().split()]
    assert len(children) == 2
    first.kill()
    finish(first)
    wait_for(lambda: not any(os.path.exists(f"/proc/{pid}") for pid in children), "end of the children")
    sign.touch()
    code, _, err = finish(started(tmp_path / "e", submission, TEST_GOES_ON=str(sign)))
    assert code == 0, err
    found, whole = results(tmp_path / "e"), pair("pytorch")[1]
    assert_equal_params(found.trial, whole.trial)
    assert [row["validation/loss"] for row in found.rows] == [row["validation/loss"] for row in whole.rows]
    assert (found.summary["preemption_count"], found.summary["findings"]) == (1, [])
    assert chain_check.check(str(found.trial)) == chain_check.Checked(found.summary["seal"])
    lines = map(json.loads, (trial / records.CHAIN).read_text().splitlines())
    (resumed,) = [line for line in lines if "resumed" in line]
    assert (resumed["step"], resumed["anew"]) == (EVERY, [])


def test_a_referee_that_is_asked_to_stop_writes_a_checkpoint(started, bent, tmp_path):
    # The word to stop goes through the referee, and must be there before the few updates that are left.
    waits = WAITS.replace(
        "    return sgd", "    time.sleep(3 * (arguments['global_step'] == 4))\n    return sgd"
    )
    submission, sign = bent(waits), tmp_path / "goes_on"
    first = started(tmp_path / "e", submission, TEST_GOES_ON=str(sign))
    trial = results(tmp_path / "e").trial
    wait_for((trial / f"checkpoint_{EVERY}").exists, "checkpoint")
    first.terminate()
    sign.touch()
    code, _, err = finish(first)
    assert code == 128 + 15, err
    found = checkpoint.find(trial)
    assert found.about["refereed"]
    step = found.about["global_step"]
    assert step in (4, 5), "whether the word or the file was there first"
    assert f"continues from step {step}" in err
    assert len(found.about["progress"]["eval_results"]) == 2


SLOW_STATE = """
import subprocess, sys, time

BUSY = subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])

class Slow:
    def __getstate__(self):
        end = time.thread_time() + 0.4
        while time.thread_time() < end:
            pass
        return {}

def init_optimizer_state(*arguments):
    return {**sgd_torch.init_optimizer_state(*arguments), "slow": Slow()}

def update_params(**arguments):
    if arguments["eval_results"]:
        try:
            arguments["eval_results"][-1][1]["test/loss"]
        except KeyError as error:
            asked = str(error)
        logger = arguments["workload"].metrics_logger
        logger.append_scalar_metrics({"rule": float("R3.5" in asked)}, arguments["global_step"])
    return sgd_torch.update_params(**arguments)
"""


def test_what_a_submission_does_while_the_clock_stands_is_charged_or_named(started, bent, tmp_path):
    """State that computes while it is saved, a process that works on, a question for test metrics."""
    code, out, err = finish(started(tmp_path, bent(SLOW_STATE)))
    assert code == 0, err
    found = results(tmp_path)
    transfer = found.summary["referee"]["off_the_clock"]["transfer"]
    assert transfer["num"] == 3
    assert 3 * 0.3 < transfer["charged_sec"] <= found.summary["submission_time_sec"]
    beyond = min(
        transfer["used_sec"] - transfer["allowed_sec"], transfer["used_cpu_sec"] - transfer["allowed_cpu_sec"]
    )
    assert transfer["charged_sec"] <= beyond + 1e-5  # Rounded in the record.
    assert float(found.rows[0][records.SUBMISSION_TIME]) > 0.3
    # The process is stopped with the one that trains; that it is there at all is for people to look at.
    assert {(one["rule"], one["grade"]) for one in found.summary["findings"]} <= {
        ("R3.19", "for review"),
        ("R3.18", "for review"),  # It has used processor time in set-up, on a free machine.
    }
    assert "running beside" in out
    logged = records.read_csv(found.trial / records.MEASUREMENTS)
    rows = [value for value in logged["rule"] if not np.isnan(value)]
    assert rows == [1.0] * (STEPS - 1)


ASKS = """
import gc, time

def update_params(**arguments):
    if arguments["global_step"] == 1:
        told = next(one for one in gc.get_objects() if type(one).__name__ == "Told")
        state = next(one for one in gc.get_objects() if type(one).__name__ == "TrialState")
        end = time.monotonic() + 1
        while time.monotonic() < end:
            told._paused(state, "pause")
        told._paused(state, "save")
        told._paused(state, "evaluate")
    return sgd_torch.update_params(**arguments)
"""


def test_a_submission_that_stops_the_clock_by_itself_gains_nothing_and_is_named(started, bent, tmp_path):
    code, _, err = finish(started(tmp_path, bent(ASKS)))
    assert code == 0, err
    found = results(tmp_path)
    assert found.summary["submission_time_sec"] > 1
    assert found.summary["referee"]["off_the_clock"]["transfer"]["num"] == 3
    assert [row["global_step"] for row in found.rows] == ["1", str(EVERY), str(STEPS)]
    kinds = {(one["rule"], one["grade"]) for one in found.summary["findings"]}
    assert kinds == {("R3.20", "forbidden"), ("R3.17", "forbidden")}


DIES = """
import os, time

def update_params(**arguments):
    if arguments["global_step"] == 4 and not os.path.exists(os.environ["TEST_GOES_ON"]):
        time.sleep(1)
        os.kill(os.getpid(), 9)
    return sgd_torch.update_params(**arguments)
"""


def test_a_submission_that_kills_itself_has_failed_and_pays_for_the_lost_work_when_it_goes_on(
    started, bent, tmp_path
):
    submission, sign = bent(DIES), str(tmp_path / "goes_on")
    code, _, err = finish(started(tmp_path / "e", submission, TEST_GOES_ON=sign))
    assert code == 1, err
    found = results(tmp_path / "e")
    assert found.summary["status"] == "failed"
    assert "ended by signal 9" in found.summary["error"]
    lost = json.loads((found.trial / records.LOST).read_text())
    assert [one["step"] for one in lost] == [EVERY]
    assert lost[0]["lost_sec"] > 1
    before = float(found.rows[-1][records.SUBMISSION_TIME])
    Path(sign).touch()
    code, _, err = finish(started(tmp_path / "e", submission, TEST_GOES_ON=sign))
    assert code == 0, err
    found = results(tmp_path / "e")
    after = float(found.rows[-1][records.SUBMISSION_TIME])
    assert after > before + lost[0]["lost_sec"]
    account = found.summary["referee"]["off_the_clock"]["lost"]
    np.testing.assert_allclose(account["charged_sec"], lost[0]["lost_sec"], atol=1e-5)


ENDLESS = """
import time

def update_params(**arguments):
    if arguments["global_step"] == 2:
        time.sleep(600)
    return sgd_torch.update_params(**arguments)
"""


def test_a_step_without_end_is_stopped_when_the_budget_is_spent(started, bent, tmp_path):
    suite = json.loads(Path(patient_suite(tmp_path, "digits")).read_text())
    suite["targets"]["digits"]["runtime_budget_sec"] = 1
    (tmp_path / "short.json").write_text(json.dumps(suite))
    code, _, err = finish(
        started(tmp_path / "e", bent(ENDLESS), "pytorch", f"--suite={tmp_path / 'short.json'}")
    )
    assert code == 0, err
    summary = results(tmp_path / "e").summary
    assert summary["status"] == "budget_exhausted"
    assert 1 < summary["submission_time_sec"] < 60


TRAINS_IN_INIT = """
import torch

def init_optimizer_state(workload, model_params, *rest):
    with torch.no_grad():
        next(iter(model_params.parameters())).add_(1e-3)
    return sgd_torch.init_optimizer_state(workload, model_params, *rest)
"""


def test_set_up_that_changes_the_parameters_is_refused_by_r3_18(started, bent, tmp_path):
    code, _, err = finish(started(tmp_path, bent(TRAINS_IN_INIT)))
    assert code == 2
    assert "R3.18" in err
    assert len(err.strip().splitlines()) == 1
    assert results(tmp_path).summary is None
