"""Batches of a special form on two devices: graphs, cut into shards, and masked batch normalisation."""

import dataclasses
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from bound_workloads import few
from harness import POINT, ROOT, finish, trial_config

from algoperf import clock, trial

NAMES = ("librispeech_conformer_mini", "ogbg_mini")
CHANGES = {
    "librispeech_conformer_mini": {"model": {"encoder_dim": 32, "num_encoder_layers": 1}},
    # Room for all graphs: budgets are those of a shard, so what fits into a batch would depend on the devices.
    "ogbg_mini": {
        "model": {"latent_dim": 16, "hidden_dims": [16], "num_message_passing_steps": 2},
        "data": {"max_nodes_per_graph": 40, "max_edges_per_graph": 90},
    },
}
SETTINGS = {
    "max_steps": 4,
    "eval_every_steps": 4,
    "point": {**POINT, "learning_rate": 0.01, "dropout_rate": 0.0},
}

SCRIPT = """
import json, sys
from pathlib import Path

sys.path[:0] = [{root!r}, {helpers!r}, {here!r}]
from test_two_devices import NAMES, metrics

framework, folder = {framework!r}, Path({folder!r})
from algoperf import backends
backend = backends.get_backend(framework)
assert backend.num_devices() == 2, backend.num_devices()
found = {{name: metrics(name, framework, folder / name, {data_dir!r}) for name in NAMES}}
(folder / f"process_{{backend.process_index}}.json").write_text(json.dumps(found))
"""


def metrics(name, framework, folder, data_dir):
    """What four steps of SGD on a tiny model of the workload come to."""
    spec = few(name)
    changed = {
        part: getattr(spec, part).as_configdict().to_dict() | values for part, values in CHANGES[name].items()
    }
    workload = dataclasses.replace(spec, eval_batch_size=32, **changed)
    config = trial_config(folder, framework, workload=workload, data_dir=str(data_dir), **SETTINGS)
    summary = trial.run(config, clock.Ledger())
    assert summary["error"] is None, summary["error"]
    return summary["last"]


@pytest.mark.parametrize("framework", ["jax", "pytorch"])
def test_two_devices_find_the_metrics_of_one(tmp_path, data_dir, framework):
    wanted = {name: metrics(name, framework, tmp_path / f"one_{name}", data_dir) for name in NAMES}
    script = tmp_path / "script.py"
    helpers, here = str(ROOT / "tests" / "helpers"), str(ROOT / "tests" / "workloads")
    paths = {"root": str(ROOT), "helpers": helpers, "here": here, "folder": str(tmp_path)}
    script.write_text(SCRIPT.format(framework=framework, data_dir=str(data_dir), **paths))
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
    processes = sorted(tmp_path.glob("process_*.json"))
    assert len(processes) == {"jax": 1, "pytorch": 2}[framework]
    for path in processes:
        found = json.loads(path.read_text())
        for name in NAMES:
            assert found[name].keys() == wanted[name].keys()
            for metric, value in wanted[name].items():
                np.testing.assert_allclose(found[name][metric], value, rtol=1e-4, err_msg=f"{name} {metric}")
