"""Raw archives -> ArrayRecord shards -> index and manifest: once, in parallel, resumable.

The data folder gets the TFDS folders (see `array_records`), `<split>_index.npy`, and `manifest.json`, written last.
During preparation `parts/` holds the positions of images in the archives and the index of each finished shard. A TFDS
folder that is already there is indexed as it is, and its archives are not needed.
"""

import functools
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from algoperf import files
from algoperf.data import bad_files, manifest
from algoperf.data.download import require_disk
from algoperf.data.jobs import run_jobs
from algoperf.machine import num_cores
from algoperf.spec import UsageError
from workloads.imagenet import array_records, jpeg, sources
from workloads.imagenet.array_records import DATASETS, SPLITS

FORMAT = 1  # Increase it when index or manifest change; existing folders are then indexed again.
SHARD_BYTES = 1 << 29  # TFDS's 1,024 shards would need more open files than most systems allow by default.
MIN_SHARDS = 4  # So that small data, too, are written in parallel and resumed in pieces.
MAX_BYTES_IN_PROCESS = 1 << 27  # Fewer bytes are written faster than worker processes start.


def load_split(folder: Path, split: str) -> array_records.Records:
    """The images of a prepared split. The result is cached, because every evaluation asks for it."""
    return _load_split(folder, split, (folder / manifest.NAME).stat().st_mtime_ns)


@functools.lru_cache(maxsize=len(SPLITS))
def _load_split(folder: Path, split: str, prepared_ns: int) -> array_records.Records:
    del prepared_ns  # Part of the key: data may be prepared anew in one process.
    shards = array_records.read_metadata(folder, array_records.DATASET_OF_SPLIT[split])
    assert shards is not None  # The manifest says that the data are prepared.
    return array_records.Records(shards[split], np.load(_index_path(folder, split)))


def files_of_split(folder: Path, split: str) -> list[Path]:
    """The files from which `load_split` reads a split, but for the manifest."""
    dataset = array_records.DATASET_OF_SPLIT[split]
    shards = array_records.read_metadata(folder, dataset)
    assert shards is not None  # The manifest says that the data are prepared.
    return [
        array_records.metadata_path(folder, dataset),
        _index_path(folder, split),
        *(path for path, _ in shards[split]),
    ]


def prepare(folder: Path, config: dict[str, Any], progress: bool = True) -> None:
    """Writes missing shards, index and manifest; continues where an earlier call stopped.

    Args:
      folder: has the archives in `folder/raw`, or TFDS's folders; the results go here.
      config: 'num_examples' (split -> count), 'num_classes', and other settings that the files depend on.
      progress: whether to show progress bars.

    Raises:
      UsageError: if raw data are missing, damaged, or of another size, or the disk is too full.
    """
    if manifest.is_complete(folder, config, FORMAT):
        return
    (folder / manifest.NAME).unlink(missing_ok=True)
    parts = folder / "parts"
    parts.mkdir(parents=True, exist_ok=True)
    missing = [dataset for dataset in DATASETS if not _is_written(folder, dataset)]
    if missing:
        _write_datasets(folder, parts, missing, config, progress)
    entries = _write_indices(folder, parts, config, progress)
    manifest.write(folder, FORMAT, config, **entries)
    shutil.rmtree(parts)


def _is_written(folder: Path, dataset: str) -> bool:
    """Whether metadata and all shards exist. If a shard was deleted, it is written again."""
    found = array_records.read_metadata(folder, dataset)
    return found is not None and all(path.is_file() for shards in found.values() for path, _ in shards)


# ---- archives to shards ----------------------------------------------------------------------------------------------


def _write_datasets(
    folder: Path, parts: Path, datasets: list[str], config: dict[str, Any], progress: bool
) -> None:
    raw = folder / "raw"
    splits = [split for dataset in datasets for split in DATASETS[dataset]]
    for split in splits:
        sources.require(raw / sources.ARCHIVES[split])
    class_names = _class_names(folder, raw, config["num_classes"])
    members = {}
    for split in splits:
        path = _members_path(parts, split)
        if not path.exists():
            sources.scan(raw, split, class_names, progress).save(path)
        members[split] = sources.Members.load(path)
        _check_count(f"{raw / sources.ARCHIVES[split]}", len(members[split]), config["num_examples"][split])
    names = {split: _shard_lengths(members[split]) for split in splits}
    todo = [
        (split, shard, len(lengths), *_limits(lengths, shard))
        for split, lengths in names.items()
        for shard in range(len(lengths))
        if not _shard_path(folder, split, shard, len(lengths)).exists()
    ]
    sizes = {split: np.cumsum(np.concatenate([[0], members[split].sizes])) for split in splits}
    num_bytes = sum(int(sizes[split][stop] - sizes[split][start]) for split, _, _, start, stop in todo)
    # 1 % for the records' framing, class and file name.
    require_disk(folder, int(1.01 * num_bytes))
    jobs = [(folder, *job) for job in todo]
    total = sum(stop - start for *_, start, stop in todo)
    _run(_write_shard, jobs, num_bytes > MAX_BYTES_IN_PROCESS, total, "convert", progress)
    for dataset in datasets:
        own = {split: names[split] for split in DATASETS[dataset]}
        own_bytes = {split: int(members[split].sizes.sum()) for split in own}
        array_records.write_metadata(folder, dataset, class_names, own, own_bytes)


def _class_names(folder: Path, raw: Path, num_classes: int) -> list[str]:
    labels = array_records.dataset_folder(folder, "imagenet2012") / "label.labels.txt"
    names = labels.read_text().split() if labels.is_file() else sources.train_classes(raw)
    if len(names) != num_classes:
        where = labels if labels.is_file() else raw / sources.ARCHIVES["train"]
        raise UsageError(f"{where} holds {len(names):,} classes; {num_classes:,} are expected.")
    return names


def _check_count(where: str, found: int, expected: int) -> None:
    if found != expected:
        raise UsageError(f"{where} holds {found:,} images; {expected:,} are expected.")


def _shard_lengths(members: sources.Members) -> list[int]:
    """Images per shard, as equal as possible."""
    num_shards = max(MIN_SHARDS, -(-int(members.sizes.sum()) // SHARD_BYTES))
    return [len(piece) for piece in np.array_split(members.sizes, num_shards)]


def _limits(lengths: list[int], shard: int) -> tuple[int, int]:
    return sum(lengths[:shard]), sum(lengths[: shard + 1])


def _write_shard(folder: Path, split: str, shard: int, num_shards: int, start: int, stop: int) -> int:
    """Writes one shard with images `start` to `stop`; decodes every image once to check it, also after a bad one."""
    archive = folder / "raw" / sources.ARCHIVES[split]
    members = sources.Members.load(_members_path(folder / "parts", split))

    def examples() -> Iterator[tuple[str, bytes, int]]:
        search = bad_files.Search()
        for name, content, label in sources.read(archive, members, start, stop):
            with search.going_on():
                yield name, jpeg.checked(content, f"{name} in {archive}"), label
        search.end()  # Before the shard gets its name.

    array_records.write_shard(_shard_path(folder, split, shard, num_shards), examples())
    return stop - start


# ---- shards to index -------------------------------------------------------------------------------------------------


def _write_indices(folder: Path, parts: Path, config: dict[str, Any], progress: bool) -> dict[str, Any]:
    """Writes the index of each split; returns the entries 'splits' and 'files' of the manifest."""
    shards: dict[str, list[tuple[Path, int]]] = {}
    for dataset in DATASETS:
        shards |= array_records.read_metadata(folder, dataset) or {}
    for split in SPLITS:
        where = (
            f"{array_records.dataset_folder(folder, array_records.DATASET_OF_SPLIT[split])}, split {split!r},"
        )
        _check_count(where, sum(length for _, length in shards[split]), config["num_examples"][split])
    todo = [(path, length) for split in SPLITS for path, length in shards[split]]
    todo = [(path, length) for path, length in todo if not _part_path(parts, path).exists()]
    jobs = [(path, length, config["num_classes"], _part_path(parts, path)) for path, length in todo]
    num_bytes = sum(manifest.size_of(path) for path, _ in todo)
    total = sum(length for _, length in todo)
    _run(_index_shard, jobs, num_bytes > MAX_BYTES_IN_PROCESS, total, "index", progress)

    of_files, counts = {}, {}
    for split in SPLITS:
        pieces = []
        for path, _ in shards[split]:
            with np.load(_part_path(parts, path)) as part:
                pieces.append(part["index"])
                name = path.relative_to(folder).as_posix()
                of_files[name] = {"bytes": manifest.size_of(path), "sha256": str(part["sha256"])}
        index = np.concatenate(pieces)
        path = _index_path(folder, split)
        with files.writing(path) as file:
            np.save(file, index)
        of_files[path.name] = manifest.entry(path)
        counts[split] = {
            "images": len(index),
            "jpeg_bytes": int(index["size"].sum(dtype=np.int64)),
            "shards": len(pieces),
        }
    return {"splits": counts, "files": of_files}


def _index_shard(path: Path, length: int, num_classes: int, part: Path) -> int:
    index = array_records.index_shard(path)
    _check_count(str(path), len(index), length)
    if len(index) and not 0 <= index["label"].min() <= index["label"].max() < num_classes:
        raise UsageError(f"{path} has labels beyond the {num_classes:,} classes that are expected.")
    with files.writing(part) as file:
        np.savez(file, index=index, sha256=np.str_(manifest.sha256_of(path)))
    return length


# ---- both ------------------------------------------------------------------------------------------------------------


def _run(
    function: Callable[..., int],
    jobs: list[tuple],
    in_processes: bool,
    total: int,
    title: str,
    progress: bool,
) -> None:
    """Calls `function` with each job; it returns the number of images done."""
    with tqdm(total=total, desc=title, unit="image", disable=not progress) as bar:
        run_jobs(function, jobs, bar, in_processes, num_cores())


def _members_path(parts: Path, split: str) -> Path:
    return parts / f"{split}_members.npz"


def _shard_path(folder: Path, split: str, shard: int, num_shards: int) -> Path:
    dataset = array_records.DATASET_OF_SPLIT[split]
    return array_records.dataset_folder(folder, dataset) / array_records.shard_name(split, shard, num_shards)


def _part_path(parts: Path, shard: Path) -> Path:
    return parts / f"{shard.name}.npz"


def _index_path(folder: Path, split: str) -> Path:
    return folder / f"{split}_index.npy"
