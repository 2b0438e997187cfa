"""ImageNet data for all its workloads: archives -> ArrayRecord -> NumPy batches.

`spec.data` determines the content of batches. Prepared files depend only on the numbers of examples and classes, so
all workloads and variants share one folder.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from algoperf.data import manifest, prepared
from algoperf.data.prepared import num_examples
from algoperf.data.stream import Batch, Stream
from algoperf.workload import WorkloadSpec
from workloads.imagenet import preparation, synthesis


class ImagenetData(prepared.PreparedData):
    """See `PreparedData`."""

    file_format = preparation.FORMAT

    def settings(self, spec: WorkloadSpec) -> dict[str, Any]:
        return {"num_examples": num_examples(spec), "num_classes": spec.data.num_classes}

    def describe(self, spec: WorkloadSpec) -> dict[str, Any]:
        return synthesis.describe(
            num_examples(spec), spec.data.num_classes, spec.data.image_size, spec.data_instance
        )

    def make_raw(self, spec: WorkloadSpec, folder: Path, progress: bool, seed: int | None = None) -> None:
        synthesis.synthesize(
            folder,
            num_examples(spec),
            spec.data.num_classes,
            spec.data.image_size,
            progress,
            seed or synthesis.SEED,
            spec.data_instance,
        )

    def write(self, spec: WorkloadSpec, folder: Path, config: dict[str, Any], progress: bool) -> None:
        preparation.prepare(folder, config, progress)


RESEEDS = True
DATA = ImagenetData()
prepare, is_ready, verify, synthesize = DATA.prepare, DATA.is_ready, DATA.verify, DATA.synthesize


def training_files(spec: WorkloadSpec, folder: Path) -> list[Path]:
    """The shards of training images and what tells where the images are."""
    del spec
    return [folder / manifest.NAME, *preparation.files_of_split(folder, "train")]


def train_stream(spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int) -> Stream:
    """Endless shuffled batches: inputs (B, crop, crop, 3) float32, normalised; targets (B,) int32.

    With mixup, targets are (B, num_classes) float32.
    """
    from workloads.imagenet import pipeline

    DATA.require(spec, folder)
    records = preparation.load_split(Path(folder), "train")
    return pipeline.TrainStream(records, spec, seed, global_batch_size)


def eval_batches(spec: WorkloadSpec, folder: Path, split: str, batch_size: int) -> Iterator[Batch]:
    """One pass over 'eval_train', 'validation' or 'test' in file order, with `weights` (B,).

    'eval_train' is a fixed subset of the training images, evenly spaced over the classes.
    """
    from workloads.imagenet import pipeline

    stored = prepared.stored_split(split)
    DATA.require(spec, folder)
    records = preparation.load_split(Path(folder), stored)
    indices = prepared.eval_indices(spec, split, len(records))
    return pipeline.eval_batches(records, spec, indices, batch_size)
