"""Code that is not the submission's and was replaced is noticed, without a referee, too (R3.13, R3.17, R3.20)."""

import functools
import importlib

import pytest
from harness import ROOT, command

from algoperf import evaluation, registry
from algoperf.run import clock, intact
from algoperf.spec import UsageError

REPLACED = {
    "pytorch": (
        "torch.nn.functional.relu",
        "torch.nn.modules.conv.Conv2d.forward",
        "torch.Tensor.backward",
        "torch.nn.modules.linear.F",
        "workloads.digits.model_torch.DigitsNet.forward",
        "algoperf.evaluation.Evaluator.evaluate_split",
        "algoperf.run.clock.SUBMISSION_BUCKETS",
        "numpy.mean",
    ),
    "jax": ("flax.linen.relu", "flax.linen.linear.Conv.__call__", "flax.linen.linear.promote_dtype"),
}
assert evaluation
assert clock


def found(name):
    """(what has it, its own name) of a dotted name."""
    parts = name.split(".")
    for end in range(len(parts) - 1, 0, -1):
        try:
            holder = importlib.import_module(".".join(parts[:end]))
        except ImportError:
            continue
        return functools.reduce(getattr, parts[end:-1], holder), parts[-1]
    raise AssertionError(name)


@pytest.mark.parametrize(
    ("framework", "name"), [(framework, name) for framework, names in REPLACED.items() for name in names]
)
def test_what_was_replaced_is_named(monkeypatch, framework, name):
    code = intact.Intact.of(registry.get("digits"), framework)
    assert code.replaced() == []
    monkeypatch.setattr(*found(name), lambda *arguments, **keywords: None)
    assert code.replaced() == [name]
    with pytest.raises(UsageError, match=name):
        code.check()


def test_the_insides_of_a_function_count_and_what_the_framework_puts_around_its_own_does_not(
    monkeypatch,
):
    import torch
    from torch.nn import functional

    code = intact.Intact.of(registry.get("digits"), "pytorch")
    monkeypatch.setattr(functional.dropout, "__defaults__", (0.0, True, False))
    monkeypatch.setattr(torch, "manual_seed", torch._disable_dynamo(torch.manual_seed))
    assert code.replaced() == ["torch.nn.functional.dropout"]
    monkeypatch.setattr(functional, "relu", torch._disable_dynamo(functional.gelu))
    assert code.replaced() == ["torch.nn.functional.dropout", "torch.nn.functional.relu"]


PATCHES = """
from .sgd_torch import *
from . import sgd_torch
from algoperf.evaluation import Evaluator


def patch():
    Evaluator.evaluate_split = lambda self, *arguments: {"loss": 0.0, "accuracy": 1.0}
"""
LATE = """

def update_params(**arguments):
    if arguments["global_step"]:
        patch()
    return sgd_torch.update_params(**arguments)
"""


@pytest.mark.parametrize(("end", "code"), [("\npatch()\n", 2), (LATE, 1)], ids=["imported", "trained"])
def test_a_trial_whose_submission_replaces_the_evaluator_ends(tmp_path, monkeypatch, capsys, end, code):
    monkeypatch.setattr(evaluation.Evaluator, "evaluate_split", evaluation.Evaluator.evaluate_split)
    (tmp_path / "sgd_torch.py").write_text((ROOT / "tests" / "helpers" / "sgd_torch.py").read_text())
    (tmp_path / "submission_torch.py").write_text(PATCHES + end)
    flags = {"workload": "digits", "submission": str(tmp_path), "framework": "pytorch", "trial": 1}
    flags["tuning_search_space"] = str(ROOT / "tests" / "helpers" / "tuning_search_space.json")
    assert command(tmp_path, **flags, max_global_steps=3, eval_every_steps=2) == code
    told = [capsys.readouterr().err, *(path.read_text() for path in tmp_path.rglob("summary.json"))]
    assert "algoperf.evaluation.Evaluator.evaluate_split" in "".join(told)
