"""The published archives: position and class of each image.

    <folder>/raw/ILSVRC2012_img_train.tar               a tar of one tar per class, <wnid>.tar
    <folder>/raw/ILSVRC2012_img_val.tar                 images in one folder; the labels come with TFDS
    <folder>/raw/imagenetv2-matched-frequency.tar.gz    .../<class number>/<image>.jpeg

A class is the rank of its WordNet id ('n01440764') among all sorted ids, as in TFDS and in folder-based readers. An
archive is scanned once for positions; then single images are read from any position, so memory does not grow with the
archive.
"""

import dataclasses
import gzip
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from tqdm import tqdm

from algoperf import files
from algoperf.spec import UsageError

ARCHIVES = {
    "train": "ILSVRC2012_img_train.tar",
    "validation": "ILSVRC2012_img_val.tar",
    "test": "imagenetv2-matched-frequency.tar.gz",
}
VALIDATION_LABELS = "ILSVRC2012_validation_labels.txt"
"""In `raw`: one WordNet id per line for the validation images, sorted by name. By default TFDS's list is used."""
GZIP_MAGIC = b"\x1f\x8b"


@dataclasses.dataclass(frozen=True)
class Members:
    """The images of one split in their final order."""

    names: np.ndarray
    """(images,) bytes, TFDS's feature 'file_name'."""
    offsets: np.ndarray
    """(images,) int64, offset of each file in the uncompressed archive."""
    sizes: np.ndarray
    """(images,) int64, bytes."""
    labels: np.ndarray
    """(images,) int64 classes."""

    def __len__(self) -> int:
        return len(self.names)

    def save(self, path: Path) -> None:
        with files.writing(path) as file:
            np.savez(file, **dataclasses.asdict(self))

    @classmethod
    def load(cls, path: Path) -> "Members":
        with np.load(path) as arrays:
            return cls(**{field.name: arrays[field.name] for field in dataclasses.fields(cls)})


Found = list[tuple[str, int, int, int]]
"""Name, offset, size, label."""


def scan(raw: Path, split: str, class_names: list[str], progress: bool = True) -> Members:
    """Finds the images of a split in its archive.

    Args:
      raw: the folder with the archives.
      split: 'train', 'validation' or 'test'.
      class_names: WordNet ids in the order of the classes (see `train_classes`).
      progress: whether to show a bar.

    Raises:
      UsageError: if the archive is missing, incomplete, or has another layout.
    """
    path = require(raw / ARCHIVES[split])
    find = {"train": _train_images, "validation": _validation_images, "test": _test_images}[split]
    try:
        with open_archive(path) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            bar = tqdm(desc=f"scan {path.name}", unit="image", disable=not progress)
            with bar:
                found = find(path, archive, class_names, bar)
    except (tarfile.ReadError, EOFError, gzip.BadGzipFile) as error:
        raise UsageError(f"{path} is damaged ({error}). Put a complete copy there.") from error
    names, offsets, sizes, labels = zip(*found, strict=True) if found else ((), (), (), ())
    return Members(
        np.array([name.encode() for name in names], np.bytes_), *map(np.array, (offsets, sizes, labels))
    )


def train_classes(raw: Path) -> list[str]:
    """The sorted WordNet ids of the training archive; a class is the index of its id in this list."""
    path = require(raw / ARCHIVES["train"])
    try:
        with tarfile.open(path, "r:") as archive:
            return sorted(_wnid_of(path, member.name) for member in archive if member.isfile())
    except tarfile.ReadError as error:
        raise UsageError(f"{path} is damaged ({error}). Put a complete copy there.") from error


def require(path: Path) -> Path:
    if not path.is_file():
        raise UsageError(f"{path} is missing.")
    return path


def open_archive(path: Path) -> BinaryIO:
    """The archive as a seekable file of uncompressed bytes; compression is recognised by content, not by name."""
    with path.open("rb") as file:
        is_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    # GzipFile has all methods of a binary file that are used here, and does not declare it.
    return cast(BinaryIO, gzip.open(path)) if is_gzip else path.open("rb")


def read(path: Path, members: Members, start: int, stop: int) -> Iterator[tuple[str, bytes, int]]:
    """Yields (file name, content, class) of images `start` to `stop`, one at a time."""
    with open_archive(path) as file:
        for index in range(start, stop):
            name, size = members.names[index].decode(), int(members.sizes[index])
            file.seek(int(members.offsets[index]))
            content = file.read(size)
            if len(content) != size:
                raise UsageError(f"{path} ends within {name}. Put a complete copy there.")
            yield name, content, int(members.labels[index])


def _wnid_of(path: Path, member: str) -> str:
    match = re.fullmatch(r"(?:\./)?(n\d{8})\.tar", member)
    if not match:
        raise UsageError(
            f"{path} holds {member!r}; only archives of one class such as n01440764.tar belong there."
        )
    return match[1]


def _train_images(path: Path, archive: tarfile.TarFile, class_names: list[str], bar: tqdm) -> Found:
    rank = {name: index for index, name in enumerate(class_names)}
    found: list[Found] = [[] for _ in class_names]
    for member in archive:
        if not member.isfile():
            continue
        label = rank[_wnid_of(path, member.name)]
        content = archive.extractfile(member)
        assert content is not None  # A regular file has content.
        with content, tarfile.open(fileobj=content, mode="r:") as images:
            for image in images:
                if image.isfile():
                    # The inner archive is stored uncompressed, so positions add up and images are read from
                    # the outer file directly.
                    offset = member.offset_data + image.offset_data
                    found[label].append((Path(image.name).name, offset, image.size, label))
                    bar.update()
    return [image for images in found for image in images]


def _validation_images(path: Path, archive: tarfile.TarFile, class_names: list[str], bar: tqdm) -> Found:
    images = []
    for member in archive:
        if member.isfile():
            images.append((Path(member.name).name, member.offset_data, member.size))
            bar.update()
    images.sort()
    labels_path = path.with_name(VALIDATION_LABELS)
    if not labels_path.is_file():
        labels_path = _labels_of_tfds()
    wnids = labels_path.read_text().split()
    if len(wnids) != len(images):
        raise UsageError(f"{path} holds {len(images):,} images; {labels_path} has {len(wnids):,} labels.")
    rank = {name: index for index, name in enumerate(class_names)}
    unknown = sorted(set(wnids) - set(rank))
    if unknown:
        raise UsageError(f"{labels_path} names {unknown[0]}, a class without training images.")
    return [(*image, rank[wnid]) for image, wnid in zip(images, wnids, strict=True)]


def _labels_of_tfds() -> Path:
    try:
        import tensorflow_datasets as tfds
    except ImportError as error:
        raise UsageError(
            "The labels of the ILSVRC 2012 validation images come with tensorflow-datasets: pip install -e .[data]"
        ) from error
    return Path(tfds.core.tfds_path("datasets/imagenet2012/validation_labels.txt"))


def _test_images(path: Path, archive: tarfile.TarFile, class_names: list[str], bar: tqdm) -> Found:
    found = []
    for member in archive:
        if not member.isfile():
            continue
        folder, name = Path(member.name).parts[-2:]
        if not folder.isdecimal() or int(folder) >= len(class_names):
            raise UsageError(
                f"{path} holds {member.name!r}; folders are class numbers from 0 to {len(class_names) - 1}."
            )
        found.append((f"{folder}/{name}", member.offset_data, member.size, int(folder)))
        bar.update()
    # By position: gzip can only be read forwards.
    return sorted(found, key=lambda image: image[1])
