"""Input pipeline: OGB's text files -> flat arrays -> graphs in shuffled order, packed within budgets.

All variants share one folder: preparation depends on the release only.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.data import prepared
from algoperf.data.prepared import num_examples
from algoperf.data.stream import Batch, epoch_permutation
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec
from workloads.ogbg import preparation, synthesis
from workloads.ogbg.batching import Batcher, Budget, Molecules

SHARDED = True
"""Streams take `num_shards`: node indices count through a whole batch, so it cannot be cut into shards later."""


class OgbgData(prepared.PreparedData):
    """See `PreparedData`."""

    file_format = preparation.FORMAT
    next_step = "Then, to continue"

    def settings(self, spec: WorkloadSpec) -> dict[str, Any]:
        return {"num_tasks": spec.model.num_outputs, "splits": num_examples(spec)}

    def describe(self, spec: WorkloadSpec) -> dict[str, Any]:
        return synthesis.describe(spec)

    def make_raw(self, spec: WorkloadSpec, folder: Path, progress: bool, seed: int | None = None) -> None:
        synthesis.synthesize(spec, folder, progress, seed or synthesis.SEED)

    def write(self, spec: WorkloadSpec, folder: Path, config: dict[str, Any], progress: bool) -> None:
        preparation.prepare(folder, config, progress)

    def counts(self, spec: WorkloadSpec, folder: Path) -> dict[str, dict[str, int]]:
        molecules = Molecules(folder)
        counts = {}
        for split in preparation.SPLITS:
            members = _members(spec, folder, split)
            counts[split] = {
                "molecules": len(members),
                "atoms": int(molecules.node_counts[members].sum()),
                "bonds": int(molecules.bond_counts[members].sum()),
                "labels": int((molecules.labels[members] >= 0).sum()),
            }
        return counts


RESEEDS = True
DATA = OgbgData()
prepare, is_ready, verify, synthesize = DATA.prepare, DATA.is_ready, DATA.verify, DATA.synthesize


def _members(spec: WorkloadSpec, folder: Path, split: str) -> np.ndarray:
    """The molecules' numbers of a split in ascending order; 'eval_train' is an evenly spaced subset of 'train'."""
    stored = "train" if split == "train" else prepared.stored_split(split)
    # The release lists a split by scaffold. Sorted by number, evenly spaced members cover all kinds of molecules.
    members = np.sort(preparation.load(folder, stored).astype(np.int64))
    return members[prepared.eval_indices(spec, split, len(members))]


def _batcher(
    spec: WorkloadSpec, folder: Path, members: np.ndarray, global_batch_size: int, num_shards: int
) -> Batcher:
    per_shard = global_batch_size // num_shards
    if not per_shard:
        raise UsageError(f"A batch of {global_batch_size} graphs is too small for {num_shards} devices.")
    one = Budget(1, spec.data.max_nodes_per_graph, spec.data.max_edges_per_graph)
    budget = Budget(per_shard, per_shard * one.num_nodes, per_shard * one.num_edges)
    batcher = Batcher(Molecules(folder), budget, num_shards)
    batcher.check_fit(members, one)
    return batcher


def write_training_part(spec: WorkloadSpec, folder: Path, target: Path) -> bool:
    """The molecules of training under their numbers; the others are there with no atoms, bonds and labels."""
    preparation.write_part(Path(folder), target, _members(spec, folder, "train"))
    return True


def train_stream(
    spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int, num_shards: int = 1
) -> "GraphStream":
    """Endless batches; see `GraphStream` and, for their shapes, `batching.Batcher.make`.

    Args:
      spec: the workload; its data settings give the budgets.
      folder: prepared data.
      seed: determines the order of molecules.
      global_batch_size: largest number of graphs in a batch; the node and edge budgets are proportional to it.
      num_shards: equal parts of each array of a batch, one per device.

    Raises:
      UsageError: if there are no prepared data or a molecule does not fit into a batch.
    """
    folder = Path(folder)
    DATA.require(spec, folder)
    members = _members(spec, folder, "train")
    batcher = _batcher(spec, folder, members, global_batch_size, num_shards)
    return GraphStream(members, batcher, seed, num_shards)


class GraphStream:
    """Endless training batches with an exact position (`algoperf.data.stream.Stream`).

    Each epoch takes all molecules in a new random order; a batch may span two epochs. A shard takes
    molecules as long as they fit, so a batch's number of molecules varies; the position is the running number of
    the next molecule.
    """

    def __init__(self, members: np.ndarray, batcher: Batcher, seed: int, num_shards: int):
        self._members, self._batcher, self._seed, self._num_shards = members, batcher, seed, num_shards
        self._next_graph = 0
        self._orders: dict[int, np.ndarray] = {}

    def __iter__(self) -> "GraphStream":
        return self

    def _order(self, epoch: int) -> np.ndarray:
        if epoch not in self._orders:
            # A batch can start in one epoch and end in the next, so the previous order is kept; older ones are not
            # needed.
            self._orders = {old: order for old, order in self._orders.items() if old == epoch - 1}
            self._orders[epoch] = self._members[epoch_permutation(self._seed, epoch, len(self._members))]
        return self._orders[epoch]

    def _take(self, start: int, count: int) -> np.ndarray:
        """The numbers of `count` molecules, starting at running number `start`, across epochs if needed."""
        epoch, place = divmod(start, len(self._members))
        parts = [self._order(epoch)[place : place + count]]
        while sum(map(len, parts)) < count:
            epoch += 1
            parts.append(self._order(epoch)[: count - sum(map(len, parts))])
        return np.concatenate(parts)

    def __next__(self) -> Batch:
        shards = []
        for _ in range(self._num_shards):
            candidates = self._take(self._next_graph, self._batcher.budget.num_graphs)
            shards.append(candidates[: self._batcher.count_that_fit(candidates)])
            self._next_graph += len(shards[-1])
        return self._batcher.make(shards)

    def state(self) -> dict[str, Any]:
        return {"next_graph": self._next_graph}

    def set_state(self, state: dict[str, Any]) -> None:
        self._next_graph = int(state["next_graph"])


def eval_batches(
    spec: WorkloadSpec, folder: Path, split: str, batch_size: int, num_shards: int = 1
) -> Iterator[Batch]:
    """One pass over 'eval_train', 'validation' or 'test': every molecule once, for any `num_shards`.

    All batches have the shape of training batches; the last one is padded. Their number depends on molecule sizes.
    """
    # Called for its error: an unknown name must fail before the data is checked.
    prepared.stored_split(split)
    folder = Path(folder)
    DATA.require(spec, folder)
    members = _members(spec, folder, split)
    batcher = _batcher(spec, folder, members, batch_size, num_shards)
    return _packed(members, batcher, num_shards)


def _packed(members: np.ndarray, batcher: Batcher, num_shards: int) -> Iterator[Batch]:
    shards: list[np.ndarray] = []
    while len(members):
        count = batcher.count_that_fit(members)
        shards.append(members[:count])
        members = members[count:]
        if len(shards) == num_shards or not len(members):
            yield batcher.make(shards)
            shards = []
