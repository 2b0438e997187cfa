"""A campaign whose disk is full stops with one line, and continues with the same scores when there is room."""

import contextlib
import errno
import os
import subprocess
import sys

import pytest
import test_campaign as local
from harness import ROOT, assert_equal_params, patient_suite

from algoperf import records
from algoperf.commands import EXIT_STORAGE
from algoperf.files import StorageError
from campaign import engine as engine_module
from campaign import job_plan, process
from campaign.state import State
from campaign.store import Outcome, Store

FULL = [{"exit": EXIT_STORAGE, "error": "error: Cannot write"}]


def attempts(found):
    jobs = job_plan.make_jobs(found)
    return [attempt.outcome for job in jobs for attempt in Store(found.experiment_dir).attempts(job)]


@pytest.mark.parametrize("num_workers", [1, 2])
def test_a_trial_without_room_stops_the_campaign_and_has_not_crashed(tmp_path, num_workers):
    found = local.campaign(tmp_path)
    first = job_plan.make_jobs(found)[0].key
    slow = [{"evaluations": [[1.0, 10, 0.1]] * 100, "sleep": 0.1}]
    local.scripts(tmp_path, slow, **{first: FULL})
    with pytest.raises(StorageError, match="make room"):
        local.engine(found, num_workers=num_workers).run()
    assert attempts(found) == [Outcome.INTERRUPTED] * num_workers, "the others were asked to end"
    local.scripts(tmp_path)
    assert set(local.engine(found).run().values()) == {State.DONE}


def test_a_trial_may_find_no_room_as_often_as_it_likes(tmp_path):
    local.scripts(tmp_path, FULL)
    found = local.campaign(tmp_path)
    for _ in range(4):
        with pytest.raises(StorageError):
            local.engine(found).run()
    assert set(Store(tmp_path).states(job_plan.make_jobs(found)).values()) == {State.WAITING}


@pytest.mark.parametrize("number", range(1, 7))
def test_wherever_a_campaign_finds_no_room_it_stops_and_goes_on_later(tmp_path, monkeypatch, number):
    """At the claim, when the trial has started, at its end, and so on with the next one."""
    local.scripts(tmp_path)
    found = local.campaign(tmp_path, num_trials=1)
    fsync, left = os.fsync, [number]

    def full(file):
        left[0] -= 1
        if left[0] <= 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        fsync(file)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match="No space left on device"):
            local.engine(found).run()
    # As when the command has ended: what it could not write down is found out by the next one.
    for job in job_plan.make_jobs(found):
        for attempt in Store(tmp_path).attempts(job):
            if attempt.outcome is None:
                attempt.update(holders=[])
                os.utime(attempt.path, (0, 0))
    assert set(local.engine(found).run().values()) == {State.DONE}
    assert Outcome.CRASHED not in attempts(found)


def test_a_log_that_cannot_be_opened_is_no_crash(tmp_path, monkeypatch):
    local.scripts(tmp_path)
    found = local.campaign(tmp_path)
    job = job_plan.make_jobs(found)[0]
    attempt = Store(tmp_path).claim(job)
    attempt.log.mkdir()
    with pytest.raises(IsADirectoryError):
        process.Run(Store(tmp_path), job, attempt, process.Place(), local.PRETENDED)


def test_an_early_stop_that_cannot_be_written_down_is_no_signal(tmp_path, monkeypatch):
    """The trial would take it for an interruption, and be started again."""
    monkeypatch.setattr(engine_module, "CHECK_SEC", 0.0)
    local.scripts(tmp_path, [{"evaluations": [[1.0, 10, 0.1]] * 100, "sleep": 0.1}])
    found = local.campaign(tmp_path)
    store, job = Store(tmp_path), job_plan.make_jobs(found)[0]
    own = process.Run(store, job, store.claim(job), process.Place(), local.PRETENDED)
    local.wait_for(lambda: local.num_lines(tmp_path, "start ") == 1)

    def full(file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError):
            own.stop("it cannot win")
    assert not own.is_stopping
    own.kill()
    own.process.wait()


# ---- a real one ------------------------------------------------------------------------------------------------------


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "none", folder], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if done.returncode:
        pytest.skip("no file systems may be made here")
    yield folder
    subprocess.run(["umount", folder], check=True)


def benchmark(folder, suite):
    """(exit code, stdout, stderr) of a campaign of two real trials."""
    done = subprocess.run(
        [
            *(sys.executable, "run_benchmark.py", f"--suite={suite}", "--framework=pytorch", "--quiet"),
            *("--workloads=digits", "--num_studies=1", "--num_trials=1", "--max_steps=40"),
            f"--experiment_dir={folder}",
            "--submissions=reference_algorithms/nadamw,reference_algorithms/adamw",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout, done.stderr


def ends(folder):
    """Trial -> the metrics and steps of its last evaluation."""
    found = {}
    for path in sorted(folder.glob(f"*/study_0/*/trial_*/{records.EVAL_MEASUREMENTS}")):
        columns = records.read_csv(path)
        found[str(path.parent.relative_to(folder))] = {
            name: values[-1] for name, values in columns.items() if "/" in name or name == records.GLOBAL_STEP
        }
    return found


@pytest.mark.slow
def test_a_campaign_on_a_small_disk_stops_with_one_line_and_continues_after_room_was_made(
    small_disk, tmp_path
):
    suite = patient_suite(tmp_path, "digits")
    assert benchmark(tmp_path / "large", suite)[0] == 0
    results, ballast = small_disk / "results", small_disk / "ballast"
    with contextlib.suppress(OSError), open(ballast, "wb", buffering=0) as file:
        while file.write(bytes(4096)):
            pass
    os.truncate(ballast, ballast.stat().st_size - 150_000)  # Room for the beginning.
    code, _, said = benchmark(results, suite)
    assert code == EXIT_STORAGE, said
    (line,) = said.splitlines()
    assert line.startswith("error: Cannot write "), line
    assert "make room" in line
    ballast.unlink()
    code, _, said = benchmark(results, suite)
    assert code == 0, said
    assert ends(results) == ends(tmp_path / "large")
    assert len(ends(results)) == 2
    for place in ends(results):
        assert_equal_params(results / place, tmp_path / "large" / place)
