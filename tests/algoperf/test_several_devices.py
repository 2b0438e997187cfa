"""Runs on several devices: virtual ones in JAX, processes in PyTorch. One process (group) each for all checks."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from harness import POINT, ROOT, finish, run_trial

SETTINGS = {"max_steps": 10, "eval_every_steps": 5, "point": {**POINT, "dropout_rate": 0.0}}

SCRIPT = """
import json, random, sys, time
from pathlib import Path

sys.path[:0] = [{root!r}, {helpers!r}]
from harness import backends, digits, run_trial, submission

framework, settings, folder = {framework!r}, {settings!r}, Path({folder!r})
backend = backends.get_backend(framework)
assert backend.num_devices() == 2, backend.num_devices()
rng = random.Random(backend.process_index)


def uneven(workload, queue, *rest):
    time.sleep(rng.random() * 0.02)
    return next(queue)


results = [
    run_trial(folder / "steps", framework, **settings),
    run_trial(folder / "parts", framework, **{{**settings, "max_steps": 5}}),
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
]
kept = ["status", "error", "last", "global_step", "preemption_count", "submission_time_sec", "num_evaluations"]
results = [{{key: result[key] for key in kept}} for result in results]
path = folder / f"process_{{backend.process_index}}.json"
path.write_text(json.dumps(results))
"""


@pytest.fixture(scope="module")
def on_two_devices(tmp_path_factory):
    """framework -> summaries of the trials of SCRIPT, a list for each process."""
    done = {}

    def get(framework):
        if framework not in done:
            folder = tmp_path_factory.mktemp(f"two_{framework}")
            script = folder / "script.py"
            names = {"root": str(ROOT), "helpers": str(ROOT / "tests" / "helpers"), "folder": str(folder)}
            script.write_text(SCRIPT.format(framework=framework, settings=SETTINGS, **names))
            command = [sys.executable, str(script)]
            if framework == "pytorch":
                command[1:1] = ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2"]
            started = subprocess.Popen(
                command,
                cwd=ROOT,
                env={**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=2"},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            code, _, err = finish(started, timeout=300)
            assert code == 0, err
            done[framework] = [json.loads(path.read_text()) for path in sorted(folder.glob("process_*.json"))]
        return done[framework]

    return get


def assert_same_metrics(found, wanted):
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        # Sums over devices are rounded differently; three of 250 examples may tip over.
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=0.013, err_msg=name)


def test_a_run_on_two_devices_finds_the_metrics_of_a_run_on_one(tmp_path, on_two_devices, framework):
    one = run_trial(tmp_path, framework, **SETTINGS)
    for process in on_two_devices(framework):
        found = process[0]
        assert (found["status"], found["error"], found["num_evaluations"]) == ("max_steps", None, 3)
        assert_same_metrics(found["last"], one["last"])


def test_a_run_on_two_devices_goes_on_where_it_was(on_two_devices, framework):
    for process in on_two_devices(framework):
        whole, _, resumed, overwritten, _ = process
        assert resumed["preemption_count"] == 1
        assert resumed["last"] == whole["last"]
        assert (overwritten["preemption_count"], overwritten["global_step"]) == (0, 1)


def test_processes_that_do_not_keep_step_evaluate_and_end_together(on_two_devices, framework):
    ends = [process[-1] for process in on_two_devices(framework)]
    assert len(ends) == {"jax": 1, "pytorch": 2}[framework]
    for end in ends:
        assert end["error"] is None
        assert end["status"] == "budget_exhausted"
        assert end["num_evaluations"] > 3
        assert end == ends[0], "the slowest process counts for all"
