"""Batches of a special form on two devices: graphs, cut into shards, and masked batch normalisation."""

import dataclasses
import json

import numpy as np
import pytest
import two_devices
from bound_workloads import few
from harness import POINT, ROOT, patient, trial_config

from algoperf.run import clock, trial

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

BODY = """
import json

sys.path.insert(0, {here!r})
from test_two_devices import NAMES, metrics

found = {{name: metrics(name, framework, folder / name, {data_dir!r}) for name in NAMES}}
(folder / f"process_{{backend.process_index}}.json").write_text(json.dumps(found))
"""


def metrics(name, framework, folder, data_dir):
    """What four steps of SGD on a tiny model of the workload come to."""
    spec = few(name)
    changed = {
        part: getattr(spec, part).as_configdict().to_dict() | values for part, values in CHANGES[name].items()
    }
    workload = patient(spec, eval_batch_size=32, **changed)
    config = trial_config(folder, framework, workload=workload, data_dir=str(data_dir), **SETTINGS)
    summary = dataclasses.asdict(trial.run(config, clock.Ledger()))
    assert summary["error"] is None, summary["error"]
    return summary["last"]


@pytest.mark.parametrize("layout", ["jax_devices", "pytorch_processes"])
def test_two_devices_find_the_metrics_of_one(tmp_path, data_dir, layout):
    framework = two_devices.framework_of(layout)
    wanted = {name: metrics(name, framework, tmp_path / f"one_{name}", data_dir) for name in NAMES}
    here = str(ROOT / "tests" / "workloads")
    codes, err = two_devices.run(layout, tmp_path, BODY.format(here=here, data_dir=str(data_dir)))
    assert codes == [0], err
    processes = sorted(tmp_path.glob("process_*.json"))
    assert len(processes) == two_devices.num_processes(layout)
    for path in processes:
        found = json.loads(path.read_text())
        for name in NAMES:
            assert found[name].keys() == wanted[name].keys()
            for metric, value in wanted[name].items():
                np.testing.assert_allclose(found[name][metric], value, rtol=1e-4, err_msg=f"{name} {metric}")
