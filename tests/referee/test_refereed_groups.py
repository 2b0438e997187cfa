"""Several processes that train together under one referee: PyTorch's groups on one host; several devices of JAX."""

import socket
import types

import numpy as np
import pytest
from harness import assert_equal_params, finish
from refereed import EVERY, STEPS, results, wait_for
from test_refereed import WAITS

from algoperf import records, settings
from algoperf.backends import jax_launch, torch_launch, visible_gpus
from algoperf.referee import channel, confined, start, trainee, trainees
from algoperf.run import checkpoint
from algoperf.spec import UsageError

TORCHRUN = ("-m", "torch.distributed.run", "--standalone", "--nproc_per_node=2")


@pytest.fixture(scope="module")
def plain_group(started, tmp_path_factory):
    """Results of a trial of two processes without a referee."""
    folder = tmp_path_factory.mktemp("plain_group")
    code, _, err = finish(started(folder, referee=False, launcher=TORCHRUN))
    assert code == 0, err
    return results(folder)


SPEAKS = """
import socket

if "TEST_OUTSIDE" in os.environ:  # In each of the group, when it is imported.
    try:
        with socket.create_connection(("127.0.0.1", int(os.environ["TEST_OUTSIDE"])), 10) as connection:
            connection.send(b"weights, please")
    except OSError:
        pass
"""


@pytest.fixture
def outside():
    """A socket on which somebody of this host listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.setblocking(False)
        yield listening


def test_a_group_trains_the_parameters_of_a_group_without_a_referee_also_when_it_was_killed(
    plain_group, started, bent, outside, lacking, tmp_path
):
    """Started by the referee, killed, and continued under torchrun; it asks for help from outside, in vain."""
    submission, sign = bent(WAITS + SPEAKS), tmp_path / "goes_on"
    variables = {"TEST_GOES_ON": str(sign), "TEST_OUTSIDE": str(outside.getsockname()[1])}
    variables["ALGOPERF_KEEP_COMPILE_CACHE"] = "0"
    first = started(tmp_path / "e", submission, "pytorch", "--num_processes=2", **variables)
    trial = results(tmp_path / "e").trial
    wait_for((trial / f"checkpoint_{EVERY}").exists, "checkpoint")
    first.kill()
    finish(first)
    sign.touch()
    confine = "--confine=auto" if lacking else "--confine=require"
    code, _, err = finish(
        started(tmp_path / "e", submission, "pytorch", confine, launcher=TORCHRUN, **variables)
    )
    assert code == 0, err
    found = results(tmp_path / "e")
    if not lacking:
        assert found.summary["referee"]["confinement"]["missing"] == {}
        with pytest.raises(BlockingIOError):
            outside.accept()
    assert_equal_params(found.trial, plain_group.trial)
    contents = [checkpoint.load(one.trial) for one in (found, plain_group)]
    assert [content.keys() for content in contents] == [contents[1].keys()] * 2
    assert [len(content["other_random_states"]) for content in contents] == [1, 1]
    assert [row["global_step"] for row in found.rows] == ["1", str(EVERY), str(STEPS)]
    for row, wanted in zip(found.rows, plain_group.rows, strict=True):
        # One process evaluates whole batches where two evaluate halves, which rounds otherwise.
        np.testing.assert_allclose(float(row["validation/loss"]), float(wanted["validation/loss"]), rtol=1e-5)
    summary = found.summary
    assert (summary["preemption_count"], summary["findings"], summary["refereed"]) == (1, [], True)
    assert summary["device"] == plain_group.summary["device"]


def test_two_devices_of_one_jax_process_train_the_same_with_a_referee(started, tmp_path):
    flags = {"XLA_FLAGS": "--xla_force_host_platform_device_count=2"}
    found = []
    for referee in (False, True):
        folder = tmp_path / str(referee)
        # Four evaluations, so that there is a median of steps.
        code, _, err = finish(started(folder, None, "jax", "--eval_every_steps=2", referee=referee, **flags))
        assert code == 0, err
        found.append(results(folder, "jax"))
    plain, refereed = found
    assert_equal_params(plain.trial, refereed.trial)
    assert records.newest_meta_data(refereed.trial)["num_devices"] == 2
    assert refereed.summary["findings"] == []
    hardware = refereed.summary["referee"]["hardware"]
    assert 0 < hardware["least_step_sec"] < hardware["median_step_sec"]
    assert refereed.summary["referee"]["evaluator_device"].startswith("cpu")


# ---- without processes -----------------------------------------------------------------------------------------------


def plan(framework="pytorch", hosts=None, **changes):
    """What `start` reads of a plan."""
    return types.SimpleNamespace(
        settings=settings.RunSettings(referee=True, **changes), framework=framework, hosts=hosts
    )


def launched(monkeypatch, rank, world_size, local_world_size):
    for name, value in (("RANK", rank), ("LOCAL_RANK", rank), ("WORLD_SIZE", world_size)):
        monkeypatch.setenv(name, str(value))
    monkeypatch.setenv("LOCAL_WORLD_SIZE", str(local_world_size))


def test_the_first_process_of_torchrun_referees_and_the_others_have_nothing_to_do(monkeypatch):
    assert start._num_processes(plan()) == 1
    assert start._num_processes(plan(num_processes=3)) == 3
    launched(monkeypatch, 0, 4, 4)
    assert start._num_processes(plan()) == start._num_processes(plan(num_processes=4)) == 4
    launched(monkeypatch, 3, 4, 4)
    assert start._num_processes(plan()) is None


@pytest.mark.parametrize(
    ("rank", "changes", "says"),
    [
        ((0, 4, 2), {}, "--num_processes=<its GPUs>"),
        ((0, 4, 4), {"num_processes": 2}, "torchrun has started 4"),
        (None, {"framework": "jax", "num_processes": 2}, "uses all devices"),
        (None, {"hosts": object()}, "leave out --coordinator"),
    ],
)
def test_what_cannot_be_refereed_is_refused_with_the_command_that_can(monkeypatch, rank, changes, says):
    if rank is not None:
        launched(monkeypatch, *rank)
    with pytest.raises(UsageError, match=says):
        start._num_processes(plan(**changes))


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"num_processes": 2}, "torchrun --nproc_per_node=2"),
        ({"evaluator_device": "cpu"}, "add --referee"),
    ],
)
def test_settings_of_a_referee_are_refused_without_one(changes, says):
    with pytest.raises(UsageError, match=says):
        settings.RunSettings(**changes).check_together()


def test_an_evaluator_device_that_is_none_is_refused():
    for value in ("gpu", "-1", "1.5"):
        with pytest.raises(UsageError, match="same, cpu"):
            settings.RunSettings(referee=True, evaluator_device=value).check_together()


def test_a_process_of_a_group_gets_its_own_place_and_nothing_of_torchrun(monkeypatch):
    launched(monkeypatch, 0, 4, 4)
    monkeypatch.setenv("TORCHELASTIC_USE_AGENT_STORE", "True")
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    found = torch_launch.in_group(1, 2, 1234)
    assert found["TORCHELASTIC_USE_AGENT_STORE"] is None
    assert (found["RANK"], found["WORLD_SIZE"], found["MASTER_PORT"]) == ("1", "2", "1234")
    assert found["OMP_NUM_THREADS"] == "1"
    assert found["GLOO_SOCKET_IFNAME"] == found["NCCL_SOCKET_IFNAME"] == "lo"
    alone = torch_launch.in_group(0, 1, 0)
    assert alone["RANK"] is alone["LOCAL_RANK"] is alone["MASTER_ADDR"] is None
    assert "OMP_NUM_THREADS" not in alone


@pytest.mark.parametrize("launch", [torch_launch, jax_launch])
def test_an_evaluator_with_a_gpu_of_its_own_has_it_alone(monkeypatch, launch):
    monkeypatch.setenv(visible_gpus.VARIABLE, "4,5,6")
    assert launch.evaluator_environment("1") == {visible_gpus.VARIABLE: "5"}
    assert launch.trainee_environment("1") == {visible_gpus.VARIABLE: "4,6"}
    assert launch.evaluator_environment("cpu")[visible_gpus.VARIABLE] == ""
    assert visible_gpus.VARIABLE not in launch.trainee_environment("cpu")
    with pytest.raises(UsageError, match="GPUs 0 to 2 are seen"):
        launch.evaluator_environment("3")
    monkeypatch.setenv(visible_gpus.VARIABLE, "4")
    with pytest.raises(UsageError, match="nothing is left to train on"):
        launch.trainee_environment("0")


def test_gpus_are_counted_by_what_the_driver_shows(monkeypatch, tmp_path):
    monkeypatch.delenv(visible_gpus.VARIABLE, raising=False)
    monkeypatch.setattr(visible_gpus, "DRIVER", tmp_path / "none")
    with pytest.raises(UsageError, match="no GPU is seen"):
        visible_gpus.only(0)
    monkeypatch.setattr(visible_gpus, "DRIVER", tmp_path)
    for name in ("0000:00:04.0", "0000:00:05.0"):
        (tmp_path / name).mkdir()
    assert visible_gpus.only(1) == {visible_gpus.VARIABLE: "1"}
    assert visible_gpus.all_but(1) == {visible_gpus.VARIABLE: "0"}


def test_jax_beside_an_evaluator_takes_memory_when_it_needs_it_unless_the_user_says_otherwise(monkeypatch):
    monkeypatch.delenv(jax_launch.PREALLOCATE, raising=False)
    monkeypatch.setenv(visible_gpus.VARIABLE, "")
    assert jax_launch.trainee_environment("same") == {}
    monkeypatch.setenv(visible_gpus.VARIABLE, "0")
    assert jax_launch.trainee_environment("same") == {jax_launch.PREALLOCATE: "false"}
    assert jax_launch.trainee_environment("cpu") == {}
    assert float(jax_launch.evaluator_environment("same")[jax_launch.SHARE]) < 0.25
    monkeypatch.setenv(jax_launch.PREALLOCATE, "true")
    assert jax_launch.trainee_environment("same") == {jax_launch.PREALLOCATE: "true"}


class Child:
    """A child of `Trainees` without a process."""

    def __init__(self, code=None):
        self.code = code
        self.process = types.SimpleNamespace(poll=lambda: self.code)
        self.sent = []
        self.channel = types.SimpleNamespace(send=lambda kind, **fields: self.sent.append(kind))

    def how_it_ended(self):
        return f"ended with exit code {self.code}"


def test_a_group_in_which_one_has_ended_ends_when_the_first_does_not_say_why(monkeypatch):
    monkeypatch.setattr(trainees, "Child", lambda module, environment, rules: Child())
    group = trainees.Trainees("pytorch", 3, "same", confined.Confined(record=confined.NOTHING))
    group.send("go")
    assert [child.sent for child in group._children] == [["go"]] * 3
    group.check()
    group._children[2].code = -9
    group.check()
    monkeypatch.setattr(trainees, "LAST_WORDS_SEC", -1.0)
    with pytest.raises(channel.Gone):
        group.check()
    assert group.how_it_ended() == "ended with exit code -9 (number 2 of 3)"


@pytest.mark.parametrize(
    ("reason", "how", "kind", "error"),
    [
        ("process 1 (wrong input): no such thing", "wrong input", "refused", "no such thing"),
        ("process 1: Traceback", "", "ended", "process 1: Traceback"),
    ],
)
def test_the_first_of_a_group_says_why_another_has_failed(reason, how, kind, error):
    own, other = (channel.Channel(end) for end in socket.socketpair())
    trainee.Refereed(own).speaker(reason, how)
    message = other.receive()
    assert (message.kind, message.fields["error"]) == (kind, error)
    own.close()
    other.close()
