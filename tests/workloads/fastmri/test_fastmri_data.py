"""From HDF5 volumes to batches: what comes out, and what happens where files are wrong."""

import dataclasses
import json
import multiprocessing
import shutil

import h5py
import numpy as np
import pytest
from fastmri_volumes import place, plain_example, random_volume, small_spec, write

from algoperf import registry
from algoperf.data import locate, manifest
from algoperf.data.prepared import num_examples
from algoperf.spec import UsageError
from workloads.fastmri import catalog, data, masks, slice_cache, volumes


@pytest.fixture(scope="session")
def real_size(tmp_path_factory):
    """Spec, folder and raw arrays of volumes in real size, with either width, in one piece and compressed."""
    folder = tmp_path_factory.mktemp("fastmri")
    rng = np.random.default_rng(0)
    arrays = {"train": [], "val": []}
    layout = [("train", 368, {}), ("train", 372, {"compression": "lzf"}), ("val", 372, {}), ("val", 368, {})]
    for number, (part, num_columns, options) in enumerate(layout):
        kspace, target = random_volume(rng, 2 - number // 3, 320, num_columns)
        write(place(folder, part, f"file{number}.h5"), kspace, target, **options)
        arrays[part].append((kspace, target))
    spec = small_spec(4, 2, 1, validation_volumes=1, cache_gigabytes=0.0)
    data.prepare(spec, folder, progress=False)
    return spec, folder, arrays


def flat(arrays):
    return [
        (one, image, target.max())
        for kspace, target in arrays
        for one, image in zip(kspace, target, strict=True)
    ]


@pytest.mark.parametrize("split", ["validation", "test"])
def test_evaluation_batches_are_those_of_the_definition(real_size, split):
    spec, folder, arrays = real_size
    wanted = flat(arrays["val"][:1] if split == "validation" else arrays["val"][1:])
    (batch,) = data.eval_batches(spec, folder, split, 3)
    assert batch["weights"].tolist() == [1.0] * len(wanted) + [0.0] * (3 - len(wanted))
    for row, (kspace, target, maximum) in enumerate(wanted):
        columns = masks.eval_columns(kspace.shape[1], 0.08, 4.0)
        inputs, targets, mean, std = plain_example(kspace, target, columns)
        np.testing.assert_allclose(batch["inputs"][row], inputs, atol=1e-5)
        np.testing.assert_allclose(batch["targets"][row], targets, atol=1e-5)
        np.testing.assert_allclose([batch["mean"][row], batch["std"][row]], [mean, std], rtol=1e-5)
        assert batch["volume_max"][row] == maximum
    for key, value in batch.items():
        assert value.dtype == np.float32
        assert not value[len(wanted) :].any(), f"padding of {key} is zero"


def test_training_batches_have_one_mask_per_slice_and_seed(real_size):
    spec, folder, arrays = real_size
    slices = flat(arrays["train"])
    stream = data.train_stream(spec, folder, 5, 4)
    first, second = next(stream), next(stream)
    order = [
        int(np.argmin([abs(batch["volume_max"][row] - maximum) for _, _, maximum in slices]))
        for batch in (first, second)
        for row in range(4)
    ]
    assert set(order) == {0, 2}, "volumes are told apart by their maximum"
    found = sorted(map(bytes, first["inputs"]))
    assert found == sorted(map(bytes, second["inputs"])), "the second epoch has the same images"
    for index, (kspace, target, _) in enumerate(slices):
        columns = masks.train_columns(5, index, kspace.shape[1], 0.08, 4.0)
        inputs, targets, _, _ = plain_example(kspace, target, columns)
        row = int(np.argmin([np.abs(one - inputs).max() for one in first["inputs"]]))
        np.testing.assert_allclose(first["inputs"][row], inputs, atol=1e-5)
        np.testing.assert_allclose(first["targets"][row], targets, atol=1e-5)


def test_training_is_evaluated_with_masks_that_no_seed_changes(real_size):
    spec, folder, arrays = real_size
    (batch,) = data.eval_batches(spec, folder, "eval_train", 4)
    for row, (kspace, target, _) in enumerate(flat(arrays["train"])):
        columns = masks.train_columns(data.EVAL_TRAIN_SEED, row, kspace.shape[1], 0.08, 4.0)
        np.testing.assert_allclose(batch["inputs"][row], plain_example(kspace, target, columns)[0], atol=1e-5)


# ---- the cache of a run ----------------------------------------------------------------------------------------------


def test_batches_are_the_same_with_and_without_cache_and_with_one_worker(data_dir, monkeypatch):
    spec = registry.get("fastmri_mini")
    counts = dict.fromkeys(("num_train_examples", "num_validation_examples", "num_test_examples"), 16)
    spec = dataclasses.replace(spec, num_eval_train_examples=16, **counts)
    folder = data_dir / "few"
    data.synthesize(spec, folder, progress=False)
    data.prepare(spec, folder, progress=False)
    streams = {}
    for gigabytes in (0.0, 1.0, 10 * 4096e-9 * 4):  # None, all, and a part of the slices.
        settings = spec.data.as_configdict().to_dict() | {"cache_gigabytes": gigabytes}
        limited = dataclasses.replace(spec, data=settings)
        streams[gigabytes] = data.train_stream(limited, folder, 1, 8)
    monkeypatch.setattr(data, "MAX_WORKERS", 1)
    streams["one worker"] = data.train_stream(spec, folder, 1, 8)
    for _ in range(5):
        batches = [next(stream) for stream in streams.values()]
        for batch in batches[1:]:
            for key, value in batches[0].items():
                np.testing.assert_array_equal(batch[key], value)
    assert len(list((folder / "cache").glob("*.slices"))) == 1, "equal runs share their cache"
    streams.clear()
    assert not list((folder / "cache").glob("*.slices")), "the last user removes it"


def test_a_cache_returns_what_was_put_in_and_knows_its_limit(tmp_path):
    cache = slice_cache.SliceCache(tmp_path, "key", 3, 1024, 3 + 2 * 4096)
    assert cache.num_kept == 2
    record, out = np.arange(1024, dtype=np.float32), np.empty(1024, np.float32)
    for index in range(3):
        assert not cache.get(index, out)
        cache.put(index, record + index)
    assert [cache.get(index, out) for index in (0, 1, 2)] == [True, True, False]
    cache.get(1, out)
    np.testing.assert_array_equal(out, record + 1)
    other = slice_cache.SliceCache(tmp_path, "other key", 3, 1024, 1 << 20)
    assert not other.get(1, out)
    cache.close()
    assert not cache.get(1, out)
    assert len(list(tmp_path.iterdir())) == 1
    other.close()
    assert not list(tmp_path.iterdir())


def _fill_and_report(folder, connection):
    cache = slice_cache.SliceCache(folder, "key", 2, 1024, 1 << 20)
    cache.put(1, np.full(1024, 7, np.float32))
    connection.send("done")
    connection.recv()


def test_processes_share_a_cache_and_what_a_killed_one_leaves_is_removed(tmp_path):
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_fill_and_report, args=(tmp_path, theirs))
    process.start()
    assert ours.recv() == "done"
    cache = slice_cache.SliceCache(tmp_path, "key", 2, 1024, 1 << 20)
    out = np.empty(1024, np.float32)
    assert cache.get(1, out)
    assert (out == 7).all()
    cache.close()
    assert len(list(tmp_path.iterdir())) == 1, "the other process still has it"
    process.kill()
    process.join()
    cache = slice_cache.SliceCache(tmp_path, "key", 2, 1024, 1 << 20)
    assert not cache.get(1, out), "what was left has been removed"
    cache.close()


def test_a_full_disk_ends_the_cache_with_a_warning_and_not_the_run(tmp_path, monkeypatch):
    cache = slice_cache.SliceCache(tmp_path, "key", 2, 1024, 1 << 20)

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(slice_cache.os, "pwrite", full)
    with pytest.warns(UserWarning, match="no longer kept"):
        cache.put(0, np.zeros(1024, np.float32))
    assert cache.num_kept == 0


# ---- preparation -----------------------------------------------------------------------------------------------------


@pytest.fixture
def small(tmp_path):
    """Spec and folder of three small volumes that nothing has been done to yet."""
    rng = np.random.default_rng(1)
    for part, number in (("train", 0), ("val", 1), ("val", 2)):
        write(place(tmp_path, part, f"file{number}.h5"), *random_volume(rng, 2, 16, 20))
    return small_spec(2, 2, 2, validation_volumes=1, image_size=16), tmp_path


def test_an_interrupted_preparation_gives_the_same_index(small, monkeypatch):
    spec, folder = small
    data.prepare(spec, folder, progress=False)
    wanted = catalog.manifest_path(folder).read_bytes()
    assert data.is_ready(spec, folder)
    catalog.manifest_path(folder).unlink()
    inspect, calls = volumes.inspect, []

    def stop_at_third(folder, file, size):
        calls.append(file)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return inspect(folder, file, size)

    monkeypatch.setattr(volumes, "inspect", stop_at_third)
    with pytest.raises(KeyboardInterrupt):
        data.prepare(spec, folder, progress=False)
    assert not data.is_ready(spec, folder)
    data.prepare(spec, folder, progress=False)
    assert len(calls) == 4, "volumes that were inspected are not opened again"
    assert catalog.manifest_path(folder).read_bytes() == wanted
    assert sorted(path.name for path in folder.iterdir()) == ["manifest.json", "raw"]


@pytest.mark.parametrize("name", ["raw/singlecoil_{}", "knee_singlecoil_{}", "singlecoil_{}"])
def test_unpacked_archives_are_found_under_their_own_names(small, name):
    spec, folder = small
    for part, ours in catalog.RAW_FOLDERS.items():
        shutil.move(folder / "raw" / ours, folder / name.format(part))
    data.prepare(spec, folder, progress=False)
    assert data.verify(spec, folder, progress=False)["test"] == {"volumes": 1, "slices": 2}


def damage(path, how):
    if how == "cut":
        path.write_bytes(path.read_bytes()[:-1000])
        return
    with h5py.File(path, "r+") as file:
        if how == "without kspace":
            del file["kspace"]
        elif how == "double precision":
            target = file["reconstruction_esc"][:]
            del file["reconstruction_esc"]
            file["reconstruction_esc"] = target.astype(np.float64)
        elif how == "other size":
            target = file["reconstruction_esc"][:, :8]
            del file["reconstruction_esc"]
            file["reconstruction_esc"] = target


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("cut", "not a complete HDF5 file"),
        ("without kspace", "has no dataset 'kspace'; it holds reconstruction_esc"),
        ("double precision", "'reconstruction_esc' is of type float64, must be float32"),
        ("other size", r"'reconstruction_esc' has shape \(2, 8, 16\), must be \(slices, 16, 16\)"),
    ],
)
def test_a_wrong_volume_is_named_in_preparation_and_in_verification(small, how, message):
    spec, folder = small
    path = place(folder, "val", "file1.h5")
    original = path.read_bytes()
    damage(path, how)
    with pytest.raises(UsageError, match=message) as caught:
        data.prepare(spec, folder, progress=False)
    assert str(path) in str(caught.value)
    path.write_bytes(original)
    data.prepare(spec, folder, progress=False)
    size = path.stat().st_size
    damage(path, how)
    if path.stat().st_size == size:
        with pytest.raises(UsageError, match=message):
            data.verify(spec, folder, progress=False)
    else:
        assert not data.is_ready(spec, folder)


def test_all_wrong_volumes_are_looked_for(small):
    spec, folder = small
    damage(place(folder, "train", "file0.h5"), "without kspace")
    damage(place(folder, "val", "file1.h5"), "double precision")
    with pytest.raises(
        UsageError, match=r"^2 raw files .*file0\.h5 has no dataset.*file1\.h5.* is of type float64"
    ):
        data.prepare(spec, folder, progress=False)


def test_missing_volumes_are_counted_and_missing_folders_named(small):
    spec, folder = small
    place(folder, "val", "file2.h5").unlink()
    with pytest.raises(UsageError, match=r"test split .* has 0 slices in 0 volumes, not 2"):
        data.prepare(spec, folder, progress=False)
    shutil.rmtree(folder / "raw" / "knee_singlecoil_train")
    with pytest.raises(UsageError, match=r"unpack knee_singlecoil_train\.tar\.xz there"):
        data.prepare(spec, folder, progress=False)


def test_a_volume_that_has_changed_is_found_by_verification(small):
    spec, folder = small
    data.prepare(spec, folder, progress=False)
    with h5py.File(place(folder, "train", "file0.h5"), "r+") as file:
        file.attrs["max"] = 123.0
    with pytest.raises(UsageError, match=r"file0\.h5 is not the file that was prepared"):
        data.verify(spec, folder, progress=False)


def test_a_file_that_is_cut_during_a_run_is_named(small):
    spec, folder = small
    data.prepare(spec, folder, progress=False)
    stream = data.train_stream(spec, folder, 0, 2)
    path = place(folder, "train", "file0.h5")
    path.write_bytes(path.read_bytes()[:3000])
    with pytest.raises(UsageError, match=r"file0\.h5 ends at byte 3,000"):
        next(stream)


def test_the_full_size_data_are_those_of_the_facts():
    spec = registry.get("fastmri")
    assert num_examples(spec) == {"train": 34_742, "validation": 3_554, "test": 3_581}
    assert catalog.num_validation_volumes(spec) == 100
    assert spec.num_train_examples * 4 * (spec.data.image_size**2 + 2) < spec.data.cache_gigabytes * 1e9
    with pytest.raises(UsageError, match="--dataset=fastmri"):
        locate.ready_folder(spec, "/nowhere")


def test_the_index_is_plain_json(small):
    spec, folder = small
    data.prepare(spec, folder, progress=False)
    entry = json.loads(catalog.manifest_path(folder).read_text())["splits"]["train"][0]
    assert entry["file"] == "raw/knee_singlecoil_train/file0.h5"
    assert entry["num_slices"] == 2
    assert entry["num_columns"] == 20
    assert entry["kspace_offset"] > 0


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (np.ones(3), r"attribute 'max' must be one finite number, and is of type float64 and shape \(3,\)"),
        ("big", "attribute 'max' must be one finite number"),
        (np.nan, "attribute 'max' must be one finite number"),
    ],
    ids=["array", "text", "nan"],
)
def test_an_attribute_of_another_shape_is_named(small, value, words):
    _, folder = small
    path = next(folder.rglob("*.h5"))
    with h5py.File(path, "a") as file:
        file.attrs["max"] = value
    with pytest.raises(UsageError, match=words) as caught:
        volumes.inspect(folder, path.relative_to(folder).as_posix(), 16)
    assert str(path) in str(caught.value)


def test_a_link_to_another_file_is_refused_by_name(small):
    _, folder = small
    path, other, *_ = sorted(folder.rglob("*.h5"))
    with h5py.File(path, "a") as file:
        del file["kspace"]
        file["kspace"] = h5py.ExternalLink(str(other), "kspace")
    with pytest.raises(UsageError, match=r"'kspace' is a link to another file, which may change"):
        volumes.inspect(folder, path.relative_to(folder).as_posix(), 16)


def test_a_volume_whose_slices_became_zeros_is_found_before_training(small):
    spec, folder = small
    data.prepare(spec, folder, progress=False)
    assert manifest.spot_check(folder) == []
    path = next(folder.rglob("*.h5"))
    with h5py.File(path, "a") as file:
        file["kspace"][:] = 0
    assert manifest.spot_check(folder) == [path.relative_to(folder).as_posix()]
