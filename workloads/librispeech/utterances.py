"""Prepared utterances, and batches of them."""

import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.machine import num_cores
from workloads.librispeech import preparation
from workloads.librispeech.corpus import SUBSETS

Batch = dict[str, Any]

MAX_WORKERS = 8
MIN_BYTES_PER_WORKER = 8 << 20  # Smaller pieces are filled faster than a thread wakes up.


def _empty(shape: tuple[int, ...]) -> np.ndarray:
    return np.empty(shape, np.float32)


class Utterances:
    """The utterances of a split, numbered consecutively; samples are memory-mapped.

    Args:
      folder: the folder with the prepared files.
      split: 'train', 'validation' or 'test'.
    """

    def __init__(self, folder: Path, split: str):
        self._shards: list[np.ndarray] = []
        tables: list[dict[str, np.ndarray]] = []
        shard_of, starts = [], []
        for subset in (subset for subset, of in SUBSETS.items() if of == split):
            with np.load(preparation.tables_path(folder, subset)) as loaded:
                table = dict(loaded)
            tables.append(table)
            first = 0
            for number, size in enumerate(table["shard_sizes"]):
                lengths = table["lengths"][first : first + size]
                path = preparation.samples_path(folder, f"{subset}_{number:03d}")
                shard_of.append(np.full(size, len(self._shards)))
                starts.append(np.cumsum(lengths) - lengths)
                # As a plain array, because slicing an np.memmap takes ten times as long.
                mapped = np.asarray(np.memmap(path, np.int16, "r")) if size else np.empty(0, np.int16)
                self._shards.append(mapped)
                first += size
        self.names = np.concatenate([table["names"] for table in tables])
        self._lengths = np.concatenate([table["lengths"] for table in tables])
        self._tokens = np.concatenate([table["tokens"] for table in tables])
        self._token_lengths = np.concatenate([table["token_lengths"] for table in tables])
        self._token_starts = np.cumsum(self._token_lengths) - self._token_lengths
        self._shard_of, self._starts = np.concatenate(shard_of), np.concatenate(starts)

    def __len__(self) -> int:
        return len(self._lengths)

    def samples(self, index: int) -> np.ndarray:
        """(length,) int16, a view of the file."""
        start = self._starts[index]
        return self._shards[self._shard_of[index]][start : start + self._lengths[index]]

    def tokens(self, index: int) -> np.ndarray:
        """(length,) uint16, EOS included."""
        start = self._token_starts[index]
        return self._tokens[start : start + self._token_lengths[index]]

    def batch(
        self,
        indices: np.ndarray,
        batch_size: int,
        max_samples: int,
        max_tokens: int,
        empty: Callable[[tuple[int, ...]], np.ndarray] = _empty,
    ) -> Batch:
        """`inputs` and `targets`, each (values, paddings) in float32; rows after the last utterance are padding.

        Args:
          indices: indices of the utterances.
          batch_size: number of rows, at least the number of indices.
          max_samples: length of the audio arrays.
          max_tokens: length of the target arrays.
          empty: makes float32 arrays with arbitrary content, for the audio.

        Returns:
          inputs: audio (batch_size, max_samples), sample values as they are, 0 where padded; paddings, 1 where padded.
          targets: token ids (batch_size, max_tokens), 0 where padded; paddings, 1 where padded.
        """
        # Targets are small, so only the audio comes from reused buffers.
        audio, paddings = empty((batch_size, max_samples)), empty((batch_size, max_samples))
        targets = np.zeros((batch_size, max_tokens), np.float32)
        target_paddings = np.ones((batch_size, max_tokens), np.float32)

        def fill(rows: range) -> None:
            for row in rows:
                if row >= len(indices):
                    audio[row], paddings[row] = 0, 1
                    continue
                samples, tokens = self.samples(indices[row]), self.tokens(indices[row])
                size = len(samples)
                audio[row, :size] = samples
                audio[row, size:] = 0
                paddings[row, :size] = 0
                paddings[row, size:] = 1
                targets[row, : len(tokens)] = tokens
                target_paddings[row, : len(tokens)] = 0

        pieces = _pieces(batch_size, audio.nbytes + paddings.nbytes)
        if len(pieces) == 1:
            fill(pieces[0])
        else:
            list(_pool().map(fill, pieces))
        return {"inputs": (audio, paddings), "targets": (targets, target_paddings)}


def _pieces(num_rows: int, num_bytes: int) -> list[range]:
    """Ranges of rows, one per thread."""
    num_pieces = max(1, min(MAX_WORKERS, num_cores(), num_rows, num_bytes // MIN_BYTES_PER_WORKER))
    limits = [num_rows * piece // num_pieces for piece in range(num_pieces + 1)]
    return [range(start, stop) for start, stop in zip(limits, limits[1:], strict=False)]


@functools.cache
def _pool() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(min(MAX_WORKERS, num_cores()), thread_name_prefix="librispeech")


def files_of_split(folder: Path, split: str) -> list[Path]:
    """The files from which `load_split` reads a split, but for the manifest."""
    found = []
    for subset in (subset for subset, of in SUBSETS.items() if of == split):
        path = preparation.tables_path(folder, subset)
        with np.load(path) as tables:
            num_shards = len(tables["shard_sizes"])
        shards = (preparation.samples_path(folder, f"{subset}_{n:03d}") for n in range(num_shards))
        found += [path, *shards]
    return found


def load_split(folder: Path, split: str) -> Utterances:
    """The utterances of a prepared split. The result is cached, because every evaluation asks for it."""
    return _load_split(folder, split, (folder / "manifest.json").stat().st_mtime_ns)


@functools.lru_cache(maxsize=6)
def _load_split(folder: Path, split: str, prepared_ns: int) -> Utterances:
    del prepared_ns  # Only a part of the cache key: the same process may prepare the data again.
    return Utterances(folder, split)
