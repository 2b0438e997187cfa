"""The claim on a trial's folder: one writer, whoever starts what, with or without a campaign."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from harness import FRAMEWORKS, ROOT, SGD_FILES, command, run_trial

from algoperf import holders, records
from algoperf.run import claim
from algoperf.spec import UsageError

HOLD = """
import sys
from pathlib import Path
from algoperf import holders
from algoperf.run import claim
from algoperf.spec import UsageError
holders.HEARTBEAT_SEC = {beat}
try:
    with claim.on(Path(sys.argv[1])):
        print("held", flush=True)
        sys.stdin.readline()
except UsageError as error:
    print(error, flush=True)
"""


def holder(folder, beat=10.0):
    """A process that holds the folder until it reads a line."""
    return subprocess.Popen(
        [sys.executable, "-c", HOLD.format(beat=beat), str(folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def held(tmp_path):
    """(folder of a trial, process that holds it)."""
    folder = tmp_path / "experiments" / "sgd_torch" / "study_0" / "digits_pytorch" / "trial_1"
    process = holder(folder)
    assert process.stdout.readline() == "held\n"
    yield folder, process
    process.kill()
    process.communicate()


def test_the_second_is_told_who_holds_the_trial_and_what_to_do(held):
    folder, process = held
    began = time.monotonic()
    with pytest.raises(UsageError) as told, claim.on(folder):
        pass
    assert time.monotonic() - began < 5
    text = str(told.value)
    for part in (
        str(folder),
        f"process {process.pid} on",
        "since 20",
        f"kill {process.pid}",
        "--experiment_dir",
    ):
        assert part in text
    assert claim.is_held(folder)


def test_a_dead_holder_is_taken_over_at_once(held):
    folder, process = held
    process.kill()
    process.wait()
    assert not claim.is_held(folder)
    began = time.monotonic()
    with claim.on(folder):
        assert claim.is_held(folder)
        assert len(list(folder.glob(".claim_*"))) == 1, "what the dead one left is gone"
    assert time.monotonic() - began < 5


def test_a_claim_leaves_nothing_behind(tmp_path):
    with claim.on(tmp_path / "a" / "b"), claim.on(tmp_path / "a" / "b"):
        assert len(list((tmp_path / "a" / "b").iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    with claim.on(tmp_path / "a" / "b"):
        (tmp_path / "a" / "b" / "result").touch()
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["result"]


def test_of_many_who_start_at_once_one_holds_the_folder(tmp_path):
    processes = [holder(tmp_path / "trial_1") for _ in range(6)]
    said = [process.stdout.readline() for process in processes]
    for process in processes:
        process.communicate("\n")
    assert sum(line == "held\n" for line in said) == 1, said
    assert sum("has held it since" in line for line in said) == 5, said


# ---- holders that cannot be seen -----------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path):
    """The claim of a process in another container, of the same host name."""
    path = tmp_path / ".claim_1.json"
    other = {**holders.identity_of_process(os.getpid()), "pid_namespace": "pid:[1]", "since": "noon"}
    path.write_text(json.dumps(other))
    return path


def test_a_holder_in_another_container_is_recognised_by_its_heartbeat(elsewhere, capsys):
    ended = threading.Event()

    def beat():
        while not ended.wait(0.2):
            holders.beat(elsewhere)

    thread = threading.Thread(target=beat)
    thread.start()
    try:
        with pytest.raises(UsageError, match="since noon"), claim.on(elsewhere.parent):
            pass
    finally:
        ended.set()
        thread.join()
    assert "Waiting for a sign of life" in capsys.readouterr().err
    assert elsewhere.exists()


def test_a_holder_in_another_container_that_is_silent_is_taken_over(elsewhere, monkeypatch):
    monkeypatch.setattr(holders, "STALE_AFTER_SEC", 1.0)
    began = time.monotonic()
    with claim.on(elsewhere.parent):
        assert time.monotonic() - began > 0.9
        assert not elsewhere.exists()


def test_a_claim_that_was_never_filled_is_taken_over_when_it_is_old(tmp_path):
    path = tmp_path / ".claim_1.json"
    path.touch()
    os.utime(path, (time.time() - 2 * holders.STALE_AFTER_SEC,) * 2)
    with claim.on(tmp_path):
        assert [path.name for path in tmp_path.iterdir()] == [".claim_2.json"]


def test_a_holder_whose_folder_others_have_taken_over_ends_at_once(tmp_path):
    process = holder(tmp_path / "trial_1", beat=0.1)
    assert process.stdout.readline() == "held\n"
    next((tmp_path / "trial_1").glob(".claim_*")).unlink()
    process.wait(timeout=20)
    assert process.returncode == claim.EXIT_TAKEN_OVER
    assert "ends without a checkpoint" in process.communicate()[1]


# ---- runs ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("overwrite", [False, True])
def test_the_same_command_in_a_second_terminal_is_refused_and_changes_nothing(
    held, tmp_path, capsys, overwrite
):
    folder, process = held
    (folder / "checkpoint_5").write_text("of the live run")
    (folder / records.SUMMARY).write_text(json.dumps({"status": "failed"}))
    code = command(
        tmp_path,
        workload="digits",
        submission=str(SGD_FILES["pytorch"]),
        framework="pytorch",
        tuning_search_space=str(ROOT / "tests" / "helpers" / "tuning_search_space.json"),
        overwrite=overwrite,
    )
    assert code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"process {process.pid} on" in line
    assert (folder / "checkpoint_5").read_text() == "of the live run"


def test_a_second_command_needs_no_framework_to_be_refused(held):
    folder, _ = held
    code = f"""
import sys
from pathlib import Path
from algoperf.run import clock, runner
from algoperf.settings import RunSettings
from algoperf.spec import UsageError
try:
    runner.run(RunSettings(workload="digits", submission={str(SGD_FILES["pytorch"])!r}, framework="pytorch",
        tuning_ruleset="self", experiment_dir={str(folder.parents[3])!r}), clock.Ledger())
except UsageError as error:
    print("held" in str(error), "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout == "True False\n", done.stderr


def test_a_run_gives_its_folder_back_however_it_ends(tmp_path):
    framework = FRAMEWORKS[0]

    def fail(*args, **kwargs):
        raise KeyboardInterrupt

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("algoperf.run.trial.set_up", fail)
        with pytest.raises(KeyboardInterrupt):
            run_trial(tmp_path, framework)
    assert not (tmp_path / "trial_1").exists(), "as if it had not been started"
    assert run_trial(tmp_path, framework)["status"] == "max_steps"
    assert list((tmp_path / "trial_1").glob(".claim_*")) == []


def test_a_finished_trial_is_shown_where_nobody_can_write(tmp_path, monkeypatch):
    framework = FRAMEWORKS[0]
    run_trial(tmp_path, framework)

    def refuse(folder):
        raise AssertionError("no claim is needed")

    monkeypatch.setattr(claim, "on", refuse)
    assert run_trial(tmp_path, framework)["already_finished"]


def test_a_signal_gives_the_claim_back(tmp_path):
    process = holder(tmp_path / "trial_1")
    assert process.stdout.readline() == "held\n"
    process.send_signal(signal.SIGINT)
    process.communicate()
    assert not (tmp_path / "trial_1").exists()
