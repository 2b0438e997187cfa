"""Input pipeline: raw WMT (or synthetic) pairs -> token arrays -> packed training rows, padded evaluation rows.

All variants share one folder: preparation depends on the vocabulary and on lengths only.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.data import manifest, prepared
from algoperf.data.prepared import num_examples
from algoperf.data.stream import epoch_permutation
from algoperf.workload import WorkloadSpec
from workloads.wmt import encoding, packing, synthesis
from workloads.wmt.packing import Batch


class WmtData(prepared.PreparedData):
    """See `PreparedData`."""

    file_format = encoding.FORMAT

    def settings(self, spec: WorkloadSpec) -> dict[str, Any]:
        return {
            "vocab_size": spec.model.vocab_size,
            "max_len": spec.model.max_len,
            "tokenizer_bytes": spec.data.tokenizer_bytes,
        }

    def describe(self, spec: WorkloadSpec) -> dict[str, Any]:
        return synthesis.describe(num_examples(spec), spec.data_instance)

    def make_raw(self, spec: WorkloadSpec, folder: Path, progress: bool, seed: int | None = None) -> None:
        synthesis.synthesize(folder, num_examples(spec), progress, seed or synthesis.SEED, spec.data_instance)

    def write(self, spec: WorkloadSpec, folder: Path, config: dict[str, Any], progress: bool) -> None:
        encoding.prepare(folder, config, num_examples(spec), progress)


RESEEDS = True
DATA = WmtData()
prepare, is_ready, verify, synthesize = DATA.prepare, DATA.is_ready, DATA.verify, DATA.synthesize


def training_files(spec: WorkloadSpec, folder: Path) -> list[Path]:
    """The pairs of training, and the vocabulary."""
    del spec
    return [folder / manifest.NAME, encoding.model_path(folder), *encoding.files_of_split(folder, "train")]


def train_stream(spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int) -> "PackedStream":
    """Endless packed rows; see `PackedStream`."""
    folder = Path(folder)
    DATA.require(spec, folder)
    pairs = encoding.load_pairs(folder, "train")
    return PackedStream(pairs, spec.model.max_len, spec.data.pack_group, seed, global_batch_size)


def eval_batches(spec: WorkloadSpec, folder: Path, split: str, batch_size: int) -> Iterator[Batch]:
    """One pass over 'eval_train', 'validation' or 'test' with keys `inputs`, `targets`, `weights`.

    Longest sources first: beam search runs until a batch's longest sentence ends, so similar lengths share a batch.
    """
    folder = Path(folder)
    stored = prepared.stored_split(split)
    DATA.require(spec, folder)
    pairs = encoding.load_pairs(folder, stored)
    # For 'eval_train', evenly spaced pairs are a fair sample, because the raw files are in random order already.
    indices = prepared.eval_indices(spec, split, len(pairs))
    indices = indices[np.argsort(-packing.sentence_lengths(pairs.inputs, indices), kind="stable")]
    return (
        packing.pad(pairs, indices[start : start + batch_size], spec.model.max_len, batch_size)
        for start in range(0, len(indices), batch_size)
    )


class PackedStream:
    """Endless training batches of packed rows, with an exact position (`algoperf.data.stream.Stream`).

    Each epoch takes all pairs in a new random order, the next epoch follows at once. Pairs are taken in groups
    of `pack_group`, and each group is packed separately. A batch is the next `batch_size` rows.
    """

    def __init__(self, pairs: encoding.Pairs, max_len: int, pack_group: int, seed: int, batch_size: int):
        self._pairs, self._max_len, self._pack_group = pairs, max_len, pack_group
        self._seed, self._batch_size = seed, batch_size
        self._orders: dict[int, np.ndarray] = {}
        # The next row to return; this pair is the whole position of the stream.
        self._group, self._row = 0, 0
        # The last group: several batches may take rows from it.
        self._packed: tuple[int, Batch] | None = None

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
        """Indices of the pairs of one group; a group may span two epochs."""
        numbers = group * self._pack_group + np.arange(self._pack_group)
        epochs, places = np.divmod(numbers, len(self._pairs))
        needed = range(int(epochs[0]), int(epochs[-1]) + 1)
        kept = {epoch: order for epoch, order in self._orders.items() if epoch in needed}
        for epoch in needed:
            if epoch not in kept:
                kept[epoch] = epoch_permutation(self._seed, epoch, len(self._pairs))
        self._orders = kept
        return np.concatenate([kept[epoch][places[epochs == epoch]] for epoch in needed])
