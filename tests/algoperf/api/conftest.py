"""Calls of `algoperf.api` whose trials are pretended, so that they take a tenth of a second each."""

import functools
import sys

import pytest
from harness import ROOT

from algoperf import adapter
from algoperf.adapter import here
from algoperf.api import engine
from campaign.execution import Options

PRETENDED = (sys.executable, "-S", str(ROOT / "tests" / "helpers" / "pretended_run.py"))


def adapted_here(what, *, framework=None, settings=None, root, search_space=None):
    """`adapter.as_submission` without a process of its own, which would import the framework once more."""
    return here.as_submission(what, framework, settings or {}, search_space, root)


@pytest.fixture
def pretended(tmp_path, monkeypatch):
    """The folder of results; trials write what they would have measured."""
    monkeypatch.setattr(engine, "Options", functools.partial(Options, trial_command=PRETENDED))
    monkeypatch.setattr(engine, "POLL_SEC", 0.01, raising=False)
    monkeypatch.setattr(adapter, "as_submission", adapted_here)
    monkeypatch.setenv("ALGOPERF_RESULTS", str(tmp_path / "results"))
    return tmp_path
