"""What in the environment changes numbers or times: it is recorded, and a run is continued under the same."""

import os
import types

import pytest
from harness import FRAMEWORKS, backend, command, trial_config

from algoperf import records
from algoperf.backends import environment, jax_launch, torch_launch
from algoperf.run import identity, trial
from algoperf.spec import UsageError

RUN = {"workload": "digits", "submission": "reference_algorithms/nesterov", "eval_every_steps": 2}
TRIAL = "experiments/nesterov/study_0/digits_pytorch/trial_1"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_a_framework_says_how_it_computes_and_with_how_many_threads(framework):
    found = backend(framework).numerics()
    assert found["threads"] >= 1
    assert {type(value) for value in found.values()} <= {str, int, float, bool, type(None)}, (
        "as JSON gives it back"
    )
    assert "matmul_precision" in found
    assert "tf32_override" in found


def test_threads_and_variables_are_in_the_records_and_another_number_of_threads_is_refused(
    tmp_path, capsys, monkeypatch
):
    import torch

    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert command(tmp_path, **RUN, framework="pytorch", max_global_steps=2) == 0, capsys.readouterr().err
    meta = records.read_json(tmp_path / TRIAL / records.meta_data_file(0))
    assert meta["environment"]["threads"] == torch.get_num_threads()
    assert meta["environment"]["variables"]["OMP_NUM_THREADS"] == "1"
    assert meta["environment"]["cores"] >= 1
    assert meta["identity"]["environment"]["threads"] == torch.get_num_threads()
    monkeypatch.setattr(torch, "get_num_threads", lambda: 7)
    assert command(tmp_path, **RUN, framework="pytorch", max_global_steps=4) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert "holds a run with another environment.threads (1, now 7)" in line


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_same_command_finds_its_trial_in_the_same_environment(tmp_path, capsys, framework):
    for steps in (1, 1, 2):
        code = command(tmp_path, **RUN, framework=framework, max_global_steps=steps)
        assert code == 0, capsys.readouterr().err


def test_a_run_whose_records_are_older_than_this_is_continued(tmp_path):
    older = trial_config(tmp_path, "pytorch").identity()
    wanted = trial_config(tmp_path, "pytorch", environment={"threads": 2}).identity()
    assert identity.difference(older, wanted) is None
    partly = {**wanted, "environment": {}}
    assert identity.difference(partly, wanted) is None, "nor is what a later version adds a difference"


def test_a_finished_trial_counts_as_done_only_in_the_same_environment(tmp_path):
    def config(threads):
        return trial_config(tmp_path, "pytorch", environment={"threads": threads}, max_steps=1)

    from algoperf.run import clock

    assert trial.run(config(1), clock.Ledger()).status == "max_steps"
    assert trial.run(config(1), clock.Ledger()).already_finished
    with pytest.raises(UsageError, match=r"another environment.threads \(1, now 2\)"):
        trial.run(config(2), clock.Ledger())


def test_secrets_do_not_go_into_the_records(monkeypatch):
    monkeypatch.setenv("TORCH_HUB_TOKEN", "abc")
    monkeypatch.setenv("NVIDIA_API_KEY", "abc")
    monkeypatch.setenv("TORCH_HOME", "/here")
    found = environment.record(backend("pytorch"))["variables"]
    assert "abc" not in found.values()
    assert found["TORCH_HOME"] == "/here"


def test_on_a_gpu_a_run_may_go_on_beside_other_cores():
    def found(platform):
        pretended = types.SimpleNamespace(
            platform=lambda: platform, numerics=lambda: {"threads": 8, "x64": False}
        )
        return environment.of_identity(pretended)

    assert found("cpu") == {"threads": 8, "x64": False}
    assert found("gpu") == {"x64": False}


def test_flags_of_xla_count_but_for_those_that_change_no_numbers(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_dump_to=/x --xla_force_host_platform_device_count=2 --xla_b=1")
    assert backend("jax").numerics()["xla_flags"] == "--xla_b=1"


def test_threads_of_jax_are_the_users_or_one_a_core(monkeypatch):
    monkeypatch.setattr(jax_launch.machine, "num_cores", lambda: 2)
    monkeypatch.setenv("PJRT_NPROC", "5")
    assert jax_launch.num_threads() == 5
    monkeypatch.delenv("PJRT_NPROC")
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "2")
    jax_launch.prepare()
    assert os.environ.pop("PJRT_NPROC") == "6"
    assert jax_launch.num_threads() == 2, "those for several devices are ours, and a run may change them"


@pytest.mark.parametrize(
    ("own", "wanted"),
    [
        ({}, {"OMP_WAIT_POLICY": None, "GOMP_SPINCOUNT": "30000"}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, {"OMP_WAIT_POLICY": "ACTIVE", "GOMP_SPINCOUNT": None}),
        ({"GOMP_SPINCOUNT": "9"}, {"OMP_WAIT_POLICY": None, "GOMP_SPINCOUNT": "9"}),
        ({"KMP_BLOCKTIME": "1"}, {"OMP_WAIT_POLICY": None, "GOMP_SPINCOUNT": None}),
    ],
)
def test_threads_of_pytorch_give_up_their_core_while_they_wait_unless_the_user_says_otherwise(
    monkeypatch, own, wanted
):
    for name in torch_launch.WAITING:
        monkeypatch.setenv(name, "")  # So that it is as before after the test.
        monkeypatch.delenv(name)
    for name, value in own.items():
        monkeypatch.setenv(name, value)
    torch_launch.prepare()
    assert {name: os.environ.get(name) for name in wanted} == wanted
