"""Batches of scikit-learn's 1,797 scanned digits; no data folder is read."""

import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from algoperf.data.stream import Batch, ShuffledStream
from algoperf.spec import UsageError, no_such
from algoperf.workload import WorkloadSpec

NEEDS_FILES = False
PREFETCH = 0  # Making a batch, two array look-ups, takes less time than passing it between threads.


@functools.cache
def _all_examples(split_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(1797, 8, 8, 1) float32 images in [0, 1] and (1797,) int32 digits, in a fixed shuffled order."""
    rows = np.loadtxt(_file_of_library(), delimiter=",")  # 64 pixels, counts from 0 to 16, and the digit.
    order = np.random.default_rng(split_seed).permutation(len(rows))
    images = (rows[order, :-1].reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    return images, rows[order, -1].astype(np.int32)


def _file_of_library() -> Path:
    """The file that `sklearn.datasets.load_digits` reads; importing that takes two seconds, and reading it 0.1 s.

    Raises:
      UsageError: if scikit-learn is not installed, or has no such file any more.
    """
    found = importlib.util.find_spec("sklearn")  # Imports nothing.
    folders = [] if found is None else list(found.submodule_search_locations or ())
    for folder in folders:
        path = Path(folder) / "datasets" / "data" / "digits.csv.gz"
        if path.is_file():
            return path
    raise UsageError(
        "digits needs the file datasets/data/digits.csv.gz of scikit-learn, which is not there: "
        "`pip install scikit-learn` brings it."
    )


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
