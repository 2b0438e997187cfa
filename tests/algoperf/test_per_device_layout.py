"""JAX submissions written for `jax.pmap`: parameters and batches with a leading device axis."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from harness import ROOT, command, patient_suite


@pytest.mark.parametrize("workload", ["digits", "digits_batch_norm"])
def test_a_submission_for_pmap_runs_unmodified_on_two_devices_and_resumes_on_as_many(
    tmp_path, capsys, workload
):
    suite = patient_suite(tmp_path, workload)

    def run(num_steps):
        arguments = [
            *(sys.executable, "submission_runner.py", f"--workload={workload}", "--framework=jax"),
            *("--submission=tests/helpers/pmap_sgd", f"--experiment_dir={tmp_path}", "--trial=1"),
            *(f"--max_steps={num_steps}", "--eval_every_steps=20", f"--suite={suite}"),
        ]
        flags = "--xla_force_host_platform_device_count=2"
        done = subprocess.run(
            arguments, cwd=ROOT, env={**os.environ, "XLA_FLAGS": flags}, text=True, capture_output=True
        )
        assert done.returncode == 0, done.stderr[-2000:]
        (summary,) = tmp_path.glob(f"pmap_sgd/study_0/{workload}_jax/trial_1/summary.json")
        return json.loads(summary.read_text()), summary.parent

    _, folder = run(20)
    _, folder = run(40)
    table = np.genfromtxt(
        folder / "eval_measurements.csv", delimiter=",", names=True, dtype=None, encoding=None
    )
    assert table["global_step"].tolist() == [1, 20, 40]
    assert table["trainloss"][-1] < table["trainloss"][0]
    on_one = {"submission": str(ROOT / "tests/helpers/pmap_sgd"), "framework": "jax", "workload": workload}
    steps = {"trial": 1, "max_global_steps": 60, "eval_every_steps": 20, "suite": suite}
    assert command(tmp_path, experiment_dir=str(tmp_path), **on_one, **steps) == 2
    assert "continue it with as many devices as before" in capsys.readouterr().err
