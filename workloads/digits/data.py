"""Batches of scikit-learn's 1,797 scanned digits; no data folder is read."""

import functools
import importlib.util
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from algoperf.data import locate
from algoperf.data.stream import Batch, ShuffledStream
from algoperf.spec import no_such
from algoperf.workload import WorkloadSpec

NEEDS_FILES = False
PART = "training.npz"
PREFETCH = 0  # Making a batch, two array look-ups, takes less time than passing it between threads.


@functools.cache
def _all_examples(split_seed: int) -> tuple[np.ndarray, np.ndarray]:
    """(1797, 8, 8, 1) float32 images in [0, 1] and (1797,) int32 digits, in a fixed shuffled order."""
    rows = _rows()
    order = np.random.default_rng(split_seed).permutation(len(rows))
    # Pixels are counts from 0 to 16.
    images = (rows[order, :-1].reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    return images, rows[order, -1].astype(np.int32)


def _rows() -> np.ndarray:
    """(1797, 65): pixels and digit of each example, in the order of scikit-learn."""
    for place in _of_sklearn():
        if (path := place / "digits.csv.gz").is_file():  # Its import takes a second.
            return np.loadtxt(path, delimiter=",")
    from sklearn.datasets import load_digits

    digits = load_digits()
    return np.column_stack([digits.data, digits.target])


def _of_sklearn() -> list[Path]:
    """The folder with the data sets that come with scikit-learn."""
    found = importlib.util.find_spec("sklearn")
    places = None if found is None else found.submodule_search_locations
    return [Path(place) / "datasets" / "data" for place in places or ()]


def load_split(spec: WorkloadSpec, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Images and digits of 'train', 'eval_train', 'validation' or 'test'."""
    images, targets = _all_examples(spec.data.split_seed)
    train_end = spec.num_train_examples
    validation_end = train_end + spec.num_validation_examples
    rows = {
        "train": slice(0, train_end),
        "eval_train": slice(0, spec.num_eval_train_examples),
        "validation": slice(train_end, validation_end),
    }
    if spec.num_test_examples is not None:
        rows["test"] = slice(validation_end, validation_end + spec.num_test_examples)
    if split not in rows:
        raise no_such("split", split, list(rows))
    return images[rows[split]], targets[rows[split]]


def write_training_part(spec: WorkloadSpec, folder: Path, target: Path) -> bool:
    """The training examples, which else lie in one file with the others."""
    del folder
    images, targets = load_split(spec, "train")
    np.savez(target / PART, images=images, targets=targets)
    return True


def held_out_files(spec: WorkloadSpec) -> list[Path]:
    """The data sets that come with scikit-learn."""
    del spec
    return _of_sklearn()


def _training_examples(spec: WorkloadSpec) -> tuple[np.ndarray, np.ndarray]:
    part = locate.training_part()
    if part is None:
        return load_split(spec, "train")
    with np.load(part / PART) as found:
        return found["images"], found["targets"]


def train_stream(spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int) -> ShuffledStream:
    """Endless shuffled batches: inputs (B, 8, 8, 1) float32, targets (B,) int32."""
    del folder
    images, targets = _training_examples(spec)

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
