"""JAX submissions written for `jax.pmap`: parameters and batches with a leading device axis."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
from harness import ROOT


@pytest.mark.parametrize("workload", ["digits", "digits_batch_norm"])
def test_a_submission_for_pmap_runs_unmodified_on_two_devices_and_resumes(tmp_path, workload):
    def run(num_steps):
        command = [
            *(sys.executable, "submission_runner.py", f"--workload={workload}", "--framework=jax"),
            *("--submission=tests/helpers/pmap_sgd", f"--experiment_dir={tmp_path}", "--trial=1"),
            *(f"--max_steps={num_steps}", "--eval_every_steps=20"),
        ]
        flags = "--xla_force_host_platform_device_count=2"
        done = subprocess.run(
            command, cwd=ROOT, env={**os.environ, "XLA_FLAGS": flags}, text=True, capture_output=True
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
