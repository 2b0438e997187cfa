"""Fixtures for tests of workloads."""

import pytest
import quick
from harness import FRAMEWORKS


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    return request.param


@pytest.fixture(scope="session")
def data_dir(request, tmp_path_factory):
    """Root of the data of mini workloads, which are made here once."""
    if request.config.getoption("quick"):
        quick.refuse("makes data of whole workloads")
    return tmp_path_factory.mktemp("data")
