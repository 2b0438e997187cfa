"""The Ray engine on a real cluster of two nodes on this machine, with pretended trials."""

import collections
import contextlib
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import test_campaign as local
from harness import ROOT

from algoperf.commands import EXIT_STORAGE
from algoperf.files import StorageError
from algoperf.holders import STALE_AFTER_SEC
from algoperf.spec import Interrupted, UsageError
from campaign import benchmark, frugal, job_plan, ray_engine, remote
from campaign.state import State
from campaign.store import MAX_LOST, Outcome, Store

# Ray's own processes outlive the objects that started them.
# Ray leaves sockets and processes to the garbage collector, which may come in a later test.
pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::FutureWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
)

SHARE = ray_engine.Share(cpus=1, gpus=0)
NODE = {"num_cpus": 1, "object_store_memory": 80_000_000}
LONG = [{"evaluations": [[1.0, 10, 0.1]] * 200, "sleep": 0.1}]


@pytest.fixture(scope="session")
def cluster():
    """A cluster of one node, to which tests add others."""
    pytest.importorskip("ray")
    from ray.cluster_utils import Cluster

    head = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    found = Cluster(initialize_head=True, head_node_args={**NODE, **head})
    yield found
    found.shutdown()


@pytest.fixture
def second_node(cluster):
    """A node that a test may kill."""
    node = cluster.add_node(**NODE)
    yield node
    if node in cluster.worker_nodes:
        cluster.remove_node(node, allow_graceful=False)


@contextlib.contextmanager
def engine(found, address, jobs=None, limits=None):
    with ray_engine.connected(address):
        jobs = jobs or job_plan.make_jobs(found)
        yield ray_engine.RayEngine(
            Store(found.experiment_dir), jobs, SHARE, None, limits, lambda *_: None, local.PRETENDED
        )


def attempts(found):
    """Job -> its attempts."""
    return {job.key: Store(found.experiment_dir).attempts(job) for job in job_plan.make_jobs(found)}


def test_a_node_dies_and_its_trial_goes_on_at_once_on_another(tmp_path, cluster, second_node):
    local.scripts(tmp_path, [{"evaluations": [[0.5 * i, i, i / 10] for i in range(1, 10)], "sleep": 0.2}])
    found = local.campaign(tmp_path, num_trials=1)  # A third might wait long for the dead node.
    jobs, killed_at = job_plan.make_jobs(found), []

    def is_at_work_there():
        open_ones = [
            one.content
            for job in jobs
            for one in Store(found.experiment_dir).attempts(job)
            if one.outcome is None
        ]
        return any(one.get("node") == second_node.node_id and len(one["holders"]) == 2 for one in open_ones)

    def kill():
        local.wait_for(is_at_work_there)
        cluster.remove_node(second_node, allow_graceful=False)
        killed_at.append(time.monotonic())

    killer = threading.Thread(target=kill)
    killer.start()
    with engine(found, cluster.address) as own:
        states = own.run()
    killer.join()
    assert set(states.values()) == {State.DONE}
    assert time.monotonic() - killed_at[0] < STALE_AFTER_SEC
    log = local.log_of(tmp_path)
    assert [one.count("end") for one in log.values()] == [1] * 2
    outcomes = {key: [attempt.outcome for attempt in found] for key, found in attempts(found).items()}
    lost = [key for key, of_job in outcomes.items() if of_job == [Outcome.LOST, Outcome.DONE]]
    assert len(lost) == 1, outcomes
    assert all(of_job == [Outcome.DONE] for key, of_job in outcomes.items() if key not in lost)
    before, after = (attempt.content["node"] for attempt in attempts(found)[lost[0]])
    assert before == second_node.node_id != after


def test_sigterm_asks_every_task_for_a_checkpoint_and_leaves_no_request(tmp_path, cluster, second_node):
    local.scripts(tmp_path, LONG)
    found = local.campaign(tmp_path)

    def interrupt():
        local.wait_for(lambda: local.num_lines(tmp_path, "start ") == 2)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt).start()
    with engine(found, cluster.address) as own, pytest.raises(Interrupted):
        own.run()
    assert local.num_lines(tmp_path, "interrupted ") == 2
    outcomes = [attempt.outcome for of_job in attempts(found).values() for attempt in of_job]
    assert outcomes == [Outcome.INTERRUPTED] * 2
    assert set(Store(found.experiment_dir).states(job_plan.make_jobs(found)).values()) == {State.WAITING}
    assert list((Store(found.experiment_dir).root / "requests").iterdir()) == []


def test_a_trial_that_cannot_win_its_study_any_more_is_stopped_on_its_node(tmp_path, cluster):
    found = local.campaign(tmp_path, submissions=(str(ROOT / "reference_algorithms/nadamw"),))
    jobs = job_plan.make_jobs(found)
    first, second = (job.key for job in jobs)
    hopeless = [{"evaluations": [[0.6 * i, 6 * i, 0.1] for i in range(1, 100)], "sleep": 0.2}]
    local.scripts(tmp_path, **{second: hopeless})
    limits = frugal.Limits(jobs, found.cut_suite(), 1)
    with engine(found, cluster.address, jobs, limits) as own:
        assert own.run() == {first: State.DONE, second: State.STOPPED}


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {helpers!r}, {here!r}]
from pathlib import Path
import test_ray_engine as t
with t.engine(t.local.campaign(Path({folder!r})), {address!r}) as own:
    own.run()
"""


def test_trials_of_a_killed_command_end_and_the_next_command_continues(tmp_path, cluster):
    local.scripts(tmp_path, LONG)
    paths = {"root": str(ROOT), "helpers": str(ROOT / "tests/helpers"), "here": str(ROOT / "tests/campaign")}
    code = SCRIPT.format(folder=str(tmp_path), address=cluster.address, **paths)
    started = subprocess.Popen([sys.executable, "-c", code], cwd=ROOT, start_new_session=True)
    local.wait_for(lambda: local.num_lines(tmp_path, "start ") == 1)
    os.killpg(started.pid, signal.SIGKILL)
    started.wait()
    found = local.campaign(tmp_path)
    jobs = job_plan.make_jobs(found)
    local.wait_for(lambda: set(Store(found.experiment_dir).states(jobs).values()) == {State.WAITING})
    local.scripts(tmp_path)
    with engine(found, cluster.address) as own:
        assert set(own.run().values()) == {State.DONE}
    assert [one.count("end") for one in local.log_of(tmp_path).values()] == [1] * 4


# ---- refusals ----------------------------------------------------------------------------------------------


def test_without_ray_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(ray_engine, "ray", None)
    with pytest.raises(UsageError, match=r"\[ray\]"), ray_engine.connected(None):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:10001", "nono"])
def test_an_address_without_a_cluster_is_refused_at_once(address):
    pytest.importorskip("ray")
    began = time.monotonic()
    with pytest.raises(UsageError, match=address), ray_engine.connected(address):
        pass
    assert time.monotonic() - began < 2 * ray_engine.ANSWER_SEC


@pytest.mark.parametrize(
    ("cpus", "gpus", "device"), [(9, None, "cpu"), (None, 1, "auto"), (None, None, "gpu")]
)
def test_a_trial_for_which_no_node_has_room_is_refused(cpus, gpus, device):
    nodes = [
        {"Alive": True, "Resources": {"CPU": 8.0}},
        {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}},
    ]
    with pytest.raises(UsageError, match="8 CPUs and 0 GPUs"):
        ray_engine.Share.choose(nodes, cpus, gpus, device)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"engine": "ray", "gpus": ("0",)}, "--gpus_per_trial"),
        ({"cpus_per_trial": 2}, "--engine=ray"),
        ({"ray_address": "a:1"}, "--engine=ray"),
        ({"engine": "ray", "cpus_per_trial": 0}, "at least 1"),
        ({"engine": "ray", "gpus_per_trial": -1}, "at least 0"),
        ({"engine": "rya"}, "nearest is 'ray'"),
    ],
)
def test_settings_of_another_engine_are_refused(settings, words):
    with pytest.raises(UsageError, match=words):
        benchmark.Config(**settings)


# ---- what is lost ------------------------------------------------------------------------------------------


def test_a_task_that_fails_gives_its_claim_up_as_its_process_lives_on(tmp_path, monkeypatch):
    """Ray gives the process to the next task: a claim that it held would be held for ever."""
    found = local.campaign(tmp_path)
    store, job = Store(tmp_path), job_plan.make_jobs(found)[0]

    def fail(*args, **options):
        raise BlockingIOError("no more processes")

    monkeypatch.setattr(remote, "Run", fail)
    with pytest.raises(BlockingIOError):
        remote.run_claimed(
            store,
            job,
            store.claim(job),
            None,
            local.PRETENDED,
            ray_engine.cores.Lease(()),
            tmp_path / "request",
        )
    assert store.attempts(job)[0].outcome is Outcome.LOST
    assert store.state(job) is State.WAITING


def test_a_task_whose_trial_found_no_room_says_so(tmp_path):
    local.scripts(tmp_path, [{"exit": EXIT_STORAGE}])
    found = local.campaign(tmp_path)
    store, job = Store(tmp_path), job_plan.make_jobs(found)[0]
    place, lease = ray_engine.Place(), ray_engine.cores.Lease(())
    with pytest.raises(StorageError, match="make room"):
        remote.run_claimed(store, job, store.claim(job), place, local.PRETENDED, lease, tmp_path / "request")
    assert store.attempts(job)[0].outcome is Outcome.INTERRUPTED


def test_tasks_that_are_lost_before_their_trial_begins_have_a_limit(tmp_path):
    own = ray_engine.RayEngine.__new__(ray_engine.RayEngine)
    own._unclaimed = collections.Counter()

    class Lost:
        job, was_asked = job_plan.make_jobs(local.campaign(tmp_path))[0], False

        def is_claimed(self):
            return False

    for _ in range(MAX_LOST - 1):
        own._count_unclaimed(Lost())
    with pytest.raises(UsageError, match=f"Ray has lost {MAX_LOST} tasks of nadamw/study_0"):
        own._count_unclaimed(Lost())
