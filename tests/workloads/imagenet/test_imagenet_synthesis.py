"""The pictures of the mini data set, and the archives that hold them."""

import dataclasses
import tarfile

import numpy as np
import pytest

from algoperf import registry
from algoperf.spec import UsageError
from workloads.imagenet import data, jpeg, scenes, sources, synthesis

FEW = {"train": 32, "validation": 8, "test": 8}
CHECKSUM = "102aa03b3d2d3a7655b8888a32495a6615136b676b2593fdb4147f2fe38d2e99"
PIXEL_SUM = 908_020


def test_the_pictures_are_the_same_bytes_on_every_machine():
    assert synthesis.checksum(FEW, 16, 64) == CHECKSUM
    pixels = scenes.draw(5, scenes.NUISANCE["train"], 64, [1, 2, 3])
    assert int(pixels.astype(np.int64).sum()) == PIXEL_SUM


def test_classes_are_all_combinations_and_neither_part_tells_them_alone():
    parts = [scenes.parts_of(label) for label in range(scenes.NUM_CLASSES)]
    assert len(set(parts)) == 16
    for column in zip(*parts, strict=True):
        counts = np.bincount(column)
        assert (counts == 16 // len(counts)).all()


def test_splits_show_different_pictures_and_the_test_split_is_noisier():
    pixels = {
        split: np.stack([jpeg.decode(synthesis.picture(split, index, 3, 32)) for index in range(40)])
        for split in FEW
    }
    assert (pixels["train"] != pixels["validation"]).any(axis=(1, 2, 3)).all()

    def grain(images):
        return np.abs(np.diff(images.astype(int), axis=2)).mean()

    assert grain(pixels["test"]) > grain(pixels["validation"])


def test_labels_are_even_and_only_training_is_sorted():
    for split in ("train", "validation", "test"):
        labels = synthesis.labels_of(split, 50, 16)
        assert set(np.bincount(labels, minlength=16)) <= {3, 4}
        assert (np.diff(labels) >= 0).all() == (split == "train")


def test_archives_are_laid_out_as_the_published_ones(folder):
    raw = folder / "raw"
    with tarfile.open(raw / sources.ARCHIVES["train"]) as archive:
        names = archive.getnames()
        assert names == [f"n{90_000_000 + label}.tar" for label in range(16)]
        with tarfile.open(fileobj=archive.extractfile(names[3])) as images:
            assert all(name.startswith("n90000003_") and name.endswith(".JPEG") for name in images.getnames())
    with tarfile.open(raw / sources.ARCHIVES["validation"]) as archive:
        assert archive.getnames()[0] == "ILSVRC2012_val_00000001.JPEG"
    with tarfile.open(raw / sources.ARCHIVES["test"], "r:gz") as archive:
        folder_name, label, image = archive.getnames()[0].split("/")
        assert folder_name == "imagenetv2-matched-frequency-format-val"
        assert int(label) in range(16)
        assert image.endswith(".jpeg")


def test_the_same_archives_are_left_alone_and_others_are_replaced(spec, raw_folder):
    archive = raw_folder / "raw" / sources.ARCHIVES["train"]
    before = archive.stat().st_mtime_ns, archive.read_bytes()
    data.synthesize(spec, raw_folder, progress=False)
    assert archive.stat().st_mtime_ns == before[0]
    (raw_folder / "manifest.json").write_text("{}")
    fewer = dataclasses.replace(spec, num_train_examples=32)
    data.synthesize(fewer, raw_folder, progress=False)
    assert len(archive.read_bytes()) < len(before[1])
    assert not (raw_folder / "manifest.json").exists()
    assert not data.is_ready(spec, raw_folder)
    data.synthesize(spec, raw_folder, progress=False)
    assert archive.read_bytes() == before[1]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"num_classes": 17}, "Pictures of 17 classes cannot be made; choose from 2 to 16"),
        ({"train": 3}, "3 training images are too few for 16 classes"),
    ],
)
def test_what_cannot_be_drawn_is_refused(spec, tmp_path, changes, message):
    settings = {**spec.data.to_dict(), "num_classes": changes.get("num_classes", 16)}
    other = dataclasses.replace(spec, data=settings, num_train_examples=changes.get("train", 70))
    with pytest.raises(UsageError, match=message):
        data.synthesize(other, tmp_path, progress=False)


def test_both_families_share_the_mini_data():
    one, two = (
        data.DATA.config(registry.get(name)) for name in ("imagenet_resnet_mini", "imagenet_vit_mini")
    )
    assert one == two
