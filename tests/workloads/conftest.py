"""Fixtures for tests of the harness."""

import pytest
from harness import FRAMEWORKS


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    """Each test that takes this runs in JAX and in PyTorch."""
    return request.param
