"""A submission that acts on all operations of PyTorch, so on those of evaluations, is refused (R3.13, R3.17)."""

import contextlib

import pytest
import torch
from harness import run_trial, submission
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from algoperf.backends import torch_process


class Calls(TorchFunctionMode):
    def __torch_function__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


class Operators(TorchDispatchMode):
    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        return function(*args, **(kwargs or {}))


@contextlib.contextmanager
def kernel(namespace, kind, text):
    with torch.library._scoped_library(namespace, kind) as own:
        if kind == "FRAGMENT":
            own.define(f"{text}(Tensor x) -> Tensor")
        own.impl(text, lambda x: x.clone(), "CPU")
        yield


@pytest.mark.filterwarnings("ignore:Warning only once for all operators")
@pytest.mark.parametrize(
    ("leaves", "words"),
    [
        pytest.param(Calls, "left Calls active", id="function mode"),
        pytest.param(Operators, "left Operators active", id="dispatch mode"),
        pytest.param(lambda: kernel("aten", "IMPL", "tanh"), "kernel of aten::tanh for CPU", id="kernel"),
        pytest.param(lambda: kernel("of_a_test", "FRAGMENT", "own"), None, id="operator of its own"),
        pytest.param(lambda: torch.device("cpu"), None, id="default device"),
    ],
)
def test_what_acts_on_all_operations_is_named_and_what_a_submission_adds_is_not(leaves, words):
    assert torch_process.tampering() is None
    with leaves():
        found = torch_process.tampering()
    assert found is None if words is None else words in found
    assert torch_process.tampering() is None


def test_a_mode_that_is_entered_in_the_middle_of_training_ends_the_trial(tmp_path):
    plain, modes = submission("pytorch"), []

    def update_params(*, global_step, **arguments):
        done = plain.module.update_params(global_step=global_step, **arguments)
        if global_step == 3:
            modes.append(Calls())
            modes[0].__enter__()
        return done

    try:
        found = run_trial(
            tmp_path, "pytorch", submission("pytorch", update_params=update_params), max_steps=5
        )
    finally:
        for mode in modes:
            mode.__exit__(None, None, None)
    assert found["status"] == "failed"
    assert "left Calls active" in found["error"]
