"""What the harness asks of a backend or a launch instead of a framework's name."""

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
