"""Batches of scikit-learn's 1,797 scanned digits; no data folder is read."""

import functools
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from algoperf.data.stream import Batch, ShuffledStream
from algoperf.spec import no_such
from algoperf.workload import WorkloadSpec

NEEDS_FILES = False
PREFETCH = 0  # Making a batch, two array look-ups, takes less time than passing it between threads.


@functools.cache
def _all_examples(split_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(1797, 8, 8, 1) float32 images in [0, 1] and (1797,) int32 digits, in a fixed shuffled order."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    order = np.random.default_rng(split_seed).permutation(len(digits.target))
    # Pixels are counts from 0 to 16.
    images = (digits.images[order, :, :, None] / 16).astype(np.float32)
    return images, digits.target[order].astype(np.int32)


def load_split(spec: WorkloadSpec, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and digits of 'train', 'eval_train', 'validation' or 'test'."""
    images, targets = _all_examples(spec.data.split_seed)
    train_end = spec.num_train_examples
    validation_end = train_end + spec.num_validation_examples
    rows = {
        "train": slice(0, train_end),
        "eval_train": slice(0, spec.num_eval_train_examples),
        "validation": slice(train_end, validation_end),
        "test": slice(validation_end, validation_end + spec.num_test_examples),
    }
    if split not in rows:
        raise no_such("split", split, list(rows))
    return images[rows[split]], targets[rows[split]]


def train_stream(spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int) -> ShuffledStream:
    """Endless shuffled batches: inputs (B, 8, 8, 1) float32, targets (B,) int32."""
    del folder
    images, targets = load_split(spec, "train")

    def fetch(indices: np.ndarray, epoch: int) -> Batch:
        del epoch
        return {"inputs": images[indices], "targets": targets[indices]}

    return ShuffledStream(len(targets), global_batch_size, seed, fetch)


def eval_batches(spec: WorkloadSpec, folder: Path, split: str, batch_size: int) -> Iterator[Batch]:
    """One pass in a fixed order; the last batch is padded with rows of weight 0."""
    del folder
    images, targets = load_split(spec, split)
    for start in range(0, len(targets), batch_size):
        real = min(batch_size, len(targets) - start)
        padding = batch_size - real
        yield {
            "inputs": np.pad(images[start : start + real], ((0, padding), (0, 0), (0, 0), (0, 0))),
            "targets": np.pad(targets[start : start + real], (0, padding)),
            "weights": np.pad(np.ones(real, np.float32), (0, padding)),
        }
