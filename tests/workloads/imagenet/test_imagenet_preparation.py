"""From archives to records: layout, labels, resumption, damage."""

import dataclasses
import hashlib
import io
import json
import shutil
import tarfile

import numpy as np
import pytest
from PIL import Image

from algoperf.data import download as shared_download
from algoperf.data import manifest as manifests
from algoperf.data.prepared import num_examples
from algoperf.spec import UsageError
from workloads.imagenet import array_records, data, jpeg, preparation, sources, synthesis


def files_of(folder):
    """Path -> content of everything that was prepared."""
    paths = [path for path in sorted(folder.rglob("*")) if path.is_file() and "raw" not in path.parts]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths if path.name[0] != "."}


def members_of(path):
    with tarfile.open(path) as archive:
        return [(member.name, archive.extractfile(member).read()) for member in archive]


def replace_image(folder, split, change):
    """Changes the content of the first image of a split's archive; returns the image's name."""
    path = folder / "raw" / sources.ARCHIVES[split]
    members = members_of(path)
    if split == "train":
        with tarfile.open(fileobj=io.BytesIO(members[0][1])) as inner:
            images = [(member.name, inner.extractfile(member).read()) for member in inner]
        images[0] = (images[0][0], change(images[0][1]))
        members[0] = (members[0][0], synthesis._tar(images))
        name = images[0][0]
    else:
        members[0] = (members[0][0], change(members[0][1]))
        name = members[0][0]
    path.write_bytes(synthesis._tar(members))
    return name


@pytest.fixture
def written(monkeypatch):
    """Names of the shards that are written from here on."""
    names = []
    real = array_records.write_shard

    def write_shard(path, examples):
        real(path, examples)
        names.append(path.name)

    monkeypatch.setattr(array_records, "write_shard", write_shard)
    return names


def test_folders_can_be_read_by_tfds(spec, folder):
    with array_records.tfds_quietly() as tfds:
        train = tfds.data_source("imagenet2012:5.1.0", split="train", data_dir=folder)
        test = tfds.data_source("imagenet_v2/matched-frequency:3.0.0", split="test", data_dir=folder)
        assert (len(train), len(test)) == (70, 12)
        example = train[69]
        info = tfds.builder_from_directory(folder / "imagenet2012" / "5.1.0").info
        assert info.features["label"].names[15] == "n90000015"
    assert example["label"] == 15
    assert example["file_name"].startswith(b"n90000015_")
    own = jpeg.decode(preparation.load_split(folder, "train").jpeg(69))
    np.testing.assert_array_equal(example["image"], own)


def test_labels_are_ranks_of_wnids_and_follow_the_list_for_validation(spec, folder):
    wanted = {split: synthesis.labels_of(split, size, 16) for split, size in num_examples(spec).items()}
    for split, labels in wanted.items():
        np.testing.assert_array_equal(preparation.load_split(folder, split).labels, labels)


def test_records_hold_the_images_of_the_archives(spec, folder):
    own = preparation.load_split(folder, "validation")
    archive = dict(members_of(folder / "raw" / sources.ARCHIVES["validation"]))
    for index in (0, 7, 19):
        assert bytes(own.jpeg(index)) == archive[f"ILSVRC2012_val_{index + 1:08d}.JPEG"]


def test_records_that_do_not_fit_in_the_cache_are_read_each_time(folder, monkeypatch):
    cached = preparation.load_split(folder, "train")
    monkeypatch.setattr(array_records, "CACHE_BYTES", 0)
    shards = array_records.read_metadata(folder, "imagenet2012")["train"]
    direct = array_records.Records(shards, np.load(folder / "train_index.npy"))
    for index in (0, 17, 18, 69):
        assert bytes(direct.jpeg(index)) == bytes(cached.jpeg(index))


def test_interrupted_preparation_continues_to_the_same_bytes(spec, folder, raw_folder, monkeypatch, written):
    wanted = files_of(folder)
    for stop_at in (
        "imagenet2012-train.array_record-00002-of-00004",
        "imagenet_v2-test.array_record-00001-of-00004",
    ):
        real = sources.read

        def read(path, members, start, stop, stop_at=stop_at, real=real):
            for number, item in enumerate(real(path, members, start, stop)):
                if number == 2 and any(place.name == f".{stop_at}.tmp" for place in raw_folder.rglob("*")):
                    raise KeyboardInterrupt
                yield item

        with monkeypatch.context() as patch:
            patch.setattr(sources, "read", read)
            with pytest.raises(KeyboardInterrupt):
                data.prepare(spec, raw_folder, progress=False)
        assert not data.is_ready(spec, raw_folder)
    data.prepare(spec, raw_folder, progress=False)
    assert len(written) == len(set(written)) == 12, "what was written once is not written again"
    assert data.is_ready(spec, raw_folder)
    assert files_of(raw_folder) == wanted


def test_an_index_that_was_begun_is_continued(spec, folder, raw_folder, monkeypatch):
    real, calls = array_records.index_shard, []

    def index_shard(path):
        calls.append(path.name)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(path)

    monkeypatch.setattr(array_records, "index_shard", index_shard)
    with pytest.raises(KeyboardInterrupt):
        data.prepare(spec, raw_folder, progress=False)
    data.prepare(spec, raw_folder, progress=False)
    assert len(calls) == 13
    assert files_of(raw_folder) == files_of(folder)


def test_worker_processes_write_the_same_files(spec, folder, raw_folder, monkeypatch):
    monkeypatch.setattr(preparation, "MAX_BYTES_IN_PROCESS", 0)
    monkeypatch.setattr(preparation, "MIN_SHARDS", 1)
    data.prepare(spec, raw_folder, progress=False)
    one = {name: entry for name, entry in manifests.read(raw_folder)["splits"].items()}
    assert {split: counts["images"] for split, counts in one.items()} == {
        "train": 70,
        "validation": 20,
        "test": 12,
    }
    np.testing.assert_array_equal(
        np.load(raw_folder / "train_index.npy"), np.load(folder / "train_index.npy")
    )


def test_folders_that_tfds_prepared_need_no_archives(spec, folder, tmp_path):
    for name in ("imagenet2012", "imagenet_v2"):
        shutil.copytree(folder / name, tmp_path / name)
    data.prepare(spec, tmp_path, progress=False)
    assert data.verify(spec, tmp_path, progress=False) == data.verify(spec, folder, progress=False)


def test_a_tfds_folder_in_another_format_is_refused(spec, folder, tmp_path):
    shutil.copytree(folder / "imagenet2012", tmp_path / "imagenet2012")
    info = tmp_path / "imagenet2012" / "5.1.0" / "dataset_info.json"
    content = json.loads(info.read_text())
    info.write_text(json.dumps({**content, "fileFormat": "tfrecord"}))
    with pytest.raises(UsageError, match=r"is in the format 'tfrecord'; only ArrayRecord can be read"):
        data.prepare(spec, tmp_path, progress=False)
    content["splits"] = [split for split in content["splits"] if split["name"] == "train"]
    info.write_text(json.dumps(content))
    with pytest.raises(UsageError, match=r"has no split 'validation', only train"):
        data.prepare(spec, tmp_path, progress=False)


def test_verify_finds_a_changed_byte_and_preparation_repairs_it(spec, folder, raw_folder):
    data.prepare(spec, raw_folder, progress=False)
    counts = data.verify(spec, raw_folder, progress=False)
    assert counts["train"]["images"] == 70
    shard = raw_folder / "imagenet2012" / "5.1.0" / "imagenet2012-train.array_record-00001-of-00004"
    content = bytearray(shard.read_bytes())
    content[len(content) // 2] ^= 1
    shard.write_bytes(content)
    with pytest.raises(
        UsageError, match=r"Damaged in .*: .*train\.array_record-00001.*Delete them, then: python"
    ):
        data.verify(spec, raw_folder, progress=False)
    shard.unlink()
    assert not data.is_ready(spec, raw_folder)
    data.prepare(spec, raw_folder, progress=False)
    assert files_of(raw_folder) == files_of(folder)


def test_other_settings_are_noticed(spec, folder):
    assert data.is_ready(spec, folder)
    assert data.is_ready(dataclasses.replace(spec, eval_batch_size=3), folder)
    assert not data.is_ready(dataclasses.replace(spec, num_test_examples=11), folder)
    with pytest.raises(UsageError, match=r"No prepared data for 'imagenet_resnet_mini'.*dataset_setup\.py"):
        data.train_stream(dataclasses.replace(spec, num_test_examples=11), folder, 0, 8)


# ---- what archives may hold ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "validation", "test"])
def test_a_truncated_jpeg_is_refused_by_archive_and_name(spec, raw_folder, split):
    name = replace_image(raw_folder, split, lambda content: content[: len(content) // 2])
    name = "/".join(name.split("/")[-2:])
    with pytest.raises(
        UsageError, match=rf"{name} in .*{sources.ARCHIVES[split]} is no complete JPEG image \(Pre"
    ):
        data.prepare(spec, raw_folder, progress=False)


def test_all_bad_images_are_looked_for_and_no_shard_is_half_written(spec, raw_folder):
    for split in ("train", "validation", "test"):
        replace_image(raw_folder, split, lambda content: content[: len(content) // 2])
    with pytest.raises(UsageError, match=r"^3 raw files cannot be used\. ") as raised:
        data.prepare(spec, raw_folder, progress=False)
    for archive in sources.ARCHIVES.values():
        assert f"in {raw_folder / 'raw' / archive} is no complete JPEG image" in str(raised.value)
    assert not list(raw_folder.rglob("*.tmp"))


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
def test_a_jpeg_cut_after_any_number_of_bytes_is_refused_by_name(mode):
    content = encoded(np.zeros((16, 16, 3), np.uint8), mode, "JPEG")
    for size in range(len(content)):
        with pytest.raises(UsageError, match=r"^image\.JPEG is no complete JPEG image"):
            jpeg.checked(content[:size], "image.JPEG")


def test_what_is_no_image_is_refused(spec, raw_folder):
    replace_image(raw_folder, "train", lambda content: b"<html>")
    with pytest.raises(UsageError, match=r"n90000000_0\.JPEG in .* is no complete JPEG image"):
        data.prepare(spec, raw_folder, progress=False)


def encoded(pixels, mode, form):
    stream = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(stream, form)
    return stream.getvalue()


@pytest.mark.parametrize(("mode", "form"), [("CMYK", "JPEG"), ("RGB", "PNG"), ("L", "PNG")])
def test_other_formats_become_rgb_jpegs(mode, form):
    pixels = np.asarray(Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).resize((40, 32)))
    content = encoded(pixels, mode, form)
    made = jpeg.checked(content, "here")
    with Image.open(io.BytesIO(made)) as image:
        assert (image.format, image.mode) == ("JPEG", "RGB")
    wanted = np.asarray(Image.open(io.BytesIO(content)).convert("RGB"), int)
    assert np.abs(jpeg.decode(made) - wanted).mean() < 3


def test_grey_images_and_recoverable_damage_are_left_alone():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    grey = encoded(pixels, "L", "JPEG")
    assert jpeg.checked(grey, "here") is grey
    decoded = jpeg.decode(grey)
    assert decoded.shape == (32, 40, 3)
    assert (decoded[..., 0] == decoded[..., 2]).all()
    damaged = bytearray(jpeg.encode(pixels))
    damaged[-60:-50] = bytes(range(10, 110, 10))
    damaged = bytes(damaged)
    assert jpeg.checked(damaged, "here") is damaged
    assert jpeg.decode(damaged).shape == (32, 40, 3)


def test_decoding_uses_the_memory_it_is_given_if_it_is_large_enough():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 40, 3), dtype=np.uint8)
    content = jpeg.encode(pixels)
    memory = np.empty(32 * 40 * 3 + 7, np.uint8)
    assert np.shares_memory(jpeg.decode(content, memory), memory)
    small = np.empty(100, np.uint8)
    np.testing.assert_array_equal(jpeg.decode(content, small), jpeg.decode(content, memory))
    with pytest.raises(ValueError, match="JPEG"):
        jpeg.decode(b"nothing", memory)


def test_an_archive_that_is_cut_short_is_refused(spec, raw_folder):
    path = raw_folder / "raw" / sources.ARCHIVES["validation"]
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(UsageError, match=r"ILSVRC2012_img_val\.tar is damaged .*Put a complete copy there"):
        data.prepare(spec, raw_folder, progress=False)


def test_a_gzip_archive_that_is_cut_short_is_refused(spec, raw_folder):
    path = raw_folder / "raw" / sources.ARCHIVES["test"]
    path.write_bytes(path.read_bytes()[:20_000])
    with pytest.raises(UsageError, match=r"imagenetv2-matched-frequency\.tar\.gz is damaged"):
        data.prepare(spec, raw_folder, progress=False)


def test_missing_archives_are_named_with_the_command(spec, raw_folder):
    (raw_folder / "raw" / sources.ARCHIVES["test"]).unlink()
    with pytest.raises(
        UsageError, match=r"tar\.gz is missing\. To get and .*dataset_setup\.py --dataset=imagenet_mini"
    ):
        data.prepare(spec, raw_folder, progress=False)


def test_numbers_of_classes_and_images_are_checked(spec, raw_folder):
    settings = {**spec.data.to_dict(), "num_classes": 12}
    with pytest.raises(UsageError, match=r"img_train\.tar holds 16 classes; 12 are expected"):
        data.prepare(dataclasses.replace(spec, data=settings), raw_folder, progress=False)
    with pytest.raises(UsageError, match=r"img_train\.tar holds 70 images; 71 are expected"):
        data.prepare(dataclasses.replace(spec, num_train_examples=71), raw_folder, progress=False)


def test_labels_that_do_not_fit_are_refused(spec, raw_folder):
    labels = raw_folder / "raw" / sources.VALIDATION_LABELS
    lines = labels.read_text().splitlines()
    labels.write_text("\n".join(lines[:-1]))
    with pytest.raises(UsageError, match=r"holds 20 images; .*labels\.txt has 19 labels"):
        data.prepare(spec, raw_folder, progress=False)
    labels.write_text("\n".join([*lines[:-1], "n00000001"]))
    with pytest.raises(UsageError, match=r"labels\.txt names n00000001, a class without training images"):
        data.prepare(spec, raw_folder, progress=False)
    labels.unlink()  # Then TFDS's list for the real images counts.
    with pytest.raises(UsageError, match=r"holds 20 images; .*validation_labels\.txt has 50,000 labels"):
        data.prepare(spec, raw_folder, progress=False)


def test_foreign_members_are_refused(spec, raw_folder):
    raw = raw_folder / "raw"
    train = members_of(raw / sources.ARCHIVES["train"])
    (raw / sources.ARCHIVES["train"]).write_bytes(synthesis._tar([*train, ("notes.txt", b"hello")]))
    with pytest.raises(UsageError, match=r"img_train\.tar holds 'notes\.txt'; only archives of one class"):
        data.prepare(spec, raw_folder, progress=False)
    (raw / sources.ARCHIVES["train"]).write_bytes(synthesis._tar(train))
    test = members_of(raw / sources.ARCHIVES["test"])
    (raw / sources.ARCHIVES["test"]).write_bytes(synthesis._tar([*test, ("val/16/x.jpeg", b"")]))
    with pytest.raises(UsageError, match=r"holds 'val/16/x\.jpeg'; folders are class numbers from 0 to 15"):
        data.prepare(spec, raw_folder, progress=False)


def test_a_full_disk_is_noticed_before_anything_is_written(spec, raw_folder, monkeypatch):
    usage = type("Usage", (), {"free": 1_000})
    monkeypatch.setattr(shared_download.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(UsageError, match=r"This needs .* only 0\.0 GB are free"):
        data.prepare(spec, raw_folder, progress=False)
    assert not list(raw_folder.rglob("*array_record*"))


def test_the_manifest_holds_checksums_of_every_file(folder):
    manifest = manifests.read(folder)
    for name, entry in manifest["files"].items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == entry["sha256"]
    assert len(manifest["files"]) == 3 * (4 + 1)
