"""A small prepared data set of pictures, made once."""

import dataclasses

import pytest

from algoperf import registry
from workloads.imagenet import data


def small_spec(**settings):
    """The mini ResNet with few images; `settings` replace entries of its `data`."""
    found = registry.get("imagenet_resnet_mini")
    return dataclasses.replace(
        found,
        num_train_examples=70,
        num_eval_train_examples=24,
        num_validation_examples=20,
        num_test_examples=12,
        data={**found.data.to_dict(), **settings},
    )


@pytest.fixture(scope="session")
def spec():
    return small_spec()


@pytest.fixture(scope="session")
def vit_spec():
    return small_spec(randaugment=True, mixup_alpha=0.2)


@pytest.fixture(scope="session")
def folder(spec, tmp_path_factory):
    place = tmp_path_factory.mktemp("imagenet") / "imagenet_mini"
    place.mkdir()
    data.synthesize(spec, place, progress=False)
    data.prepare(spec, place, progress=False)
    return place


@pytest.fixture
def raw_folder(folder, tmp_path):
    """A folder of its own with the archives only."""
    import shutil

    place = tmp_path / "imagenet_mini"
    shutil.copytree(folder / "raw", place / "raw")
    return place
