"""A small prepared corpus, made once per test session."""

import dataclasses
from pathlib import Path

import pytest

from algoperf import registry
from algoperf.workload import WorkloadSpec
from workloads.wmt import data


def small_spec(**facts: int) -> WorkloadSpec:
    """wmt_mini with a corpus that is made in a second."""
    sizes = {"num_train_examples": 1_500, "num_validation_examples": 60, "num_test_examples": 50}
    return dataclasses.replace(registry.get("wmt_mini"), **{**sizes, "num_eval_train_examples": 40, **facts})


@pytest.fixture(scope="session")
def small() -> WorkloadSpec:
    return small_spec()


@pytest.fixture(scope="session")
def folder(small: WorkloadSpec, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Raw and prepared files of `small`; tests leave them alone."""
    path = tmp_path_factory.mktemp("data") / "wmt_mini"
    data.synthesize(small, path, progress=False)
    data.prepare(small, path, progress=False)
    return path
