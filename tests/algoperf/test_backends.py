"""What the harness asks of a backend or a launch instead of a framework's name."""

import os

import numpy as np
import pytest
from harness import backend, digits, shared_workload

from algoperf import backends, spec
from algoperf.spec import UsageError


@pytest.mark.parametrize(
    ("framework", "good", "bad"),
    [("jax", ({"m": 1}, None), {"m": 1}), ("jax", ((), print), (1, 2, 3)), ("pytorch", {}, ({}, None))],
)
def test_an_optimizer_state_has_the_form_of_its_framework(framework, good, bad):
    backend(framework).check_optimizer_state(good)
    with pytest.raises(UsageError, match=rf"must return a .*, got {type(bad).__name__}\."):
        backend(framework).check_optimizer_state(bad)


def test_pytorch_models_are_compiled_where_it_pays_or_as_the_user_says(monkeypatch):
    torch_backend = backend("pytorch")
    for platform in ("cpu", "gpu"):
        monkeypatch.setattr(torch_backend, "platform", lambda platform=platform: platform)
        assert torch_backend.compiles_models(None) == (platform == "gpu")
        assert torch_backend.compiles_models(True)
        assert not torch_backend.compiles_models(False)
    assert not any(backend("jax").compiles_models(flag) for flag in (None, True, False)), (
        "with the step, if at all"
    )


def test_who_asks_pytorch_for_gradients_through_running_statistics_hears_of_its_own_way():
    model_fn = shared_workload(digits(), "pytorch").model_fn
    arguments = (None, {}, None, spec.ForwardPassMode.TRAIN, None)
    with pytest.raises(
        ValueError, match=r"goes with JAX only; in PyTorch, call \.eval\(\) on the batch-norm layers"
    ):
        model_fn(*arguments, update_batch_norm=False, use_running_average_bn=True)


def test_torchrun_tells_pytorch_alone_that_there_are_other_processes(monkeypatch):
    for name in ("LOCAL_RANK", "LOCAL_WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    assert not backends.launch("pytorch").is_launched()
    assert backend("pytorch").processes_on_host() == 1
    monkeypatch.setenv("LOCAL_RANK", "0")
    monkeypatch.setenv("LOCAL_WORLD_SIZE", "4")
    assert backends.launch("torch").is_launched()
    assert backend("pytorch").processes_on_host() == 4
    assert not backends.launch("jax").is_launched()
    assert backend("jax").processes_on_host() == 1


@pytest.fixture
def show_gpu(monkeypatch):
    """show_gpu(True) makes this machine one with an NVIDIA device that nothing hides, show_gpu(False) one without."""
    exists = os.path.exists
    for name in ("CUDA_VISIBLE_DEVICES", "JAX_PLATFORMS"):
        monkeypatch.delenv(name, raising=False)

    def show(is_there):
        monkeypatch.setattr(
            os.path, "exists", lambda path: is_there if path == "/dev/nvidia0" else exists(path)
        )

    return show


@pytest.mark.parametrize(
    ("hidden_by", "is_seen"),
    [
        ({}, True),
        ({"CUDA_VISIBLE_DEVICES": ""}, False),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, False),
        ({"CUDA_VISIBLE_DEVICES": "0"}, True),
        ({"JAX_PLATFORMS": "cpu"}, False),
        ({"JAX_PLATFORMS": "cuda"}, True),
    ],
    ids=str,
)
def test_a_gpu_is_seen_unless_it_was_hidden_on_purpose(show_gpu, monkeypatch, hidden_by, is_seen):
    for name, value in hidden_by.items():
        monkeypatch.setenv(name, value)
    show_gpu(True)
    assert backends.has_nvidia_gpu() == is_seen
    show_gpu(False)
    assert not backends.has_nvidia_gpu()


@pytest.mark.parametrize(
    ("found", "wanted", "has_gpu", "words"),
    [
        ("cpu", "auto", True, "has an NVIDIA GPU, but jax found only the CPU"),
        ("cpu", "auto", False, None),
        ("gpu", "auto", True, None),
        ("cpu", "cpu", True, None),
        ("gpu", "gpu", True, None),
        ("cpu", "gpu", True, "--device=gpu was asked for, but jax runs on 'cpu' here"),
        ("gpu", "cpu", True, "--device=cpu was asked for, but jax runs on 'gpu' here"),
        ("tpu", "auto", False, None),
    ],
)
def test_a_run_is_never_on_another_device_than_it_was_told(show_gpu, found, wanted, has_gpu, words):
    show_gpu(has_gpu)
    if words is None:
        backends.check_device(found, wanted, "jax")
    else:
        with pytest.raises(UsageError, match=words):
            backends.check_device(found, wanted, "jax")


def test_a_scalar_of_the_framework_is_taken_and_one_of_another_class_is_not(framework):
    frame = backend(framework)
    if framework == "jax":
        import jax.numpy as arrays

        class Other:
            size, dtype, shape = 1, np.dtype(np.float32), ()

        other = Other()
    else:
        import torch as arrays

        class Own(arrays.Tensor):
            pass

        other = arrays.ones(()).as_subclass(Own)
    assert frame.to_float(frame.scalar(arrays.ones((1, 1)))) == 1.0
    assert [frame.scalar(one) for one in (other, arrays.ones(2), 1.0, arrays.ones(()) * 1j)] == [None] * 4


def test_a_tensor_that_changes_after_it_was_taken_is_what_it_was():
    import torch

    frame = backend("pytorch")
    value = torch.zeros(())
    taken = frame.scalar(value)
    value += 1
    value.item = value.detach = None  # Whatever was hung on it is not called.
    assert frame.to_float(taken) == 0.0
    assert frame.to_float(frame.scalar(value)) == 1.0
