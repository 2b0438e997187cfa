"""Folders with prepared molecules, made once."""

import pytest
from raw_molecules import MINI, SMALL, texts, write

from workloads.ogbg import data


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory):
    """Random graphs, prepared for `SMALL`."""
    place = tmp_path_factory.mktemp("ogbg-small")
    write(place, texts())
    data.prepare(SMALL, place, progress=False)
    return place


@pytest.fixture(scope="session")
def mini_folder(tmp_path_factory):
    """Some hundred synthesized molecules, prepared for `MINI`."""
    place = tmp_path_factory.mktemp("ogbg-mini")
    data.synthesize(MINI, place, progress=False)
    data.prepare(MINI, place, progress=False)
    return place
