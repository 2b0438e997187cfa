"""ImageNet for every workload that learns from it: archives -> ArrayRecord -> NumPy batches.

`spec.data` decides what a batch looks like; files depend on the numbers of examples and classes only, so workloads
and their variants share one folder.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.data import manifest, prepared
from algoperf.data.stream import Batch, Stream
from algoperf.spec import UsageError, no_such
from algoperf.workload import WorkloadSpec
from workloads.imagenet import preparation, synthesis


def _num_examples(spec: WorkloadSpec) -> dict[str, int]:
    return {
        "train": spec.num_train_examples,
        "validation": spec.num_validation_examples,
        "test": spec.num_test_examples,
    }


def _config(spec: WorkloadSpec) -> dict[str, Any]:
    """All that prepared files depend on."""
    config = {"num_examples": _num_examples(spec), "num_classes": spec.data.num_classes}
    if spec.is_mini:
        config["synthesis"] = synthesis.describe(
            config["num_examples"], config["num_classes"], spec.data.image_size
        )
    return config


def synthesize(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Writes the archives of the mini workload, the same ones on every machine; nothing if they are there."""
    data = spec.data
    synthesis.synthesize(Path(folder), _num_examples(spec), data.num_classes, data.image_size, progress)


def prepare(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Archives in `folder/raw` -> ArrayRecord files and index; continues where an earlier call stopped."""
    folder = Path(folder)
    try:
        preparation.prepare(folder, _config(spec), progress)
    except UsageError as error:
        raise UsageError(
            f"{error} To get and prepare the data: {prepared.setup_command(spec, folder)}"
        ) from error


def is_ready(spec: WorkloadSpec, folder: Path) -> bool:
    """Whether `folder` holds complete prepared data for `spec`; looks at names and sizes only."""
    return preparation.is_complete(Path(folder), _config(spec))


def verify(spec: WorkloadSpec, folder: Path, progress: bool = True) -> dict[str, Any]:
    """Reads every prepared file and compares checksums; returns split -> counts.

    Raises:
      UsageError: if data are missing or damaged.
    """
    folder = Path(folder)
    prepared.require(is_ready(spec, folder), spec, folder)
    prepared.require_undamaged(spec, folder, progress)
    return manifest.read(folder)["splits"]


def train_stream(spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int) -> Stream:
    """Endless shuffled batches: inputs (B, crop, crop, 3) float32, normalised; targets (B,) int32.

    With mixup, targets are (B, num_classes) float32.
    """
    from workloads.imagenet import pipeline

    prepared.require(is_ready(spec, folder), spec, Path(folder))
    records = preparation.load_split(Path(folder), "train")
    return pipeline.TrainStream(records, spec, seed, global_batch_size)


def eval_batches(spec: WorkloadSpec, folder: Path, split: str, batch_size: int) -> Iterator[Batch]:
    """One pass over 'eval_train', 'validation' or 'test' in file order, with `weights` (B,).

    'eval_train' is a fixed subset of the training images, evenly spaced over the classes.
    """
    from workloads.imagenet import pipeline

    if split not in ("eval_train", "validation", "test"):
        raise no_such("evaluation split", split, ("eval_train", "validation", "test"))
    prepared.require(is_ready(spec, folder), spec, Path(folder))
    records = preparation.load_split(Path(folder), "train" if split == "eval_train" else split)
    size = len(records)
    if split == "eval_train":
        size = min(spec.num_eval_train_examples, size)
    indices = np.arange(size, dtype=np.int64) * len(records) // size
    return pipeline.eval_batches(records, spec, indices, batch_size)
