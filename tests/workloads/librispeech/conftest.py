"""A little synthetic speech, written and prepared once per test session."""

import pytest
from librispeech_trees import small_spec

from workloads.librispeech import data


@pytest.fixture(scope="session")
def small():
    return small_spec()


@pytest.fixture(scope="session")
def folder(small, tmp_path_factory):
    """Raw and prepared files of `small`; tests leave them alone."""
    path = tmp_path_factory.mktemp("data") / "librispeech_mini"
    data.synthesize(small, path, progress=False)
    data.prepare(small, path, progress=False)
    return path
