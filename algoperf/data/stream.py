"""Endless streams of training batches whose position can be saved; every workload's pipeline uses them."""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np

Batch = dict[str, np.ndarray]
Position = dict[str, int]
"""Where a stream is; what the numbers count is its own affair."""


class Stream(Protocol):
    """An endless iterator over NumPy batches with a restorable position."""

    def __iter__(self) -> "Stream": ...

    def __next__(self) -> Batch: ...

    def state(self) -> Position:
        """JSON-able position just after the last batch that was returned."""
        ...

    def set_state(self, state: Position) -> None:
        """Continues with the batch after that position."""
        ...


@runtime_checkable
class DivisibleStream(Stream, Protocol):
    """One that can make a share of every batch, for one of several processes.

    Without, every process makes whole batches and keeps its share.
    """

    def keep_rows(self, rows: slice) -> None:
        """From now on batches have only these of their rows."""


def epoch_permutation(seed: int, epoch: int, size: int) -> np.ndarray:
    """The shuffled order of `size` examples in one epoch, a pure function of its arguments."""
    # A generator per epoch, so that a run can continue in any epoch without drawing the earlier ones.
    return np.random.default_rng([seed, epoch]).permutation(size)


class ShuffledStream:
    """Batches of indexed examples. Each epoch is a permutation; its incomplete last batch is dropped.

    Args:
      size: number of examples.
      batch_size: rows per batch; if there are fewer examples than that, batches run over epoch boundaries.
      seed: fixes the order of the examples.
      fetch: makes the batch from (batch_size,) indices and the number of the epoch.
    """

    def __init__(self, size: int, batch_size: int, seed: int, fetch: Callable[[np.ndarray, int], Batch]):
        self._size, self._batch_size, self._seed, self._fetch = size, batch_size, seed, fetch
        self._next_batch = 0
        self._rows = slice(None)
        self._epoch, self._order = -1, np.empty(0, np.int64)

    def __iter__(self) -> "ShuffledStream":
        return self

    def _epoch_order(self, epoch: int) -> np.ndarray:
        if epoch != self._epoch:
            self._order, self._epoch = epoch_permutation(self._seed, epoch, self._size), epoch
        return self._order

    def __next__(self) -> Batch:
        per_epoch = self._size // self._batch_size
        if per_epoch:
            epoch, position = divmod(self._next_batch, per_epoch)
            start = position * self._batch_size
            indices = self._epoch_order(epoch)[start : start + self._batch_size]
        else:
            # Fewer examples than rows: the examples of successive epochs form one sequence, which is cut into
            # batches.
            flat = np.arange(self._next_batch * self._batch_size, (self._next_batch + 1) * self._batch_size)
            epoch = int(flat[0] // self._size)
            parts = [
                self._epoch_order(e)[flat[flat // self._size == e] % self._size]
                for e in np.unique(flat // self._size)
            ]
            indices = np.concatenate(parts)
        self._next_batch += 1
        # Rows are selected last, so all processes agree on the order of the whole batch.
        return self._fetch(indices[self._rows], epoch)

    def keep_rows(self, rows: slice) -> None:
        """From now on, batches hold only these rows."""
        self._rows = rows

    def state(self) -> Position:
        return {"next_batch": self._next_batch}

    def set_state(self, state: Position) -> None:
        self._next_batch = int(state["next_batch"])
