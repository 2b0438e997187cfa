"""Criteo data: day files -> packed rows -> batches that are contiguous blocks of rows, in shuffled order.

All variants share one folder: preparation depends on the hash buckets only.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.data import manifest, prepared
from algoperf.data.stream import Batch, epoch_permutation
from algoperf.workload import WorkloadSpec
from workloads.criteo1tb import shards, synthesis
from workloads.criteo1tb.rows import NUM_CATEGORICAL, NUM_DENSE, layout_of

# `eval_train` consists of runs of this many rows, evenly spaced over all training days. A run is 119 kB, long
# enough for fast reads.
EVAL_TRAIN_RUN = 1_024


class CriteoData(prepared.PreparedData):
    """See `PreparedData`."""

    file_format = shards.FORMAT
    next_step = "Then, to continue"

    def settings(self, spec: WorkloadSpec) -> dict[str, Any]:
        return {"bucket_counts": list(spec.data.bucket_counts), "num_days": spec.data.num_days}

    def describe(self, spec: WorkloadSpec) -> dict[str, Any]:
        return synthesis.describe(spec)

    def make_raw(self, spec: WorkloadSpec, folder: Path, progress: bool, seed: int | None = None) -> None:
        synthesis.synthesize(spec, folder, progress, seed or synthesis.SEED)

    def write(self, spec: WorkloadSpec, folder: Path, config: dict[str, Any], progress: bool) -> None:
        shards.prepare(folder, config, spec.num_train_examples, _num_held_out(spec), progress)

    def is_ready(self, spec: WorkloadSpec, folder: Path) -> bool:
        """Whether `folder` holds complete prepared data for `spec`; looks at names, sizes and numbers of rows only."""
        if not super().is_ready(spec, folder):
            return False
        rows = self.manifest(Path(folder))["rows"]
        return sum(rows[:-1]) == spec.num_train_examples and rows[-1] == _num_held_out(spec)

    def counts(self, spec: WorkloadSpec, folder: Path) -> dict[str, dict[str, int]]:
        return {split: {"rows": size} for split, (_, _, size) in _ranges(spec).items()}


RESEEDS = True
DATA = CriteoData()
prepare, is_ready, verify, synthesize = DATA.prepare, DATA.is_ready, DATA.verify, DATA.synthesize


def _num_held_out(spec: WorkloadSpec) -> int:
    """Rows of the last day."""
    return prepared.num_test_examples(spec) + spec.num_validation_examples


def _ranges(spec: WorkloadSpec) -> dict[str, tuple[range, int, int]]:
    """Split -> (its days, its first row in them, its number of rows)."""
    last = spec.data.num_days - 1
    return {
        "train": (range(last), 0, spec.num_train_examples),
        # AlgoPerf's split of the last day: the test split comes first.
        "test": (range(last, last + 1), 0, prepared.num_test_examples(spec)),
        "validation": (range(last, last + 1), prepared.num_test_examples(spec), spec.num_validation_examples),
    }


def _open(spec: WorkloadSpec, folder: Path, split: str) -> shards.Shards:
    DATA.require(spec, folder)
    return shards.Shards(folder, _ranges(spec)[split][0], layout_of(spec.data.bucket_counts))


def _empty(num_rows: int) -> Batch:
    return {
        "inputs": np.empty((num_rows, NUM_DENSE + NUM_CATEGORICAL), np.float32),
        "targets": np.empty((num_rows, 1), np.float32),
    }


def training_files(spec: WorkloadSpec, folder: Path) -> list[Path]:
    """All days but the last."""
    days = _ranges(spec)["train"][0]
    return [folder / manifest.NAME, *(shards.rows_path(folder, day) for day in days)]


def train_stream(spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int) -> "BlockStream":
    """Endless training batches; see `BlockStream`."""
    return BlockStream(_open(spec, Path(folder), "train"), seed, global_batch_size)


class BlockStream:
    """Endless training batches with an exact position (`algoperf.data.stream.Stream`).

    A batch is one block: `batch_size` consecutive rows of the training days, in the order of the raw files; a block
    may reach from one day into the next. Each epoch takes all blocks in a new random order. Rows that do not fill a
    block are left out, so each epoch starts its first block at another random row.
    """

    def __init__(self, rows: shards.Shards, seed: int, batch_size: int):
        self._rows, self._seed, self._batch_size = rows, seed, batch_size
        # If a batch has more rows than the data, it repeats them.
        self._num_blocks = max(1, len(rows) // batch_size)
        self._next_batch = 0
        self._epoch, self._order, self._first_row = -1, np.empty(0, np.int64), 0

    def __iter__(self) -> "BlockStream":
        return self

    def __next__(self) -> Batch:
        epoch, index = divmod(self._next_batch, self._num_blocks)
        if epoch != self._epoch:
            self._epoch, self._order = epoch, epoch_permutation(self._seed, epoch, self._num_blocks)
            left_out = max(0, len(self._rows) - self._num_blocks * self._batch_size)
            # The 1 keeps this draw apart from those of the permutation, whose generator has the seed [seed,
            # epoch].
            self._first_row = int(np.random.default_rng([self._seed, epoch, 1]).integers(left_out + 1))
        batch = _empty(self._batch_size)
        start = self._first_row + int(self._order[index]) * self._batch_size
        self._rows.read(start, batch["inputs"], batch["targets"])
        self._next_batch += 1
        return batch

    def state(self) -> dict[str, Any]:
        return {"next_batch": self._next_batch}

    def set_state(self, state: dict[str, Any]) -> None:
        self._next_batch = int(state["next_batch"])


def eval_batches(spec: WorkloadSpec, folder: Path, split: str, batch_size: int) -> Iterator[Batch]:
    """One pass over 'eval_train', 'validation' or 'test' with keys `inputs`, `targets`, `weights`."""
    within = prepared.stored_split(split)
    _, first_row, size = _ranges(spec)[within]
    rows = _open(spec, Path(folder), within)
    spans = [(first_row, size)]
    if split == "eval_train":
        spans = spread_spans(len(rows), min(spec.num_eval_train_examples, len(rows)))
    return _padded_batches(rows, spans, batch_size)


def spread_spans(num_rows: int, size: int) -> list[tuple[int, int]]:
    """(start, length) of runs with `size` rows in total, spread over `num_rows` rows with equal gaps.

    >>> spread_spans(num_rows=10_000, size=2_000)
    [(0, 1024), (5024, 976)]
    """
    num_runs = -(-size // EVAL_TRAIN_RUN)
    runs = range(0, size, EVAL_TRAIN_RUN)
    gaps = ((num_rows - size) * run // num_runs for run in range(num_runs))
    return [(start + gap, min(EVAL_TRAIN_RUN, size - start)) for start, gap in zip(runs, gaps, strict=True)]


def _padded_batches(rows: shards.Shards, spans: list[tuple[int, int]], batch_size: int) -> Iterator[Batch]:
    batch, filled = _empty(batch_size), 0
    for start, length in spans:
        while length:
            stop = min(filled + length, batch_size)
            rows.read(start, batch["inputs"][filled:stop], batch["targets"][filled:stop])
            start, length, filled = start + stop - filled, length - (stop - filled), stop
            if filled == batch_size:
                yield batch | {"weights": np.ones((batch_size, 1), np.float32)}
                batch, filled = _empty(batch_size), 0
    if filled:
        for value in batch.values():
            value[filled:] = 0
        yield batch | {"weights": (np.arange(batch_size) < filled).astype(np.float32)[:, None]}
