"""The archives of the mini data set, with the layout of the published ones; `scenes` draws the pictures.

raw/ILSVRC2012_img_train.tar                  <wnid>.tar, each with <wnid>_<number>.JPEG
raw/ILSVRC2012_img_val.tar                    ILSVRC2012_val_<number>.JPEG
raw/ILSVRC2012_validation_labels.txt          the class of each of them
raw/imagenetv2-matched-frequency.tar.gz       imagenetv2-matched-frequency-format-val/<class>/<image>.jpeg
"""

import gzip
import hashlib
import io
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from algoperf import files
from algoperf.data import manifest
from algoperf.data.prepared import SYNTHESIS, named_instance
from algoperf.spec import UsageError
from workloads.imagenet import jpeg, sources

VERSION = 5  # Increase it when the pictures change; existing folders are then written again.
SEED = 2012
QUALITY = 92
SPLIT_NUMBERS = {"train": 0, "validation": 1, "test": 2}
TEST_FOLDER = "imagenetv2-matched-frequency-format-val"


def describe(
    num_examples: dict[str, int], num_classes: int, image_size: int, instance: str = ""
) -> dict[str, Any]:
    """What identifies the pictures, for the manifest; `instance` as in `WorkloadSpec.data_instance`."""
    return {
        "version": VERSION,
        "seed": SEED,
        "num_classes": num_classes,
        "image_size": image_size,
        **num_examples,
        **named_instance(instance),
    }


def wnid(label: int) -> str:
    """The name of a class, in the form of a WordNet id above all real ones.

    >>> wnid(3)
    'n90000003'
    """
    return f"n{90_000_000 + label}"


def labels_of(split: str, size: int, num_classes: int, seed: int = SEED) -> np.ndarray:
    """(size,) classes, equally frequent; in random order, except in training, whose archive is sorted by class."""
    labels = np.arange(size) % num_classes
    if split == "train":
        return np.sort(labels)
    return np.random.default_rng([seed, SPLIT_NUMBERS[split]]).permutation(labels)


def picture(split: str, index: int, label: int, image_size: int, seed: int = SEED) -> bytes:
    """The JPEG file of one picture, the same bytes on every machine."""
    from workloads.imagenet import scenes

    drawn = scenes.draw(label, scenes.NUISANCE[split], image_size, [seed, SPLIT_NUMBERS[split], index])
    return jpeg.encode(drawn, QUALITY)


def checksum(num_examples: dict[str, int], num_classes: int, image_size: int) -> str:
    """SHA-256 over classes and files of all pictures."""
    digest = hashlib.sha256()
    for split, size in num_examples.items():
        for index, label in enumerate(labels_of(split, size, num_classes)):
            digest.update(b"%d:" % label + picture(split, index, int(label), image_size))
    return digest.hexdigest()


def synthesize(
    folder: Path,
    num_examples: dict[str, int],
    num_classes: int,
    image_size: int,
    progress: bool = True,
    seed: int = SEED,
    instance: str = "",
) -> None:
    """Writes `folder/raw`, unless the same pictures are there; deletes files prepared from other pictures."""
    _check(num_examples, num_classes)
    raw, marker = folder / "raw", folder / "raw" / SYNTHESIS
    description = describe(num_examples, num_classes, image_size, instance)
    if files.read_json_or_none(marker) == description:
        return
    for name in ("raw", "parts", "imagenet2012", "imagenet_v2"):
        shutil.rmtree(folder / name, ignore_errors=True)
    (folder / manifest.NAME).unlink(missing_ok=True)
    raw.mkdir(parents=True)
    total = sum(num_examples.values())
    with tqdm(total=total, desc="synthesize", unit="image", disable=not progress) as bar:

        def pictures(split: str) -> Iterator[tuple[int, int, bytes]]:
            labels = labels_of(split, num_examples[split], num_classes, seed)
            for index, label in enumerate(labels.tolist()):
                yield index, label, picture(split, index, label, image_size, seed)
                bar.update()

        _write_train(raw / sources.ARCHIVES["train"], pictures("train"), num_classes)
        validation = {
            f"ILSVRC2012_val_{index + 1:08d}.JPEG": (wnid(label), content)
            for index, label, content in pictures("validation")
        }
        members = [(name, content) for name, (_, content) in validation.items()]
        (raw / sources.ARCHIVES["validation"]).write_bytes(_tar(members))
        names = "".join(f"{name}\n" for name, _ in validation.values())
        (raw / sources.VALIDATION_LABELS).write_text(names)
        members = [
            (f"{TEST_FOLDER}/{label}/{hashlib.sha1(content).hexdigest()}.jpeg", content)
            for _, label, content in pictures("test")
        ]
        (raw / sources.ARCHIVES["test"]).write_bytes(gzip.compress(_tar(members), compresslevel=1, mtime=0))
    files.write_json(marker, description)


def _check(num_examples: dict[str, int], num_classes: int) -> None:
    from workloads.imagenet import scenes

    if not 2 <= num_classes <= scenes.NUM_CLASSES:
        raise UsageError(
            f"Pictures of {num_classes} classes cannot be made; choose from 2 to {scenes.NUM_CLASSES}."
        )
    if num_examples["train"] < num_classes:
        raise UsageError(f"{num_examples['train']} training images are too few for {num_classes} classes.")


def _write_train(path: Path, pictures: Iterator[tuple[int, int, bytes]], num_classes: int) -> None:
    members: list[list[tuple[str, bytes]]] = [[] for _ in range(num_classes)]
    for index, label, content in pictures:
        members[label].append((f"{wnid(label)}_{index}.JPEG", content))
    path.write_bytes(_tar([(f"{wnid(label)}.tar", _tar(own)) for label, own in enumerate(members)]))


def _tar(members: list[tuple[str, bytes]]) -> bytes:
    """A tar file without times and owners, so that the same members give the same bytes."""
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return stream.getvalue()
