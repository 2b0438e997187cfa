"""The mini workload's raw volumes."""

import dataclasses
import hashlib

import h5py
import numpy as np
import pytest

from algoperf import registry
from workloads.fastmri import data, synthesis

CHECKSUM = "5686d388c9987356f9a884922976b7fc0e76c1d658a588f9b66ad6a636c2978f"


@pytest.fixture(scope="module")
def spec():
    facts = {"num_train_examples": 19, "num_eval_train_examples": 8}
    few = {"num_validation_examples": 8, "num_test_examples": 5}
    return dataclasses.replace(registry.get("fastmri_mini"), **facts, **few)


def content(folder):
    return {path.relative_to(folder): path.read_bytes() for path in sorted(folder.rglob("*.*"))}


def test_volumes_are_the_same_on_every_machine():
    digest = hashlib.sha256()
    for number in (0, 1, 170):
        for array in synthesis.make_volume(number, 8, 64):
            digest.update(np.ascontiguousarray(array).tobytes())
    assert digest.hexdigest() == CHECKSUM


def test_the_target_is_the_image_of_all_of_kspace():
    from fastmri_volumes import plain_image

    kspace, target = synthesis.make_volume(3, 2, 64)
    for one, image in zip(kspace, target, strict=True):
        wanted = plain_image(one, np.arange(one.shape[1]), 64)
        np.testing.assert_allclose(image, wanted, atol=1e-3 * target.max())


def test_an_interrupted_synthesis_ends_with_the_same_bytes(spec, tmp_path, monkeypatch):
    data.synthesize(spec, tmp_path / "whole", progress=False)
    write, calls = synthesis.write_volume, []

    def stop_at_third(path, *arrays):
        calls.append(path)
        if len(calls) == 3:
            path.write_bytes(b"half a file")
            raise KeyboardInterrupt
        write(path, *arrays)

    monkeypatch.setattr(synthesis, "write_volume", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        data.synthesize(spec, tmp_path / "parts", progress=False)
    assert len(list((tmp_path / "parts").rglob("*.h5"))) == 2
    data.synthesize(spec, tmp_path / "parts", progress=False)
    wanted = content(tmp_path / "whole")
    assert len([name for name in wanted if name.suffix == ".h5"]) == 3 + 1 + 1
    assert content(tmp_path / "parts") == wanted


def test_other_numbers_of_slices_are_noticed_and_made(spec, tmp_path):
    data.synthesize(spec, tmp_path, progress=False)
    data.prepare(spec, tmp_path, progress=False)
    assert data.is_ready(spec, tmp_path)
    other = dataclasses.replace(spec, num_test_examples=3)
    assert not data.is_ready(other, tmp_path)
    data.synthesize(other, tmp_path, progress=False)
    data.prepare(other, tmp_path, progress=False)
    assert data.verify(other, tmp_path, progress=False) == {
        "train": {"volumes": 3, "slices": 19},
        "validation": {"volumes": 1, "slices": 8},
        "test": {"volumes": 1, "slices": 3},
    }
    with h5py.File(next((tmp_path / "raw" / "knee_singlecoil_val").glob("*.h5"))) as volume:
        assert volume["kspace"].dtype == np.complex64
        assert volume["kspace"].shape[2] in synthesis.widths(64)
