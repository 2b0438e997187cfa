"""Fixtures for tests of workloads."""

import pytest
from harness import FRAMEWORKS


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    return request.param


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    """Root of the data of mini workloads, which are made here once."""
    return tmp_path_factory.mktemp("data")
