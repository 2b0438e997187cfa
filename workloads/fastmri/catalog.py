"""The index of a data folder: the volumes and slices of each split. Preparation writes nothing else."""

import bisect
import dataclasses
import hashlib
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tqdm import tqdm

from algoperf import files
from algoperf.data import bad_files, manifest
from algoperf.data.prepared import num_examples
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec
from workloads.fastmri import volumes
from workloads.fastmri.volumes import Volume

INDEX_VERSION = 1
# The published test archive has no targets, so AlgoPerf divides the 'val' volumes into validation and test.
SPLITS = ("train", "validation", "test")
RAW_FOLDERS = {"train": "knee_singlecoil_train", "val": "knee_singlecoil_val"}


def manifest_path(folder: Path) -> Path:
    return folder / manifest.NAME


def find_raw_folder(folder: Path, part: str) -> Path | None:
    """The folder with the volumes of 'train' or 'val', in `folder/raw` or `folder`, with or without 'knee_'."""
    for parent in (folder / "raw", folder):
        for name in (RAW_FOLDERS[part], f"singlecoil_{part}"):
            if any((parent / name).glob("*.h5")):
                return parent / name
    return None


def num_validation_volumes(spec: WorkloadSpec) -> int:
    """Number of the sorted 'val' volumes in the validation split; the others are the test split."""
    if spec.is_mini:
        return -(-spec.num_validation_examples // spec.data.slices_per_volume)
    return spec.data.validation_volumes


def describe(spec: WorkloadSpec) -> dict[str, Any]:
    """Everything that an index depends on, besides the files."""
    return {
        "version": INDEX_VERSION,
        "image_size": spec.data.image_size,
        "num_slices": num_examples(spec),
        "validation_volumes": num_validation_volumes(spec),
    }


def files_of_splits(spec: WorkloadSpec, folder: Path) -> dict[str, list[str]]:
    """Split -> its files in order, relative to `folder`.

    Raises:
      UsageError: if there are none.
    """
    found = {}
    for part, name in RAW_FOLDERS.items():
        place = find_raw_folder(folder, part)
        if place is None:
            raise UsageError(
                f"No volumes (*.h5) in {folder / 'raw' / name}: unpack {name}.tar.xz there. How to get the archives: "
                f"python datasets/dataset_setup.py --dataset=fastmri --data_dir={folder.parent}"
            )
        # Sorted, because the order of a file system (which AlgoPerf takes) differs between machines.
        found[part] = sorted(path.relative_to(folder).as_posix() for path in place.glob("*.h5"))
    split_at = num_validation_volumes(spec)
    return {"train": found["train"], "validation": found["val"][:split_at], "test": found["val"][split_at:]}


def build(spec: WorkloadSpec, folder: Path, config: dict[str, Any], progress: bool) -> None:
    """Inspects all volumes and writes the index; continues after an interruption.

    Raises:
      UsageError: for damaged volumes, of which it names all, or if slices are missing.
    """
    names_of_splits = files_of_splits(spec, folder)
    partial = folder / "manifest.partial.jsonl"
    known = {volume.file: volume for volume in _read_partial(partial, config)}
    splits: dict[str, list[Volume]] = {}
    search = bad_files.Search()
    with (
        partial.open("w") as file,
        tqdm(total=sum(map(len, names_of_splits.values())), unit="volume", disable=not progress) as bar,
    ):
        file.write(json.dumps(config, sort_keys=True) + "\n")
        for split, names in names_of_splits.items():
            bar.set_description(f"inspect {split}")
            splits[split] = []
            for name in names:
                bar.update()
                with search.going_on():
                    volume = known.get(name)
                    if volume is None or (folder / name).stat().st_size != volume.num_bytes:
                        volume = volumes.inspect(folder, name, spec.data.image_size)
                    file.write(json.dumps(volume.to_dict()) + "\n")
                    file.flush()
                    splits[split].append(volume)
    search.end()
    for split, wanted in num_examples(spec).items():
        found = sum(volume.num_slices for volume in splits[split])
        if found != wanted:
            num_volumes = len(splits[split])
            raise UsageError(
                f"The {split} split in {folder} has {found:,} slices in {num_volumes:,} volumes, not {wanted:,}: "
                "volumes are missing or do not belong there. Unpack the archives again."
            )
    content = {
        "config": config,
        "splits": {s: [v.to_dict() for v in found] for s, found in splits.items()},
        "files": {v.file: _checked_later(folder, v) for found in splits.values() for v in found},
    }
    files.write_json(manifest_path(folder), content, indent=1, sort_keys=True)
    partial.unlink()


def _checked_later(folder: Path, volume: Volume) -> dict[str, Any]:
    """What every run compares before it trains; see `manifest.spot_check`."""
    path = folder / volume.file
    if volume.num_bytes <= manifest.WHOLE_BYTES:
        return manifest.entry(path)
    return {"bytes": volume.num_bytes, "sampled": manifest.sampled_sha256_of(path)}


def _read_partial(path: Path, config: dict[str, Any]) -> list[Volume]:
    """The volumes found by an interrupted call with the same configuration, without an incomplete last line."""
    if not path.is_file():
        return []
    # The text after the last line break is empty or incomplete.
    lines = path.read_text().split("\n")[:-1]
    # The configuration goes through JSON as well, which turns tuples into lists.
    if not lines or json.loads(lines[0]) != json.loads(json.dumps(config)):
        return []
    return [Volume(**json.loads(line)) for line in lines[1:]]


def is_complete(folder: Path, config: dict[str, Any]) -> bool:
    """Whether there is an index for `config` and its files have the right sizes."""
    try:
        content = files.read_json(manifest_path(folder))
        if content["config"] != json.loads(json.dumps(config)):
            return False
        listed = itertools.chain.from_iterable(content["splits"].values())
        return all((folder / entry["file"]).stat().st_size == entry["num_bytes"] for entry in listed)
    except (OSError, ValueError, KeyError, TypeError):
        return False


@dataclasses.dataclass(frozen=True)
class Catalog:
    """The slices of one split, numbered consecutively over its volumes."""

    volumes: Sequence[Volume]
    starts: Sequence[int]
    """Number of each volume's first slice."""
    digest: str
    """Checksum of the index entries; part of the key of cached slices."""

    def locate(self, index: int) -> tuple[Volume, int]:
        """(volume of a slice, index of the slice in the volume)."""
        position = bisect.bisect_right(self.starts, index) - 1
        return self.volumes[position], index - self.starts[position]


def load(folder: Path, split: str) -> Catalog:
    """The slices of 'train', 'validation' or 'test'."""
    entries = files.read_json(manifest_path(folder))["splits"][split]
    found = [Volume(**entry) for entry in entries]
    starts = [0, *itertools.accumulate(volume.num_slices for volume in found)][:-1]
    digest = hashlib.sha256(json.dumps(entries, sort_keys=True).encode()).hexdigest()
    return Catalog(found, starts, digest)


def verify(spec: WorkloadSpec, folder: Path, progress: bool) -> dict[str, dict[str, int]]:
    """Opens every volume again and compares it with the index; returns split -> counts.

    Raises:
      UsageError: for the first volume that differs from the index.
    """
    counts = {}
    for split in SPLITS:
        listed = load(folder, split).volumes
        for volume in tqdm(listed, desc=f"verify {split}", unit="volume", disable=not progress):
            if volumes.inspect(folder, volume.file, spec.data.image_size) != volume:
                raise UsageError(
                    f"{folder / volume.file} is not the file that was prepared. If that is meant, delete "
                    f"{manifest_path(folder)} and prepare again; otherwise unpack it again from its archive."
                )
        counts[split] = {"volumes": len(listed), "slices": sum(volume.num_slices for volume in listed)}
    return counts
