"""Campaigns: the plan, claims, crashes, kills and continuing, on pretended trials; one run with real ones."""

import collections
import dataclasses
import io
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time

import psutil
import pytest
from harness import ROOT

from algoperf import records
from algoperf.holders import STALE_AFTER_SEC, identity_of_process, is_alive
from algoperf.run.progress import duration
from algoperf.run.study import StudyPlan
from algoperf.run.summary import Summary
from algoperf.settings import RunSettings, given
from algoperf.spec import Interrupted, UsageError
from campaign import benchmark, cores, execution, frugal, job_plan, process, status
from campaign.local import LocalEngine, places
from campaign.state import State
from campaign.store import MAX_CRASHES, Outcome, Store

PRETENDED = (sys.executable, str(ROOT / "tests" / "helpers" / "pretended_trial.py"))
QUICK = [{"evaluations": [[1.0, 10, 0.95]]}]


def campaign(tmp_path, **changes):
    fields = {
        "experiment_dir": tmp_path,
        "submissions": (str(ROOT / "reference_algorithms/nadamw"), str(ROOT / "reference_algorithms/adamw")),
        "workloads": ("digits",),
        "num_studies": 1,
        "num_trials": 2,
        **changes,
    }
    own = {field.name for field in dataclasses.fields(job_plan.Campaign)}
    shared = {name: fields.pop(name) for name in fields.keys() - own}
    settings = given({"suite": "mini", "ruleset": "external", "framework": "jax", **shared})
    return job_plan.Campaign(settings=settings, **fields)


def scripts(tmp_path, default=QUICK, **by_key):
    tmp_path.mkdir(parents=True, exist_ok=True)
    (tmp_path / "scripts.json").write_text(json.dumps({"default": default, **by_key}))


def engine(found, jobs=None, num_workers=1, limits=None):
    jobs = jobs or job_plan.make_jobs(found)
    locks = found.experiment_dir / "locks"  # Tests beside this one use the same cores.
    return LocalEngine(
        Store(found.experiment_dir), jobs, places(num_workers), limits, lambda *_: None, PRETENDED, locks
    )


def log_of(tmp_path):
    """Job -> what its starts came to."""
    found = collections.defaultdict(list)
    for line in (tmp_path / "starts.log").read_text().splitlines():
        what, key, _ = line.split()
        found[key].append(what)
    return found


# ---- the plan ----------------------------------------------------------------------------------------------


def test_jobs_take_turns_and_are_the_trials_that_the_runner_would_run(tmp_path):
    found = campaign(tmp_path, num_studies=2)
    jobs = job_plan.make_jobs(found)
    assert [job.key for job in jobs] == [
        f"{name}/study_{study}/digits_jax/trial_{trial}"
        for study in (0, 1)
        for trial in (1, 2)
        for name in ("nadamw", "adamw")
    ]
    settings = RunSettings(
        workload="digits",
        submission=found.submissions[0],
        framework="jax",
        suite="mini",
        experiment_dir=str(tmp_path),
        study=1,
    )
    plan = StudyPlan.of(settings)
    ours = [job for job in jobs if job.submission == "nadamw" and job.study == 1]
    assert [job.point for job in ours] == list(plan.points[:2])
    assert [job.folder for job in ours] == [plan.folder(1), plan.folder(2)]
    assert jobs[0].seeds != jobs[2].seeds


def test_rows_of_different_lengths_take_turns_to_the_end_of_the_longest():
    assert job_plan.in_turns([["a1", "a2", "a3"], ["b1"], ["c1", "c2"]]) == [
        "a1",
        "b1",
        "c1",
        "a2",
        "c2",
        "a3",
    ]


def test_a_campaign_without_points_has_one_trial_per_study(tmp_path):
    jobs = job_plan.make_jobs(campaign(tmp_path, ruleset="self", num_trials=None, num_studies=None))
    assert [(job.study, job.trial, job.point) for job in jobs if job.submission == "adamw"] == [
        (study, 1, None) for study in range(3)
    ]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"submissions": ()}, "--submissions"),
        ({"num_trials": 0}, "--num_trials"),
        ({"suite": "nono"}, "nono"),
        ({"ruleset": "nono"}, "nono"),
        ({"workloads": ("nono",)}, "nono"),
        ({"submissions": ("nono",)}, "nono"),
        ({"submissions": (str(ROOT / "reference_algorithms/adamw"),) * 2}, "would both write"),
        ({"device": "tpu"}, "tpu"),
        ({"ruleset": "self", "num_trials": 3}, "--num_trials=3"),
        ({"experiment_dir": ROOT / "README.md"}, "README.md is a file"),
    ],
)
def test_wrong_input_is_named(tmp_path, changes, words):
    with pytest.raises(UsageError, match=words):
        job_plan.make_jobs(campaign(tmp_path, **changes))


def test_a_campaign_may_begin_with_a_later_study_and_run_past_targets(tmp_path):
    jobs = job_plan.make_jobs(
        campaign(tmp_path, first_study=4, num_studies=2, num_trials=1, run_past_targets=True)
    )
    assert [job.study for job in jobs] == [4, 4, 5, 5]
    assert all("--run_past_targets=True" in job.arguments for job in jobs)
    others = job_plan.make_jobs(campaign(tmp_path))
    assert all("--run_past_targets=False" in job.arguments for job in others)


def test_a_campaign_may_have_more_trials_than_its_suite(tmp_path):
    jobs = job_plan.make_jobs(campaign(tmp_path, num_trials=7))
    assert len(jobs) == 2 * 7
    assert len({json.dumps(job.point) for job in jobs}) == 2 * 7


def test_more_workers_than_cores_or_gpus_are_refused():
    with pytest.raises(UsageError, match="cores"):
        places(10_000)
    with pytest.raises(UsageError, match="GPUs"):
        places(2, ["0"])
    with pytest.raises(UsageError, match="twice"):
        places(2, ["0", "0"])
    assert [place.gpu for place in places(1, ["3"])] == ["3"]
    cores = [place.cores for place in places(len(os.sched_getaffinity(0)))]
    assert len({core for own in cores for core in own}) == len(cores)


# ---- claims ------------------------------------------------------------------------------------------------


def test_of_many_who_want_a_job_one_gets_it(tmp_path):
    found = campaign(tmp_path)
    job = job_plan.make_jobs(found)[0]
    claims = []
    barrier = threading.Barrier(8)

    def want():
        barrier.wait()
        claims.append(Store(found.experiment_dir).claim(job))

    threads = [threading.Thread(target=want) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(claim is not None for claim in claims) == 1
    assert Store(found.experiment_dir).state(job) is State.RUNNING
    assert Store(found.experiment_dir).claim(job) is None


def test_who_looked_before_a_job_was_claimed_and_claims_it_after_does_not_get_it(tmp_path, monkeypatch):
    found = campaign(tmp_path)
    store, late, job = Store(found.experiment_dir), Store(found.experiment_dir), job_plan.make_jobs(found)[0]
    seen = late.attempts(job)
    first = store.claim(job, worker="first")
    monkeypatch.setattr(late, "attempts", lambda job: seen)
    assert late.claim(job, worker="late") is None
    assert records.read_json(first.path)["worker"] == "first"


def test_a_claim_ends_with_its_process(tmp_path):
    found = campaign(tmp_path)
    store, job = Store(found.experiment_dir), job_plan.make_jobs(found)[0]
    attempt = store.claim(job)
    earlier = {**identity_of_process(os.getpid()), "ticks": 1}  # A process of that number.
    attempt.update(holders=[earlier])
    assert store.state(job) is State.WAITING
    assert store.claim(job).number == 2


def test_a_process_that_has_ended_and_was_not_waited_for_is_gone():
    child = subprocess.Popen([sys.executable, "-I", "-S", "-c", "input()"], stdin=subprocess.PIPE)
    known = identity_of_process(child.pid)
    assert is_alive(known)
    assert not is_alive({**known, "ticks": known["ticks"] - 10}), "an earlier one of that number"
    child.stdin.close()
    wait_for(lambda: psutil.Process(child.pid).status() == psutil.STATUS_ZOMBIE)
    assert not is_alive(known)
    child.wait()
    assert not is_alive(known)


@pytest.mark.parametrize(("max_steps", "state"), [(5, State.DONE), (6, State.WAITING), (None, State.WAITING)])
def test_a_trial_that_did_all_its_updates_is_done_until_more_are_wanted(tmp_path, max_steps, state):
    found = campaign(tmp_path, max_steps=max_steps)
    job = job_plan.make_jobs(found)[0]
    job.folder.mkdir(parents=True)
    records.write_json(job.folder / records.SUMMARY, {"status": "max_steps", "global_step": 5})
    assert Store(found.experiment_dir).state(job) is state


def test_what_early_stops_saved_is_the_budget_that_was_left(tmp_path):
    jobs, store = job_plan.make_jobs(campaign(tmp_path)), Store(tmp_path)
    for job, left_sec in zip(jobs[:2], (30.0, 12.0), strict=True):
        job.folder.mkdir(parents=True)
        content = {
            "status": "stopped",
            "submission_time_sec": job.budget_sec - left_sec,
            "stop_reason": "sibling",
        }
        records.write_json(job.folder / records.SUMMARY, content)
    first, _, total = status.savings(jobs, store.states(jobs), store)
    assert first.endswith(": sibling")
    assert total.strip() == "saved: at most 42s of submission time in 2 trials"


def test_a_plan_adds_up_what_is_yet_to_be_done(tmp_path):
    jobs, store = job_plan.make_jobs(campaign(tmp_path)), Store(tmp_path)
    for job in jobs[:-1]:
        job.folder.mkdir(parents=True)
        records.write_json(job.folder / records.SUMMARY, {"status": "target_reached"})
    states = store.states(jobs)
    text = status.plan_text(jobs, states, status.Expectations(store, jobs, states), num_workers=1)
    left_sec = jobs[-1].budget_sec * status.OVERHEAD_FACTOR
    assert f"4 trials: 1 waiting, 3 done. To be done: at most {left_sec / 3600:.2f} machine-hours" in text
    assert f"at most {duration(left_sec)} with 1 worker(s)" in text


def test_the_time_left_is_divided_by_the_workers(tmp_path):
    jobs, store = job_plan.make_jobs(campaign(tmp_path)), Store(tmp_path)
    total_sec = sum(job.budget_sec for job in jobs) * status.OVERHEAD_FACTOR
    for num_workers in (1, 4):
        said = io.StringIO()
        status.Live(jobs, store, num_workers=num_workers, file=said)(store.states(jobs), {})
        assert f"about {duration(total_sec / num_workers)} left" in said.getvalue()


def test_only_a_second_ctrl_c_ends_trials_without_their_checkpoints(tmp_path):
    scripts(tmp_path)
    running = engine(campaign(tmp_path))
    with running._signals():
        for number, is_urgent in ((signal.SIGINT, False), (signal.SIGTERM, False), (signal.SIGINT, True)):
            os.kill(os.getpid(), number)
            assert running._is_urgent == is_urgent


@pytest.mark.parametrize(("age", "state"), [(0, State.RUNNING), (2 * STALE_AFTER_SEC, State.WAITING)])
def test_a_claim_of_another_machine_lives_by_its_heartbeat(tmp_path, age, state):
    found = campaign(tmp_path)
    store, job = Store(found.experiment_dir), job_plan.make_jobs(found)[0]
    attempt = store.claim(job)
    attempt.update(host=socket.gethostname() + "-other")
    then = time.time() - age
    os.utime(attempt.path, (then, then))
    assert store.state(job) is state
    if state is State.WAITING:
        attempt.beat()
        assert store.state(job) is State.RUNNING


def test_a_claim_is_lost_with_its_machine_and_counts_as_no_crash(tmp_path):
    found = campaign(tmp_path)
    store, job = Store(found.experiment_dir), job_plan.make_jobs(found)[0]
    for number in range(1, MAX_CRASHES + 2):
        attempt = store.claim(job)
        assert attempt.number == number
        store.lose(attempt)
        assert store.state(job) is State.RUNNING, "its process lives on this machine"
        attempt.update(host=socket.gethostname() + "-other")
        assert store.state(job) is State.RUNNING
        store.lose(attempt)
        assert store.state(job) is State.WAITING


def test_crashes_and_lost_nodes_are_said_while_a_campaign_runs(tmp_path):
    found = campaign(tmp_path)
    jobs, store, said = job_plan.make_jobs(found), Store(found.experiment_dir), io.StringIO()
    live = status.Live(jobs, store, num_workers=1, file=said)

    def look():
        said.truncate(said.seek(0))
        live({job.key: store.state(job) for job in jobs}, {})
        return [line for line in said.getvalue().splitlines() if line.startswith(jobs[0].key)]

    store.end(jobs[0], store.claim(jobs[0]), Outcome.CRASHED, "before this command")
    look()
    attempt = store.claim(jobs[0])
    assert look() == [], "what another command has met is not news"
    attempt.update(host=socket.gethostname() + "-other")
    store.lose(attempt)
    (line,) = look()
    assert "its node died, goes on from its last checkpoint" in line
    attempt = store.claim(jobs[0])
    assert look() == [], "said once"
    store.end(jobs[0], attempt, Outcome.CRASHED, "again")
    assert look() == [f"{jobs[0].key}: {State.FAILED}"]


@pytest.fixture
def long_run(tmp_path, monkeypatch):
    """A trial that runs for 10 s, and looks at its claim whenever it is polled."""
    monkeypatch.setattr("campaign.process.HEARTBEAT_SEC", 0.0)
    scripts(tmp_path, [{"evaluations": [[1.0, 10, 0.1]] * 100, "sleep": 0.1}])
    found = campaign(tmp_path)
    store, job = Store(found.experiment_dir), job_plan.make_jobs(found)[0]
    own = process.Run(store, job, store.claim(job), process.Place(), PRETENDED)
    wait_for(lambda: num_lines(tmp_path, "start ") == 1)
    return store, own


def test_a_trial_that_was_given_up_ends_and_leaves_the_record_alone(tmp_path, long_run):
    store, own = long_run
    records.write_json(own.attempt.path, {**own.attempt.content, "outcome": Outcome.LOST})
    wait_for(lambda: own.poll() is not None)
    assert own.poll() is Outcome.LOST
    assert num_lines(tmp_path, "end ") == 0
    assert store.attempts(own.job)[0].outcome is Outcome.LOST


def test_a_trial_that_another_machine_has_taken_over_ends(long_run):
    store, own = long_run
    assert own.poll() is None
    records.write_json(own.attempt.path.with_name("2.json"), {"host": "another", "holders": []})
    wait_for(lambda: own.poll() is not None)
    assert own.poll() is Outcome.LOST
    assert store.attempts(own.job)[0].outcome is None, "the record is that of the next attempt now"


def test_a_process_that_keeps_to_its_place_knows_its_threads_and_its_gpu(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "5")
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    names = ("OMP_NUM_THREADS", "CUDA_VISIBLE_DEVICES")
    found = {
        place: [place.environment()[name] for name in names]
        for place in (process.Place((2, 3), "1"), process.Place((0,), ""), process.Place())
    }
    assert list(found.values()) == [["2", "1"], ["1", ""], ["7", "5"]]


def run_code(found, code):
    """The ended attempt at the first job by a process that runs this code."""
    store, job = Store(found.experiment_dir), job_plan.make_jobs(found)[0]
    own = process.Run(store, job, store.claim(job), process.Place(), (sys.executable, "-I", "-S", "-c", code))
    wait_for(lambda: own.process.poll() is not None)
    own.poll()
    return store.attempts(job)[-1]


def test_the_last_lines_of_the_log_say_why_a_process_crashed_or_was_refused(tmp_path):
    found = campaign(tmp_path)
    for code, outcome in ((1, Outcome.CRASHED), (2, Outcome.REFUSED)):
        attempt = run_code(found, f"print('start', 'x' * 10_000, 'the end'); raise SystemExit({code})")
        assert attempt.outcome is outcome
        assert attempt.content["exit_code"] == code
        assert attempt.content["error"].endswith(" the end")
        assert "start" not in attempt.content["error"]


def test_a_process_that_was_killed_is_told_as_that_and_not_by_its_last_progress(tmp_path):
    code = "import os; print('step 25  4.9 steps/s', flush=True); os.kill(os.getpid(), 9)"
    attempt = run_code(campaign(tmp_path), code)
    assert attempt.outcome is Outcome.CRASHED
    wanted = "Its process was ended by SIGKILL, as the system does where memory is full."
    assert attempt.content["error"].splitlines() == ["step 25  4.9 steps/s", wanted]


def test_a_process_that_ends_well_without_a_summary_of_its_own_has_crashed(tmp_path):
    found = campaign(tmp_path)
    job = job_plan.make_jobs(found)[0]
    job.folder.mkdir(parents=True)
    records.write_json(job.folder / records.SUMMARY, {"status": "failed", "error": "of an earlier attempt"})
    attempt = run_code(found, "print('nothing to do')")
    assert (attempt.outcome, attempt.content["error"]) == (Outcome.CRASHED, "nothing to do")
    assert not (job.folder / records.SUMMARY).exists()


def test_a_trial_is_asked_to_stop_once(long_run, monkeypatch):
    _, own = long_run
    sent, send_signal = [], own.process.send_signal
    monkeypatch.setattr(own.process, "send_signal", lambda number: (sent.append(number), send_signal(number)))
    for _ in range(3):  # As in every turn of an engine that is to stop.
        own.stop()
    assert sent == [signal.SIGTERM]
    wait_for(lambda: own.poll() is not None)
    assert own.poll() is Outcome.INTERRUPTED


def test_cores_that_are_not_to_be_had_leave_no_file_open(tmp_path):
    held = cores.take(1, [0], tmp_path)
    before = len(os.listdir("/proc/self/fd"))
    assert cores.take(2, [0, 1], tmp_path) is None
    assert len(os.listdir("/proc/self/fd")) == before
    held.close()


def test_a_core_is_free_when_the_process_that_inherited_it_has_ended(tmp_path):
    lease = cores.take(1, [0], tmp_path)
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE, pass_fds=lease.files)
    lease.close()
    assert cores.take(1, [0], tmp_path) is None
    child.communicate(b"\n")
    again = cores.take(1, [0], tmp_path)
    assert again.cores == (0,)
    again.close()


def test_a_folder_with_another_trial_is_refused(tmp_path):
    found = campaign(tmp_path)
    job = job_plan.make_jobs(found)[0]
    job.folder.mkdir(parents=True)
    summary = {"status": "target_reached", "identity": {"rng_seed": 7}}
    (job.folder / records.SUMMARY).write_text(json.dumps(summary))
    with pytest.raises(UsageError, match="another rng_seed"):
        Store(found.experiment_dir).state(job)


def test_the_summary_that_a_failed_trial_has_left_is_kept_when_it_is_given_up(tmp_path):
    found = campaign(tmp_path)
    job, store = job_plan.make_jobs(found)[0], Store(tmp_path)
    for _ in range(MAX_CRASHES):
        attempt = store.claim(job)
        job.folder.mkdir(parents=True, exist_ok=True)
        records.write_json(job.folder / records.SUMMARY, {"status": "failed", "error": "its own words"})
        store.end(job, attempt, Outcome.CRASHED, "the log")
    assert store.state(job) is State.FAILED
    assert store.summary(job).error == "its own words"


@pytest.mark.parametrize("is_done", [True, False])
def test_results_of_other_files_of_a_submission_are_not_mixed_in(tmp_path, is_done):
    found = campaign(tmp_path)
    store, job = Store(found.experiment_dir), job_plan.make_jobs(found)[0]
    job.folder.mkdir(parents=True)
    identity = {"submission_source": "of then"}
    store.end(job, store.claim(job), Outcome.DONE if is_done else Outcome.INTERRUPTED)
    if is_done:
        records.write_json(job.folder / records.SUMMARY, {"status": "target_reached", "identity": identity})
    else:
        for number in (0, 1):
            own = identity if number else {"submission_source": job.submission_source}
            records.write_json(job.folder / records.meta_data_file(number), {"identity": own})
    with pytest.raises(UsageError, match="as its files were then"):
        store.state(job)


def test_failed_trials_start_afresh_where_that_is_asked_for(tmp_path, capsys):
    found = campaign(tmp_path)
    jobs, store = job_plan.make_jobs(found), Store(found.experiment_dir)
    refused, crashed, waiting = jobs[:3]
    store.end(refused, store.claim(refused), Outcome.REFUSED, "no data")
    for _ in range(MAX_CRASHES):
        store.end(crashed, store.claim(crashed), Outcome.CRASHED, "boom")
    identity = {"submission_source": "before it was mended"}
    records.write_json(crashed.folder / records.SUMMARY, {"status": "failed", "identity": identity})
    assert store.claim(refused) is None
    execution.retry_failed(execution.Options(retry_failed=True), store, jobs)
    assert "start afresh: 2." in capsys.readouterr().out
    assert [store.state(job) for job in (refused, crashed, waiting)] == [State.WAITING] * 3
    assert not (crashed.folder / records.SUMMARY).exists()
    for _ in range(MAX_CRASHES - 1):
        store.end(crashed, store.claim(crashed), Outcome.CRASHED, "boom")
    assert store.state(crashed) is State.WAITING, "earlier crashes do not count any more"
    store.end(crashed, store.claim(crashed), Outcome.CRASHED, "boom")
    assert store.state(crashed) is State.FAILED


def test_the_summary_of_a_trial_that_is_given_up_has_the_keys_of_every_summary(tmp_path):
    found = campaign(tmp_path)
    job, store = job_plan.make_jobs(found)[0], Store(tmp_path)
    store.end(job, store.claim(job), Outcome.REFUSED, "no data", exit_code=2)
    content = records.read_json(job.folder / records.SUMMARY)
    assert (
        content
        == Summary(
            status="failed",
            submission=job.submission,
            workload="digits",
            framework=job.framework,
            study=0,
            trial=1,
            hyperparameters=job.point,
            budget_sec=job.budget_sec,
            error="no data",
            exit_code=2,
        ).to_json()
    )


# ---- runs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_workers", [1, 2])
def test_every_trial_runs_once(tmp_path, num_workers):
    scripts(tmp_path)
    found = campaign(tmp_path)
    states = engine(found, num_workers=num_workers).run()
    assert set(states.values()) == {State.DONE}
    assert all(one == ["start", "end"] for one in log_of(tmp_path).values())
    assert len(log_of(tmp_path)) == 4
    assert set(engine(found).run().values()) == {State.DONE}
    assert all(one == ["start", "end"] for one in log_of(tmp_path).values()), "a second call runs nothing"


def test_a_crash_is_tried_again_once_and_stops_nobody_else(tmp_path):
    found = campaign(tmp_path)
    once, twice, refused, fine = (job.key for job in job_plan.make_jobs(found))
    crash = {"exit": 1, "status": "failed", "error": "Traceback\nValueError: boom"}
    scripts(
        tmp_path,
        **{
            once: [crash, *QUICK],
            twice: [{"exit": 139, "error": "segmentation"}],
            refused: [{"exit": 2, "error": "bad"}],
        },
    )
    states = engine(found).run()
    assert states == {once: State.DONE, twice: State.FAILED, refused: State.FAILED, fine: State.DONE}
    starts = log_of(tmp_path)
    assert [starts[key].count("start") for key in (once, twice, refused, fine)] == [2, 2, 1, 1]
    summary = json.loads((tmp_path / twice / records.SUMMARY).read_text())
    assert (summary["status"], summary["error"]) == ("failed", "segmentation")
    lines = status.failures(job_plan.make_jobs(found), states, Store(found.experiment_dir))
    assert len(lines) == 3
    assert "segmentation" in lines[0]
    assert "--retry_failed" in lines[2]


SCRIPT = """
import sys
sys.path[:0] = [{root!r}, {helpers!r}, {here!r}]
from pathlib import Path
import test_campaign as t
states = t.engine(t.campaign(Path({folder!r}))).run()
print("ended", {{str(state) for state in states.values()}})
"""


def start(tmp_path):
    paths = {"root": str(ROOT), "helpers": str(ROOT / "tests/helpers"), "here": str(ROOT / "tests/campaign")}
    code = SCRIPT.format(folder=str(tmp_path), **paths)
    return subprocess.Popen(
        [sys.executable, "-c", code],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def wait_for(condition, timeout=300):
    end = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def num_lines(tmp_path, word):
    path = tmp_path / "starts.log"
    return path.read_text().count(word) if path.exists() else 0


def test_a_campaign_killed_twice_ends_with_every_trial_exactly_once(tmp_path):
    slow = [{"evaluations": [[0.5, 5, 0.1], [1.0, 10, 0.95]], "sleep": 0.4}]
    scripts(tmp_path, slow)
    for number in (1, 3):
        started = start(tmp_path)
        wait_for(lambda number=number: num_lines(tmp_path, "start ") >= number)
        os.killpg(started.pid, signal.SIGKILL)
        started.communicate()
    out, err = start(tmp_path).communicate(timeout=60)
    assert "ended {'done'}" in out, err
    log = log_of(tmp_path)
    assert len(log) == 4
    assert all(one.count("end") == 1 for one in log.values())
    assert sum(one.count("start") for one in log.values()) == 6


def test_a_trial_whose_campaign_died_writes_its_checkpoint_and_is_not_run_twice_at_once(tmp_path):
    scripts(tmp_path, [{"evaluations": [[1.0, 10, 0.1]] * 100, "sleep": 0.1}])
    started = start(tmp_path)
    wait_for(lambda: num_lines(tmp_path, "start ") == 1)
    started.kill()  # The campaign alone, not its group.
    started.communicate()
    again = start(tmp_path)
    wait_for(lambda: num_lines(tmp_path, "start ") == 2)
    again.kill()
    again.communicate()
    wait_for(lambda: num_lines(tmp_path, "interrupted ") == 2)
    words = [line.split()[0] for line in (tmp_path / "starts.log").read_text().splitlines()]
    assert words == ["start", "interrupted"] * 2, "the second one began when the first one had ended"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_to_the_whole_group_is_no_crash_of_a_trial_that_starts(tmp_path, number):
    scripts(tmp_path, [{"evaluations": [[1.0, 10, 0.1]] * 100, "sleep": 0.1}])
    job = job_plan.make_jobs(campaign(tmp_path))[0]
    for count in (1, 2, 3):
        started = start(tmp_path)
        wait_for(Store(tmp_path).root.joinpath("attempts", job.key, f"{count}.log").exists)
        os.killpg(started.pid, number)
        started.communicate()
    outcomes = [attempt.outcome for attempt in Store(tmp_path).attempts(job)]
    assert outcomes == [Outcome.INTERRUPTED] * 3


def test_trials_wait_for_cores_that_another_command_has(tmp_path, capsys):
    scripts(tmp_path)
    found = campaign(tmp_path)
    usable = cores.usable()
    taken = cores.take(len(usable), usable, tmp_path / "locks")
    own = engine(found)
    thread = threading.Thread(target=own.run)
    monkeypatched = pytest.MonkeyPatch()
    monkeypatched.setattr(signal, "signal", lambda *_: None)  # Handlers are for the main thread.
    thread.start()
    try:
        time.sleep(0.5)
        assert num_lines(tmp_path, "start ") == 0
        assert "Waiting for cores" in capsys.readouterr().err
    finally:
        taken.close()
        thread.join()
        monkeypatched.undo()
    assert num_lines(tmp_path, "end ") == 4


@pytest.mark.slow
def test_sigterm_ends_all_and_says_that_the_command_goes_on(tmp_path):
    scripts(tmp_path, [{"evaluations": [[1.0, 10, 0.1]] * 100, "sleep": 0.1}])
    found = campaign(tmp_path)
    own = engine(found, num_workers=2)

    def interrupt():
        wait_for(lambda: num_lines(tmp_path, "start ") == 2)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=interrupt).start()
    with pytest.raises(Interrupted):
        own.run()
    assert num_lines(tmp_path, "interrupted ") == 2
    store = Store(found.experiment_dir)
    attempts = [attempt for job in job_plan.make_jobs(found) for attempt in store.attempts(job)]
    assert [attempt.outcome for attempt in attempts] == [Outcome.INTERRUPTED] * 2
    assert set(store.states(job_plan.make_jobs(found)).values()) == {State.WAITING}


# ---- frugality ---------------------------------------------------------------------------------------------


def test_a_trial_that_cannot_win_its_study_any_more_is_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr("campaign.engine.CHECK_SEC", 0.05)
    found = campaign(tmp_path, submissions=(str(ROOT / "reference_algorithms/nadamw"),))
    first, second = (job.key for job in job_plan.make_jobs(found))
    hopeless = [{"evaluations": [[0.6 * i, 6 * i, 0.1] for i in range(1, 100)], "sleep": 0.2}]
    scripts(tmp_path, **{second: hopeless})
    jobs = job_plan.make_jobs(found)
    limits = frugal.Limits(jobs, found.cut_suite(), 1)
    states = engine(found, jobs, limits=limits).run()
    assert states == {first: State.DONE, second: State.STOPPED}
    assert log_of(tmp_path)[second][-1] == "stopped"
    (stopped, saved) = status.savings(jobs, states, Store(found.experiment_dir))
    assert "sibling" in stopped
    assert "saved: at most" in saved
    assert process.last_evaluation(tmp_path / second)[0] < 6


def test_a_trial_that_goes_on_is_stopped_by_what_it_evaluates_itself(tmp_path, monkeypatch):
    monkeypatch.setattr("campaign.engine.CHECK_SEC", 0.0)
    found = campaign(tmp_path, submissions=(str(ROOT / "reference_algorithms/nadamw"),))
    jobs = job_plan.make_jobs(found)
    first, second = (job.key for job in jobs)
    jobs[1].folder.mkdir(parents=True)
    earlier = "global_step,accumulated_submission_time,validation/accuracy\n20,2.0,0.1\n"
    (jobs[1].folder / records.EVAL_MEASUREMENTS).write_text(earlier)
    hopeless = [{"evaluations": [[2.0 + 0.4 * i, 20 + 4 * i, 0.1] for i in range(1, 100)], "sleep": 0.2}]
    scripts(tmp_path, **{second: hopeless})
    states = engine(found, jobs, limits=frugal.Limits(jobs, found.cut_suite(), 1)).run()
    assert states == {first: State.DONE, second: State.STOPPED}
    assert log_of(tmp_path)[second] == ["start", "stopped"]
    assert len(Store(found.experiment_dir).attempts(jobs[1])) == 1, (
        "it was not asked to stop before it could be"
    )


def test_what_was_stopped_goes_on_where_the_reason_holds_no_more(tmp_path):
    found = campaign(tmp_path)
    jobs, store = job_plan.make_jobs(found), Store(found.experiment_dir)
    first, _, stopped, _ = jobs
    assert first.siblings == stopped.siblings
    reached = {"submission_time_sec": 1.0, "global_step": 10}
    for job, content in (
        (first, {"status": "target_reached", "validation_target_reached": reached}),
        (stopped, {"status": "stopped", "stop_reason": "sibling: ..."}),
    ):
        job.folder.mkdir(parents=True)
        records.write_json(job.folder / records.SUMMARY, content)
    header = "global_step,accumulated_submission_time,validation/accuracy\n"
    (stopped.folder / records.EVAL_MEASUREMENTS).write_text(f"{header}20,2.0,0.1\n")
    engine(found, jobs, limits=frugal.Limits(jobs, found.cut_suite(), 1))
    assert store.state(stopped) is State.STOPPED
    alone = [stopped]  # As if the other trial were no part of the campaign.
    engine(found, alone, limits=frugal.Limits(alone, found.cut_suite(), 1))
    assert store.state(stopped) is State.WAITING
    records.write_json(stopped.folder / records.SUMMARY, {"status": "stopped"})
    engine(found, jobs)
    assert store.state(stopped) is State.WAITING, "--nofrugal runs all"


def test_a_trial_that_goes_on_is_no_reason_any_more_to_stop_others(tmp_path):
    """Its sibling was stopped by r_max as the last of a study without a hit, which it is no longer."""
    found = campaign(tmp_path)
    nadamw, adamw, _, last = job_plan.make_jobs(found)
    assert adamw.siblings == last.siblings != nadamw.siblings
    store, jobs = Store(found.experiment_dir), [nadamw, last, adamw]
    reached = {"submission_time_sec": 1.0, "global_step": 10}
    header = "global_step,accumulated_submission_time,validation/accuracy\n"
    for job, row in ((nadamw, "10,1.0,0.95"), (last, "90,9.0,0.1"), (adamw, "20,2.0,0.1")):
        job.folder.mkdir(parents=True)
        (job.folder / records.EVAL_MEASUREMENTS).write_text(f"{header}{row}\n")
        content = {"status": "target_reached", "validation_target_reached": reached}
        records.write_json(
            job.folder / records.SUMMARY,
            content if job is nadamw else {"status": "stopped", "stop_reason": "r_max"},
        )
    engine(found, jobs, limits=frugal.Limits(jobs, found.cut_suite(), 1))
    assert store.state(adamw) is State.WAITING, "2 s are within 4 times 1 s"
    assert store.state(last) is State.WAITING, "its sibling may yet come later with fewer updates"


# ---- the command -------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_real_trials_from_plan_to_scores(tmp_path, capsys):
    found = campaign(tmp_path, framework="pytorch", max_steps=3, num_trials=1)
    assert benchmark.run(found, benchmark.Config(plan=True)) == 0
    planned = capsys.readouterr().out
    assert "nadamw/study_0/digits_pytorch/trial_1" in planned
    assert "2 trials: 2 waiting" in planned
    assert not tmp_path.joinpath("nadamw").exists(), "a plan starts nothing"
    assert benchmark.run(found, benchmark.Config(quiet=True)) == 0
    assert "2 trials: 2 done" in capsys.readouterr().out
    assert "<title>mini, external ruleset</title>" in (tmp_path / "report.html").read_text()
    assert benchmark.run(benchmark.saved_campaign(tmp_path), benchmark.Config(status=True)) == 0
    assert "2 trials: 2 done" in capsys.readouterr().out
    with pytest.raises(UsageError, match="in pytorch, and one score takes one framework"):
        benchmark.run(campaign(tmp_path, framework="jax", max_steps=3, num_trials=1), benchmark.Config())


def test_a_campaign_without_an_evaluation_fails_and_has_no_scores(tmp_path, capsys):
    scripts(tmp_path, [{"exit": 2, "error": "no data"}])
    found = campaign(tmp_path)
    assert (
        benchmark.run(found, benchmark.Config(quiet=True, trial_command=PRETENDED)) == benchmark.EXIT_FAILED
    )
    said = capsys.readouterr().out
    assert "4 failed" in said
    assert "--retry_failed" in said
    assert "There are no scores" in said


def test_a_campaign_means_the_same_in_every_working_directory(tmp_path, monkeypatch):
    monkeypatch.chdir(ROOT)
    found = campaign(
        tmp_path / "results",
        submissions=("reference_algorithms/nadamw",),
        suite="algoperf/suites/mini.json",
        tuning_search_space="tuning_search_space_fixed_beta1.json",
        data_dir="data",
    ).anchored()
    keys = [job.key for job in job_plan.make_jobs(found)]
    monkeypatch.chdir(tmp_path)
    assert [job.key for job in job_plan.make_jobs(found)] == keys
    assert found.settings.data_dir == str(ROOT / "data")
    assert found.settings.tuning_search_space == "tuning_search_space_fixed_beta1.json", (
        "beside each submission"
    )


def test_workers_that_would_share_gpus_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr("algoperf.backends.has_nvidia_gpu", lambda: True)
    found = campaign(tmp_path)
    with pytest.raises(UsageError, match="--gpus=0,1"):
        execution.run_jobs(
            execution.Options(workers=2), "auto", Store(found.experiment_dir), job_plan.make_jobs(found), None
        )
    assert execution.Options(gpus=("0", "1")).num_workers == 2


def test_a_campaign_of_the_version_before_is_still_known_by_its_folder(tmp_path):
    """It held the settings of its trials beside its own fields, some under other names."""
    older = {
        "experiment_dir": "/elsewhere",
        "suite": "mini",
        "ruleset": "self",
        "submissions": ["/somewhere/nadamw"],
        "framework": "jax",
        "workloads": ["digits"],
        "first_study": 0,
        "num_studies": 2,
        "num_trials": None,
        "rng_seed": 3,
        "data_dir": None,
        "tuning_search_space": None,
        "max_steps": 7,
        "run_past_targets": False,
        "device": "cpu",
        "compare_to": None,
        "calibrate": False,
    }
    path = tmp_path / ".campaign" / "campaign.json"
    path.parent.mkdir()
    path.write_text(json.dumps(older))
    found = benchmark.saved_campaign(tmp_path)
    assert found.experiment_dir == tmp_path
    assert (found.suite, found.ruleset, found.num_studies) == ("mini", "self", 2)
    shared = found.settings
    assert (shared.framework, shared.rng_seed, shared.max_global_steps, shared.device) == ("jax", 3, 7, "cpu")
    benchmark.save(found, Store(tmp_path))
    assert benchmark.saved_campaign(tmp_path) == found, "and is written in today's form"


def test_an_engine_that_ends_by_an_exception_gives_its_cores_back(tmp_path, monkeypatch):
    scripts(tmp_path)
    found = campaign(tmp_path)
    made = engine(found)

    def fail(job):
        raise KeyboardInterrupt

    monkeypatch.setattr(made, "_launch", fail)
    with pytest.raises(KeyboardInterrupt):
        made.run()
    lease = cores.take(len(cores.usable()), cores.usable(), tmp_path / "locks")
    assert lease is not None, "else every other command of this user would wait for ever"
    lease.close()


def test_the_status_of_a_running_campaign_bounds_its_scores_and_says_what_to_run_next(tmp_path, capsys):
    found = campaign(tmp_path, num_studies=3, num_trials=1)
    scripts(tmp_path, [{"evaluations": [[1.0, 10, 0.999]]}])
    assert benchmark.run(found, benchmark.Config(status=True)) == 0
    assert "There are no scores yet: no trial has ended." in capsys.readouterr().out
    jobs = job_plan.make_jobs(found)
    nadamw = [job for job in jobs if job.submission == "nadamw"]
    assert engine(found, nadamw).run()[nadamw[0].key] is State.DONE
    assert benchmark.run(found, benchmark.Config(status=True)) == 0
    said = capsys.readouterr().out
    assert "adamw is provisional." in said
    assert "1-2   adamw       [0.000, 1.000] provisional" in said, "which has no folder yet"
    assert "Next runs that could still change a rank" in said
    assert "adamw on digits, 3 trials, about 3s" in " ".join(said.split())
    engine(found, [job for job in jobs if job.submission == "adamw" and job.study == 0]).run()
    benchmark.run(found, benchmark.Config(status=True))
    assert "adamw on digits, 2 trials" in " ".join(capsys.readouterr().out.split())
