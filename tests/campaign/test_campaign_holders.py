"""Campaigns beside others: in other containers, on dead machines, and beside commands that are no campaign."""

import json
import os
import pickle
import subprocess
import sys
import time

import pytest
import test_campaign as local
from harness import ROOT

from algoperf import holders, records
from algoperf.holders import STALE_AFTER_SEC, identity_of_process
from algoperf.run import checkpoint, claim
from algoperf.spec import UsageError
from campaign import execution, job_plan, process, status
from campaign.state import State
from campaign.store import MAX_CRASHES, MAX_LOST, Outcome, Store

NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc")
SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {helpers!r}, {here!r}]
from pathlib import Path
import test_campaign as t
found = t.campaign(Path({folder!r}))
store, jobs = t.Store(found.experiment_dir), t.job_plan.make_jobs(found)
# Locks of its own, as containers have a /tmp of their own.
own = t.LocalEngine(store, jobs, t.places(1), None, lambda *_: None, t.PRETENDED, Path({locks!r}))
print("ended", {{str(state) for state in own.run().values()}})
"""


@pytest.fixture
def namespace():
    """The command before one that is to run in a process namespace of its own."""
    try:
        can = subprocess.run([*NAMESPACE, "true"], capture_output=True).returncode == 0
    except FileNotFoundError:
        can = False
    if not can:
        pytest.skip("no process namespaces may be made here")
    return NAMESPACE


def start(folder, locks, before):
    """A campaign over the folder, in a process of its own."""
    paths = {"root": str(ROOT), "helpers": str(ROOT / "tests/helpers"), "here": str(ROOT / "tests/campaign")}
    code = SCRIPT.format(folder=str(folder), locks=str(locks), **paths)
    locks.mkdir()
    return subprocess.Popen(
        [*before, sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


@pytest.mark.slow
def test_two_campaigns_in_two_process_namespaces_run_every_trial_once(tmp_path, namespace):
    """Their processes have the same small numbers and one host name, and neither sees those of the other."""
    results = tmp_path / "results"
    local.scripts(results, [{"evaluations": [[0.5 * i, i, 0.1] for i in range(1, 8)], "sleep": 0.4}])
    both = [start(results, tmp_path / f"locks_{name}", namespace) for name in "ab"]
    for one in both:
        out, err = one.communicate(timeout=300)
        assert out == "ended {'done'}\n", err
    log = local.log_of(results)
    assert len(log) == 4
    assert all(one == ["start", "end"] for one in log.values()), log
    jobs = job_plan.make_jobs(local.campaign(results))
    attempts = [attempt for job in jobs for attempt in Store(results).attempts(job)]
    assert [attempt.outcome for attempt in attempts] == [Outcome.DONE] * 4
    seen_from = {attempt.content["holders"][0]["pid_namespace"] for attempt in attempts}
    assert len(seen_from) == 2, "both had a part in it"


@pytest.fixture
def first(tmp_path):
    """(store, first job) of a campaign."""
    found = local.campaign(tmp_path)
    return Store(found.experiment_dir), job_plan.make_jobs(found)[0]


def test_a_claim_of_another_container_of_the_same_host_name_lives_by_its_heartbeat(first):
    store, job = first
    attempt = store.claim(job)
    attempt.update(holders=[{**identity_of_process(os.getpid()), "pid_namespace": "pid:[1]", "ticks": 1}])
    assert store.state(job) is State.RUNNING
    then = time.time() - 2 * STALE_AFTER_SEC
    os.utime(attempt.path, (then, then))
    assert Store(store.root.parent).state(job) is State.WAITING
    assert store.state(job) is State.RUNNING, "it was renewed since the last look, so the clock was set"


def test_a_claim_of_an_older_version_lives_by_its_heartbeat(first):
    store, job = first
    attempt = store.claim(job)
    attempt.update(holders=[{"pid": os.getpid(), "created": 1.0}])
    assert store.state(job) is State.RUNNING


# ---- no progress ---------------------------------------------------------------------------------------------------


def lose(store, job):
    """One more attempt whose machine goes away; whether it began."""
    attempt = store.claim(job)
    if attempt is None:
        return False
    attempt.update(host="another")
    assert store.lose(attempt)
    return True


def test_a_job_that_is_lost_again_and_again_without_progress_is_given_up_with_a_message(first, capsys):
    store, job = first
    for _ in range(MAX_LOST):
        assert lose(store, job)
    assert not lose(store, job)
    assert store.state(job) is State.FAILED
    (line, _) = status.failures([job], {job.key: State.FAILED}, store)
    assert f"{MAX_LOST} attempts in a row on another were lost before" in line
    assert records.read_json(job.folder / records.SUMMARY)["status"] == "failed"
    execution.retry_failed(execution.Options(retry_failed=True), store, [job])
    assert lose(store, job), "what was lost before counts no more"


def test_a_job_that_comes_further_with_each_attempt_is_not_given_up(first):
    store, job = first
    job.folder.mkdir(parents=True)
    for step in range(2 * MAX_LOST):
        assert lose(store, job)
        (job.folder / f"{records.CHECKPOINT_PREFIX}{step}").touch()
    assert store.state(job) is State.WAITING


def test_interruptions_are_no_losses(first):
    store, job = first
    for _ in range(MAX_LOST + 1):
        store.end(job, store.claim(job), Outcome.INTERRUPTED)
    assert store.state(job) is State.WAITING


# ---- beside commands that are no campaign --------------------------------------------------------------------------


@pytest.fixture
def held(first):
    """(store, job, process that holds the job's trial by hand)."""
    store, job = first
    code = (
        "import sys; from pathlib import Path; from algoperf.run import claim\n"
        "with claim.on(Path(sys.argv[1])): print('held', flush=True); sys.stdin.readline()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(job.folder)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    yield store, job, process
    process.kill()
    process.communicate()


def test_a_trial_that_somebody_runs_by_hand_counts_as_running(held):
    store, job, process = held
    assert store.state(job) is State.RUNNING
    assert store.claim(job) is None
    assert store.retry(job) is None
    assert "by hand" in status.status_text([job], {job.key: State.RUNNING}, store, 0.0)
    process.kill()
    process.wait()
    assert store.state(job) is State.WAITING


def test_a_trial_that_somebody_else_was_faster_to_start_has_not_failed(first, tmp_path, monkeypatch):
    store, job = first
    local.scripts(tmp_path, [{"exit": 2, "error": "error: it is at work"}])
    own = process.Run(store, job, store.claim(job), process.Place(), local.PRETENDED)
    monkeypatch.setattr(claim, "is_held", lambda folder: True)
    local.wait_for(lambda: own.poll() is not None)
    assert store.attempts(job)[0].outcome is Outcome.INTERRUPTED
    assert store.state(job) is State.RUNNING
    assert not (job.folder / records.SUMMARY).exists()


# ---- --retry_failed ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("is_same", [True, False])
def test_retry_failed_keeps_a_checkpoint_that_the_trial_can_go_on_from(first, capsys, is_same):
    store, job = first
    for _ in range(MAX_CRASHES):
        store.end(job, store.claim(job), Outcome.CRASHED, "boom")
    identity = job.identity if is_same else {**job.identity, "submission_source": "of before"}
    records.write_json(job.folder / records.meta_data_file(0), {"identity": identity})
    records.write_json(job.folder / records.SUMMARY, {"status": "failed", "identity": identity})
    path = checkpoint.save(job.folder, 40, {"much": "work"}, about={"identity": identity})
    execution.retry_failed(execution.Options(retry_failed=True), store, [job])
    said = "go on from their checkpoint: 1." if is_same else "start afresh: 1."
    assert said in capsys.readouterr().out
    kept = path if is_same else store.root / "earlier" / job.key / "2" / path.name
    assert checkpoint.load(kept.parent)["much"] == "work", "an intact checkpoint is never thrown away"
    assert path.exists() is is_same
    assert not (job.folder / records.SUMMARY).exists()
    assert store.state(job) is State.WAITING


def fail_with(job, store, content):
    """Lets a job fail, with a checkpoint of such content."""
    for _ in range(MAX_CRASHES):
        store.end(job, store.claim(job), Outcome.CRASHED, "boom")
    records.write_json(job.folder / records.meta_data_file(0), {"identity": job.identity})
    path = job.folder / f"{records.CHECKPOINT_PREFIX}40"
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content", [b"", b"no checkpoint", pickle.dumps({"version": 1, "of": [1.0] * 9})[:-5]]
)
def test_retry_failed_does_not_keep_a_checkpoint_that_nobody_can_read(first, capsys, content):
    store, job = first
    path = fail_with(job, store, content)
    execution.retry_failed(execution.Options(retry_failed=True), store, [job])
    assert "start afresh: 1." in capsys.readouterr().out
    assert not path.exists()
    assert store.state(job) is State.WAITING


def test_retry_failed_takes_an_older_checkpoint_where_the_newest_is_damaged(first, capsys):
    store, job = first
    path = fail_with(job, store, b"")
    older = job.folder / f"{records.CHECKPOINT_PREFIX}20"
    older.write_bytes(pickle.dumps({"version": 1}))
    execution.retry_failed(execution.Options(retry_failed=True), store, [job])
    assert "go on from their checkpoint: 1." in capsys.readouterr().out
    assert path.exists()
    assert older.exists()


def test_retry_failed_leaves_a_checkpoint_of_a_later_version_alone(first):
    store, job = first
    path = fail_with(job, store, b"")
    checkpoint.save(job.folder, 40, {}, about={"identity": job.identity})
    content = path.read_bytes()
    path.write_bytes(
        content.replace(f"{checkpoint.VERSION:>6} ".encode(), f"{checkpoint.VERSION + 1:>6} ".encode(), 1)
    )
    with pytest.raises(UsageError, match="use the version that wrote it"):
        execution.retry_failed(execution.Options(retry_failed=True), store, [job])
    assert path.exists()


def test_a_damaged_claim_is_one_line_that_names_its_file(first):
    store, job = first
    attempt = store.claim(job)
    attempt.path.write_text(json.dumps({"holders": [{"pid": "x"}]}))
    with pytest.raises(UsageError, match=r"1.json is damaged: .*pid.* delete it to try the trial again"):
        store.state(job)


def test_a_claim_that_was_never_filled_is_waited_for_and_then_taken_over(first):
    store, job = first
    attempt = store.claim(job)
    attempt.path.write_text("")
    assert store.state(job) is State.RUNNING
    os.utime(attempt.path, (time.time() - 2 * holders.STALE_AFTER_SEC,) * 2)
    assert Store(store.root.parent).state(job) is State.WAITING
