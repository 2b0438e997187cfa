"""Where batches come from: raw WMT (or synthetic) pairs -> token arrays -> packed training rows, padded eval rows.

All variants share one folder: preparation depends on the vocabulary and on lengths only.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.data import manifest, prepared
from algoperf.data.stream import epoch_permutation
from algoperf.spec import UsageError, no_such
from algoperf.workload import WorkloadSpec
from workloads.wmt import encoding, packing, synthesis
from workloads.wmt.packing import Batch


def _config(spec: WorkloadSpec) -> dict[str, Any]:
    """All that prepared files depend on."""
    config = {
        "vocab_size": spec.model.vocab_size,
        "max_len": spec.model.max_len,
        "tokenizer_bytes": spec.data.tokenizer_bytes,
    }
    return config | {"synthesis": synthesis.describe(_num_pairs(spec))} if spec.is_mini else config


def _num_pairs(spec: WorkloadSpec) -> dict[str, int]:
    counts = (spec.num_train_examples, spec.num_validation_examples, spec.num_test_examples)
    return dict(zip(encoding.SPLITS, counts, strict=True))


def synthesize(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Writes the raw files of the mini workload, the same ones on every machine; nothing if they are there."""
    synthesis.synthesize(Path(folder), _num_pairs(spec), progress)


def prepare(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Raw files in `folder/raw` -> token arrays in `folder`; continues where an earlier call stopped."""
    folder = Path(folder)
    try:
        encoding.prepare(folder, _config(spec), _num_pairs(spec), progress)
    except UsageError as error:
        raise UsageError(
            f"{error} To fetch and prepare the data: {prepared.setup_command(spec, folder)}"
        ) from error


def is_ready(spec: WorkloadSpec, folder: Path) -> bool:
    """Whether `folder` holds complete prepared data for `spec`; looks at names and sizes only."""
    return encoding.is_complete(Path(folder), _config(spec))


def verify(spec: WorkloadSpec, folder: Path, progress: bool = True) -> dict[str, Any]:
    """Reads every prepared file and compares checksums; returns split -> counts.

    Raises:
      UsageError: if data are missing or damaged.
    """
    folder = Path(folder)
    prepared.require(is_ready(spec, folder), spec, folder)
    prepared.require_undamaged(spec, folder, progress)
    return manifest.read(folder)["splits"]


def train_stream(spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int) -> "PackedStream":
    """Endless packed rows; see `PackedStream`."""
    folder = Path(folder)
    prepared.require(is_ready(spec, folder), spec, folder)
    pairs = encoding.load_pairs(folder, "train")
    return PackedStream(pairs, spec.model.max_len, spec.data.pack_group, seed, global_batch_size)


def eval_batches(spec: WorkloadSpec, folder: Path, split: str, batch_size: int) -> Iterator[Batch]:
    """One pass over 'eval_train', 'validation' or 'test' with keys `inputs`, `targets`, `weights`.

    Longest sources first: beam search ends a batch when its last sentence is done, so like goes with like.
    """
    folder = Path(folder)
    if split not in ("eval_train", "validation", "test"):
        raise no_such("evaluation split", split, ("eval_train", "validation", "test"))
    prepared.require(is_ready(spec, folder), spec, folder)
    pairs = encoding.load_pairs(folder, "train" if split == "eval_train" else split)
    size = min(spec.num_eval_train_examples, len(pairs)) if split == "eval_train" else len(pairs)
    indices = np.arange(size) * len(pairs) // size  # Evenly spaced; raw files are already in random order.
    indices = indices[np.argsort(-packing.sentence_lengths(pairs.inputs, indices), kind="stable")]
    return (
        packing.pad(pairs, indices[start : start + batch_size], spec.model.max_len, batch_size)
        for start in range(0, size, batch_size)
    )


class PackedStream:
    """Endless training batches of packed rows, with an exact position (`algoperf.data.stream.Stream`).

    Epochs follow each other without a seam: pairs in the order of a fresh permutation per epoch, taken in groups
    of `pack_group`, each packed by itself. A batch is the next `batch_size` rows.
    """

    def __init__(self, pairs: encoding.Pairs, max_len: int, pack_group: int, seed: int, batch_size: int):
        self._pairs, self._max_len, self._pack_group = pairs, max_len, pack_group
        self._seed, self._batch_size = seed, batch_size
        self._orders: dict[int, np.ndarray] = {}
        self._group, self._row = 0, 0  # The next row to give out.
        self._packed: tuple[int, Batch] | None = None  # The group packed last.

    def __iter__(self) -> "PackedStream":
        return self

    def __next__(self) -> Batch:
        pieces: list[Batch] = []
        missing = self._batch_size
        while missing:
            packed = self._pack(self._group)
            stop = min(self._row + missing, len(packed["weights"]))
            pieces.append({key: array[self._row : stop] for key, array in packed.items()})
            missing -= stop - self._row
            self._row = stop
            if stop == len(packed["weights"]):
                self._group, self._row = self._group + 1, 0
        return {key: np.concatenate([piece[key] for piece in pieces]) for key in pieces[0]}

    def state(self) -> dict[str, Any]:
        return {"group": self._group, "row": self._row}

    def set_state(self, state: dict[str, Any]) -> None:
        self._group, self._row = int(state["group"]), int(state["row"])

    def _pack(self, group: int) -> Batch:
        if self._packed is None or self._packed[0] != group:
            self._packed = group, packing.pack(self._pairs, self._indices(group), self._max_len)
        return self._packed[1]

    def _indices(self, group: int) -> np.ndarray:
        """Positions in the data of the pairs of one group, which may reach over the end of an epoch."""
        numbers = group * self._pack_group + np.arange(self._pack_group)
        epochs, places = np.divmod(numbers, len(self._pairs))
        needed = range(int(epochs[0]), int(epochs[-1]) + 1)
        kept = {epoch: order for epoch, order in self._orders.items() if epoch in needed}
        for epoch in needed:
            if epoch not in kept:
                kept[epoch] = epoch_permutation(self._seed, epoch, len(self._pairs))
        self._orders = kept
        return np.concatenate([kept[epoch][places[epochs == epoch]] for epoch in needed])
