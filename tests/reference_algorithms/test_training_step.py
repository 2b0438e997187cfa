"""The shared training step: rulesets, options, logging, resume, several devices, and what gets imported."""

import ast
import os
import subprocess
import sys

import numpy as np
import pytest
from linear_workload import (
    FAMILIES,
    POINTS,
    ROOT,
    RUNS,
    LinearWorkload,
    Logger,
    TorchRun,
    flat,
    initial_values,
    load,
    numpy_batches,
    point,
    run,
)

from reference_algorithms.shared import schedules

pytestmark = pytest.mark.filterwarnings("error")
BOTH = pytest.mark.parametrize("framework", ["jax", "torch"])


@BOTH
@pytest.mark.parametrize("family", [*FAMILIES, "template"])
def test_it_trains_without_hyperparameters_in_the_self_tuning_ruleset(family, framework):
    session = RUNS[framework](load(family, framework), None)
    batch = next(numpy_batches(1))
    for _ in range(6):
        session.step(batch)
    gradient = batch["weights"] @ batch["inputs"]
    assert gradient @ session.vector() < gradient @ flat(initial_values())  # the loss fell


@BOTH
@pytest.mark.parametrize("family", ["nesterov"])
def test_a_dropout_rate_is_passed_on_and_a_missing_one_leaves_the_default_of_the_workload(family, framework):
    without = RUNS[framework](load(family, framework), POINTS[family])
    without.step(next(numpy_batches(1)))
    assert set(without.workload.dropout_rates) == {"workload default"}
    zero = RUNS[framework](load(family, framework), point(**POINTS[family]._asdict(), dropout_rate=0.0))
    zero.step(next(numpy_batches(1)))
    assert set(zero.workload.dropout_rates) == {0.0}


@BOTH
def test_loss_and_gradient_norm_before_clipping_are_logged_every_hundred_steps(framework):
    logger = Logger()
    workload = LinearWorkload()
    workload.metrics_logger = logger
    session = RUNS[framework](
        load("nesterov", framework), point(**POINTS["nesterov"]._asdict(), grad_clip=0.01), workload
    )
    batches = list(numpy_batches(2))
    for global_step, batch in [(0, batches[0]), (1, batches[1]), (100, batches[1])]:
        session.global_step = global_step
        before = session.vector()
        session.step(batch)
    assert [step for step, _ in logger.rows] == [0, 100]
    gradient = batches[1]["weights"] @ batches[1]["inputs"] / batches[1]["weights"].sum()
    metrics = logger.rows[1][1]
    np.testing.assert_allclose(metrics["grad_norm"], np.linalg.norm(gradient), rtol=1e-5)
    np.testing.assert_allclose(metrics["loss"], gradient @ before, rtol=1e-4, atol=1e-6)
    expected = schedules.linear(POINTS["nesterov"], workload.step_hint)(100)
    assert metrics["learning_rate"] == pytest.approx(expected)


@BOTH
@pytest.mark.parametrize(("every", "logged"), [(2, [0, 2]), (0, [])])
def test_the_interval_of_logging_is_a_hyperparameter_and_0_turns_it_off(framework, every, logged):
    workload = LinearWorkload()
    workload.metrics_logger = Logger()
    values = point(**POINTS["nesterov"]._asdict(), log_every_steps=every)
    session = RUNS[framework](load("nesterov", framework), values, workload)
    for batch in numpy_batches(3):
        session.step(batch)
    assert [step for step, _ in workload.metrics_logger.rows] == logged


def test_the_jax_step_is_compiled_once_and_consumes_the_old_state():
    from reference_algorithms.shared import training_jax

    session = RUNS["jax"](load("nadamw", "jax"), POINTS["nadamw"])
    size_before = training_jax._compiled_step()._cache_size()
    old_params = session.params
    batch = next(numpy_batches(1))
    session.step(batch)
    session.step(batch)
    size_after_two = training_jax._compiled_step()._cache_size()
    for _ in range(5):
        session.step(batch)
    # The second call may add an entry for the placement of its arguments (no compilation), no later one does.
    assert training_jax._compiled_step()._cache_size() == size_after_two <= size_before + 2
    assert all(value.is_deleted() for value in old_params.values())


@pytest.mark.parametrize("family", ["nadamw", "soap"])
def test_a_resumed_jax_run_equals_an_uninterrupted_one_bit_for_bit(family):
    import jax

    whole = RUNS["jax"](load(family, "jax"), POINTS[family])
    batches = list(numpy_batches(8))
    for batch in batches[:5]:
        whole.step(batch)
    saved = jax.tree.map(np.array, (whole.state[0], whole.params))
    resumed = RUNS["jax"](load(family, "jax"), POINTS[family])
    arrays, resumed.params = jax.tree.map(jax.numpy.asarray, saved)
    resumed.state, resumed.global_step = (arrays, resumed.state[1]), 5
    for batch in batches[5:]:
        whole.step(batch)
        resumed.step(batch)
    np.testing.assert_array_equal(resumed.vector(), whole.vector())


@pytest.mark.parametrize("family", [*FAMILIES, "template"])
def test_a_resumed_pytorch_run_equals_an_uninterrupted_one_bit_for_bit(family, tmp_path):
    import torch

    hyperparameters = POINTS.get(family)
    whole = TorchRun(load(family, "torch"), hyperparameters)
    batches = list(numpy_batches(8))
    for batch in batches[:5]:
        whole.step(batch)
    states = {name: value.state_dict() for name, value in whole.state.items()}
    torch.save({"optimizer_state": states, "model": whole.params.state_dict()}, tmp_path / "checkpoint")
    saved = torch.load(tmp_path / "checkpoint")
    resumed = TorchRun(load(family, "torch"), hyperparameters)
    resumed.params.load_state_dict(saved["model"])
    for name, value in resumed.state.items():
        value.load_state_dict(saved["optimizer_state"][name])
    resumed.global_step = 5
    for batch in batches[5:]:
        whole.step(batch)
        resumed.step(batch)
    np.testing.assert_array_equal(resumed.vector(), whole.vector())


# Padding falls on the second half of the batch alone, so a mean of per-device means would differ.
TWO_DEVICES_JAX = """
import jax, numpy as np
from algoperf import jax_sharding_utils
from linear_workload import JaxRun, POINTS, load, numpy_batches
run = JaxRun(load("nadamw", "jax"), POINTS["nadamw"])
assert jax.device_count() == 2
run.params = jax_sharding_utils.replicate(run.params)
for batch in numpy_batches(5):
    run.step(jax_sharding_utils.shard_along_batch_dim(batch))
assert all(value.sharding.is_fully_replicated for value in run.params.values())
print(run.vector().tolist())
"""

TWO_PROCESSES_TORCH = """
import os, sys, torch
import numpy as np
from linear_workload import LinearWorkload, POINTS, TorchRun, initial_values, load, numpy_batches
rank = int(sys.argv[1])
torch.set_num_threads(1)
torch.distributed.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)

class Linear(torch.nn.Module):  # DistributedDataParallel needs a forward pass
    def __init__(self):
        super().__init__()
        values = {name: torch.nn.Parameter(torch.tensor(v)) for name, v in initial_values().items()}
        self.values = torch.nn.ParameterDict(values)
    def forward(self, inputs):
        return inputs @ torch.cat([p.reshape(-1) for _, p in sorted(self.values.items())])

class Workload(LinearWorkload):
    def model_fn(self, params, augmented_and_preprocessed_input_batch, model_state, **kwargs):
        return params(augmented_and_preprocessed_input_batch["inputs"]), model_state

found = {}
for family in ("nadamw", "template"):
    module, h = load(family, "torch"), POINTS.get(family)
    run = object.__new__(TorchRun)
    run.module, run.hyperparameters, run.workload = module, h, Workload()
    run.params = torch.nn.parallel.DistributedDataParallel(Linear())
    run.rng, run.global_step = None, 0
    run.state = module.init_optimizer_state(run.workload, run.params, None, h, None)
    for batch in numpy_batches(5):
        run.step({name: np.split(value, 2)[rank] for name, value in batch.items()})
    run.params = run.params.module.values
    found[family] = run.vector().tolist()
print(found)
torch.distributed.destroy_process_group()
"""


def start(code, *arguments, **environment):
    paths = [str(ROOT), str(ROOT / "tests" / "reference_algorithms")]
    return subprocess.Popen(
        [sys.executable, "-W", "error", "-c", code, *map(str, arguments)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths), **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def output(process):
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return out.strip().splitlines()[-1]


def test_two_jax_devices_with_uneven_padding_make_the_update_of_one():
    pytest.importorskip("jax")
    flags = "--xla_force_host_platform_device_count=2"
    found = output(start(TWO_DEVICES_JAX, XLA_FLAGS=flags, JAX_PLATFORMS="cpu"))
    np.testing.assert_allclose(
        ast.literal_eval(found), run("nadamw", "jax", POINTS["nadamw"], 15)[4], rtol=0, atol=1e-6
    )


def test_two_pytorch_processes_with_uneven_padding_make_the_update_of_one(tmp_path):
    pytest.importorskip("torch")
    processes = [start(TWO_PROCESSES_TORCH, rank, tmp_path / "rendezvous") for rank in (0, 1)]
    first, second = [ast.literal_eval(output(process)) for process in processes]
    assert first == second
    for family, vector in first.items():
        expected = run(family, "torch", POINTS.get(family), 15)[4]
        np.testing.assert_allclose(vector, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("framework", "other"), [("jax", "torch"), ("torch", "jax")])
def test_no_submission_imports_the_other_framework(framework, other):
    pytest.importorskip(framework)
    modules = [f"reference_algorithms.{family}.submission_{framework}" for family in FAMILIES]
    modules.append(f"submissions.template.submission_{framework}")
    code = f"import sys, {', '.join(modules)}; print({{{other!r}, 'optax', 'tensorflow'}} & set(sys.modules))"
    assert output(start(code)) == ("{'optax'}" if framework == "jax" else "set()")


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_the_template_imports_nothing_of_ours_but_the_spec(framework):
    path = ROOT / "submissions" / "template" / f"submission_{framework}.py"
    imported = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            imported |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            imported |= {f"{node.module}.{alias.name}" for alias in node.names}
    third_party = {"jax", "optax"} if framework == "jax" else {"torch", "math"}
    assert imported - {"functools", "types.SimpleNamespace"} == third_party | {"algoperf.spec"}
