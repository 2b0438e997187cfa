"""Runs on several devices and hosts: virtual devices and processes. One start for all checks of a layout."""

import json

import numpy as np
import pytest
import two_devices
from harness import POINT, run_trial

SETTINGS = {"max_steps": 10, "eval_every_steps": 5, "point": {**POINT, "dropout_rate": 0.0}}
WITH_DROPOUT = {"eval_every_steps": 5, "point": POINT}

BODY = """
import json, os, random, signal, time
from unittest import mock
from algoperf import records
from algoperf import evaluation
from algoperf.run import processes
from algoperf.spec import UsageError
from harness import digits, run_trial, sgd, submission, trial_config

settings = {settings!r}
rng = random.Random(backend.process_index)
# Each process has a folder of its own, as hosts may that share no disk: only the first one's is used.
folder = folder / f"process_{{backend.process_index}}"


def uneven(workload, queue, *rest):
    time.sleep(rng.random() * 0.02)
    return next(queue)


def stopped(*arguments, **keywords):
    if keywords["global_step"] == 3:
        if backend.process_index == 0:
            records.write_json(folder / "stopped" / "trial_1" / records.STOP, {{"reason": "it cannot matter"}})
        os.kill(os.getpid(), signal.SIGTERM)
    return sgd(framework).update_params(*arguments, **keywords)


def finds_other_metrics(loss):
    is_last = backend.process_index == backend.num_processes - 1
    metrics = {{"loss": loss, "accuracy": 1.0 if is_last and backend.num_processes > 1 else 0.1}}
    return mock.patch.object(evaluation.Evaluator, "evaluate_split", lambda *arguments: metrics)


results = [
    run_trial(folder / "steps", framework, **settings),
    run_trial(folder / "parts", framework, **{{**settings, "max_steps": 5}}),
    run_trial(folder / "parts", framework, **settings),
    run_trial(folder / "parts", framework, **settings),
    run_trial(folder / "parts", framework, **{{**settings, "max_steps": 1, "overwrite": True}}),
    # Evaluations and the end by time, on processes that do not keep step.
    run_trial(
        folder / "time",
        framework,
        submission(framework, data_selection=uneven),
        workload=digits(max_allowed_runtime_sec=1.2, eval_period_time_sec=0.05),
        **{{**settings, "eval_every_steps": None, "max_steps": None}},
    ),
    run_trial(folder / "stopped", framework, submission(framework, update_params=stopped), **settings),
]
with finds_other_metrics(1.0):
    results.append(run_trial(folder / "other_metrics", framework, **settings))
dropout = {{**settings, "point": {{**settings["point"], "dropout_rate": 0.3}}}}
results.append(run_trial(folder / "from_one", framework, **dropout))
results.append(run_trial(folder / "to_one", framework, **{{**dropout, "max_steps": 5}}))
kept = ["status", "error", "last", "global_step", "preemption_count", "submission_time_sec", "num_evaluations"]
results = [{{key: result[key] for key in kept}} for result in results]
settings_of_each = trial_config(folder, framework, rng_seed=backend.process_index).shared_settings()
try:
    processes.check_same_settings(backend, settings_of_each)
    results.append("accepted")
except UsageError as error:
    results.append(str(error))
folder.mkdir(exist_ok=True)
(folder / "results.json").write_text(json.dumps(results))


def fails_on_the_last(*arguments, **keywords):
    if keywords["global_step"] == 3 and backend.process_index == backend.num_processes - 1:
        raise RuntimeError("out of luck")
    return sgd(framework).update_params(*arguments, **keywords)


summary = run_trial(folder / "fails", framework, submission(framework, update_params=fails_on_the_last), **settings)
assert summary["status"] == "failed", summary
if backend.num_processes > 1:
    processes.leave(backend, 1)
sys.exit(1)
"""


@pytest.fixture(scope="module")
def on_two_devices(tmp_path_factory):
    """layout -> (folder, exit codes, stderr) of BODY."""
    done = {}

    def get(layout):
        if layout not in done:
            folder = tmp_path_factory.mktemp(layout)
            run_trial(
                folder / "process_0" / "from_one",
                two_devices.framework_of(layout),
                **WITH_DROPOUT,
                max_steps=5,
            )
            codes, err = two_devices.run(layout, folder, BODY.format(settings=SETTINGS))
            done[layout] = folder, codes, err
        return done[layout]

    return get


@pytest.fixture
def processes(on_two_devices, layout):
    """The summaries of BODY's trials, a list for each process."""
    folder, _, err = on_two_devices(layout)
    found = [json.loads(path.read_text()) for path in sorted(folder.glob("process_*/results.json"))]
    assert len(found) == two_devices.num_processes(layout), err
    return found


@pytest.fixture(params=two_devices.LAYOUTS)
def layout(request):
    """Each way to have two devices."""
    return request.param


def assert_same_metrics(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        # Sums over devices are rounded differently; three of 250 examples may tip over.
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=0.013, err_msg=name)


def test_a_run_on_two_devices_finds_the_metrics_of_a_run_on_one(tmp_path, processes, layout):
    one = run_trial(tmp_path, two_devices.framework_of(layout), **SETTINGS)
    for process in processes:
        found = process[0]
        assert (found["status"], found["error"], found["num_evaluations"]) == ("max_steps", None, 3)
        assert_same_metrics(found["last"], one["last"])


def test_a_run_on_two_devices_goes_on_where_it_was(processes):
    for process in processes:
        whole, _, resumed, again, overwritten = process[:5]
        assert resumed["preemption_count"] == 1
        assert resumed["last"] == again["last"] == whole["last"]
        assert (overwritten["preemption_count"], overwritten["global_step"]) == (0, 1)


def test_only_the_first_process_writes_records_and_checkpoints(on_two_devices, processes, layout):
    folder, _, _ = on_two_devices(layout)
    assert (folder / "process_0" / "steps" / "trial_1" / "checkpoint_10").exists()
    assert [path.name for path in folder.glob("process_1/*")] == ["results.json"] * (len(processes) - 1)


def test_processes_that_do_not_keep_step_evaluate_and_end_together(processes):
    ends = [process[5] for process in processes]
    for end in ends:
        assert end["error"] is None
        assert end["status"] == "budget_exhausted"
        assert end["num_evaluations"] > 3
        assert end == ends[0], "the slowest process counts for all"


def test_processes_that_are_told_to_stop_for_good_need_to_share_no_disk(processes):
    for process in processes:
        assert (process[6]["status"], process[6]["error"]) == ("stopped", None)


def test_metrics_that_the_first_process_finds_count_for_all(processes):
    for process in processes:
        assert (process[7]["status"], process[7]["last"]["test/accuracy"]) == ("max_steps", 0.1)
        assert process[7]["global_step"] == 10


def test_runs_with_dropout_go_on_with_another_number_of_processes(
    on_two_devices, processes, layout, tmp_path
):
    framework = two_devices.framework_of(layout)
    to_one = on_two_devices(layout)[0] / "process_0" / "to_one"
    ends = [process[8] for process in processes] + [run_trial(to_one, framework, **WITH_DROPOUT)]
    alone = run_trial(tmp_path, framework, **WITH_DROPOUT)
    for end in ends:
        assert (end["status"], end["global_step"], end["preemption_count"]) == ("max_steps", 10, 1)
        if framework == "jax":  # Masks do not depend on the number of devices.
            assert_same_metrics(end["last"], alone["last"])
        else:
            assert end["last"]["train/loss"] == pytest.approx(alone["last"]["train/loss"], rel=0.2)


def test_processes_with_other_settings_are_refused_by_all(processes):
    answer = (
        "Process 1 was started with another rng_seed (1) than process 0 (0)"
        if len(processes) > 1
        else "accepted"
    )
    for process in processes:
        assert process[-1].startswith(answer)


def test_a_failure_in_one_process_ends_all_and_is_recorded(on_two_devices, layout):
    folder, codes, err = on_two_devices(layout)
    assert codes == [1] * len(codes), err
    summary = json.loads((folder / "process_0" / "fails" / "trial_1" / "summary.json").read_text())
    assert summary["status"] == "failed"
    assert "RuntimeError: out of luck" in summary["error"]
    if two_devices.num_processes(layout) == 2:
        assert summary["error"].startswith("process 1: ")
        assert "error: process 1: RuntimeError: out of luck" in err
