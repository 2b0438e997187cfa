"""Fixtures for tests of the harness."""

import functools

import pytest
from harness import FRAMEWORKS, run_trial


@pytest.fixture(params=FRAMEWORKS)
def framework(request):
    """Each test that takes this runs in JAX and in PyTorch."""
    return request.param


@pytest.fixture(scope="session")
def compiled(tmp_path_factory):
    """compiled(framework) returns once everything that SGD on digits needs is compiled, for tests that time things."""

    @functools.cache
    def get(framework):
        run_trial(
            tmp_path_factory.mktemp(f"compiled_{framework}"), framework, max_steps=2, eval_every_steps=1
        )

    return get


@pytest.fixture
def warm_framework(framework, compiled):
    """Each framework, with its steps compiled."""
    compiled(framework)
    return framework
