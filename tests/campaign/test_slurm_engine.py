"""The Slurm engine with pretended trials: through submitit's local executor, and on a Slurm of this machine."""

import os
import signal
import subprocess
import threading

import pytest
import slurm_here
import test_campaign as local
from harness import ROOT

from algoperf.spec import Interrupted
from campaign import execution, job_plan, slurm_queue
from campaign.options import Options
from campaign.state import State
from campaign.store import Outcome, Store

# At the top: it sets up logging anew, which closes absl's handler, and within a test that captures output the stream of
# that handler is pytest's own.
pytest.importorskip("submitit")
pytestmark = pytest.mark.slow
LONG = [{"evaluations": [[1.0, 10, 0.1]] * 1000, "sleep": 0.1}, *local.QUICK]
"""Goes on until it is asked to end; the second start is quick."""


def run(found, jobs=None, limits=None, **changes):
    """The states of a campaign's jobs after its command."""
    own = Options(
        **{
            "engine": "slurm",
            "slurm_cluster": "local",
            "cpus_per_trial": 1,
            "quiet": True,
            "trial_command": local.PRETENDED,
            **changes,
        }
    )
    store = Store(found.experiment_dir)
    return execution.run_jobs(own, "cpu", store, jobs or job_plan.make_jobs(found), limits)


def attempts_at(found, job):
    return Store(found.experiment_dir).attempts(job)


# ---- without Slurm: submitit's local executor ----------------------------------------------------------------------


def test_trials_run_as_jobs_of_submitit_and_one_that_crashes_is_tried_once_more(tmp_path):
    local.scripts(
        tmp_path, **{"nadamw/study_0/digits_jax/trial_1": [{"exit": 3, "error": "broke"}, *local.QUICK]}
    )
    found = local.campaign(tmp_path, num_trials=1)
    assert set(run(found).values()) == {State.DONE}
    nadamw, adamw = job_plan.make_jobs(found)
    outcomes = [[one.outcome for one in attempts_at(found, job)] for job in (nadamw, adamw)]
    assert outcomes == [[Outcome.CRASHED, Outcome.DONE], [Outcome.DONE]]
    attempt = attempts_at(found, adamw)[0]
    assert attempt.content["engine"] == "slurm"
    log = slurm_queue.folder_of(Store(tmp_path)) / f"{attempt.content['task']}_0_log.out"
    assert "Job completed successfully" in log.read_text()
    assert not list((tmp_path / ".campaign" / "requests").glob("*"))


def test_a_job_that_is_told_that_its_time_is_over_goes_back_into_the_queue_with_its_checkpoint(tmp_path):
    local.scripts(tmp_path, LONG)
    found = local.campaign(tmp_path, num_trials=1, submissions=(local.campaign(tmp_path).submissions[0],))
    (job,) = job_plan.make_jobs(found)
    # A limit of a minute less the warning: the signal comes after a second and a half.
    states = run(found, slurm_time="1", slurm_extra=("signal_delay_s=58",))
    assert states == {job.key: State.DONE}
    assert local.log_of(tmp_path)[job.key] == ["start", "interrupted", "start", "end"]
    first, second = attempts_at(found, job)
    assert (first.outcome, second.outcome) == (Outcome.INTERRUPTED, Outcome.DONE)
    assert first.content["task"] == second.content["task"], "one job, twice"


# ---- on a Slurm of this machine ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def slurm(tmp_path_factory):
    reason = slurm_here.why_not()
    if reason:
        pytest.skip(f"needs Slurm: {reason}")
    with slurm_here.running(tmp_path_factory.mktemp("slurm")):
        slurm_queue.check_is_there.cache_clear()
        yield
    slurm_queue.check_is_there.cache_clear()


def of_slurm(name, *more):
    return subprocess.run([name, *more], capture_output=True, text=True, check=True).stdout


def test_detached_trials_are_found_again_and_preempted_ones_go_on_from_their_checkpoint(
    slurm, tmp_path, capsys
):
    local.scripts(tmp_path, LONG)
    # Names of which none holds the other: a pretended trial counts its starts by them.
    submissions = tuple(str(ROOT / "reference_algorithms" / name) for name in ("nadamw", "nesterov"))
    found = local.campaign(tmp_path, num_trials=1, submissions=submissions)
    jobs = job_plan.make_jobs(found)
    store = Store(tmp_path)
    left = run(found, slurm_cluster=None, detach=True, slurm_partition="low", mem_per_trial="100M")
    assert set(left.values()) == {State.WAITING}
    assert "2 trials are queued as Slurm jobs" in capsys.readouterr().out
    (array,) = {name.partition("_")[0] for name in slurm_queue.submitted(store)}
    local.wait_for(lambda: local.num_lines(tmp_path, "start ") == 2)
    assert "Slurm: 2 running" in slurm_queue.status_lines(store)[0]
    shown = of_slurm("scontrol", "show", "job", f"{array}_0")
    assert "Requeue=1" in shown
    assert "MinMemoryNode=100M" in shown

    def disturb():
        """One is told that its time is over, the other one gives way to a job of a better partition."""
        local.wait_for(lambda: all(store.state(job) is State.RUNNING for job in jobs))
        of_slurm("scancel", "--signal=USR2", f"{array}_0")
        local.wait_for(lambda: attempts_at(found, jobs[0])[0].outcome is Outcome.INTERRUPTED)
        of_slurm("sbatch", "--partition=high", "--ntasks=2", "--output=/dev/null", "--wrap=sleep 1")

    other = threading.Thread(target=disturb)
    other.start()
    states = run(found, slurm_cluster=None, slurm_partition="low")
    other.join()
    assert set(states.values()) == {State.DONE}
    assert list(slurm_queue.submitted(store)) == [f"{array}_0", f"{array}_1"], "and none was submitted twice"
    for job in jobs:
        first, *_, last = attempts_at(found, job)
        assert (first.outcome, last.outcome) == (Outcome.INTERRUPTED, Outcome.DONE)
        assert first.content["task"] == last.content["task"]
    assert slurm_queue.status_lines(store)[0].startswith("  Slurm: nothing in the queue")


def test_sigterm_to_the_command_asks_what_runs_and_cancels_what_waits(slurm, tmp_path):
    local.scripts(tmp_path, LONG)
    found = local.campaign(tmp_path)

    def interrupt():
        local.wait_for(lambda: local.num_lines(tmp_path, "start ") == 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted):
        run(found, slurm_cluster=None, workers=1)
    outcomes = [one.outcome for job in job_plan.make_jobs(found) for one in attempts_at(found, job)]
    assert outcomes == [Outcome.INTERRUPTED]
    assert slurm_queue.states_of_user() == {}
