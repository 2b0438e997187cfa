"""Encodes raw pairs as token ids in flat memory-mapped arrays: once, in parallel, resumable.

In the data folder: `tokenizer.model`; per split and side `<split>_<side>_tokens.npy` (all ids in one row, in the
smallest type that holds the vocabulary) and `<split>_<side>_offsets.npy` (sentence i is tokens[offsets[i] :
offsets[i + 1]]); `manifest.json`, written last. During preparation, `parts/` holds the finished pieces.
"""

import dataclasses
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from algoperf import files
from algoperf.data import manifest, prepared
from algoperf.data.download import require_disk
from algoperf.data.jobs import run_jobs
from algoperf.spec import UsageError
from workloads.wmt import corpus, tokenizer

FORMAT = 1  # Raise when prepared files change: older ones are then prepared again.
SPLITS = ("train", "validation", "test")
SIDES = ("inputs", "targets")
# About 120 parts of the real training split: enough for all processors, and an interruption loses little
# work.
PAIRS_PER_PART = 50_000
MAX_PARTS_IN_PROCESS = 3  # Encoding up to 3 parts takes less time than starting worker processes.
# An id takes 2 bytes and stands for about 4.3 bytes of raw text; ids exist twice for a while, in parts and in the
# final arrays.
DISK_PER_RAW_BYTE = 1.2


@dataclasses.dataclass(frozen=True)
class Sentences:
    """All sentences of one side of one split."""

    tokens: np.ndarray
    """(sum of lengths,) token ids of all sentences, one after the other."""
    offsets: np.ndarray
    """(sentences + 1,) index in `tokens` at which each sentence starts."""

    def __len__(self) -> int:
        return len(self.offsets) - 1


@dataclasses.dataclass(frozen=True)
class Pairs:
    """One split: German `inputs` and English `targets` of the same length."""

    inputs: Sentences
    targets: Sentences

    def __len__(self) -> int:
        return len(self.inputs)


def model_path(folder: Path) -> Path:
    return folder / "tokenizer.model"


def array_path(folder: Path, split: str, side: str, part: str) -> Path:
    return folder / f"{split}_{side}_{part}.npy"


def files_of_split(folder: Path, split: str) -> list[Path]:
    """The files from which `load_pairs` reads a split."""
    return [array_path(folder, *key) for key in _array_keys() if key[0] == split]


def load_pairs(folder: Path, split: str) -> Pairs:
    """A prepared split, memory-mapped."""

    def side(name: str) -> Sentences:
        arrays = (
            np.load(array_path(folder, split, name, part), mmap_mode="r") for part in ("tokens", "offsets")
        )
        return Sentences(*arrays)

    return Pairs(side("inputs"), side("targets"))


# ---- preparation -----------------------------------------------------------------------------------------------


def prepare(folder: Path, config: dict[str, Any], num_pairs: dict[str, int], progress: bool = True) -> None:
    """Trains the vocabulary, encodes all splits, writes the manifest. Continues where an earlier call stopped.

    Args:
      folder: has the raw data in `folder/raw`; the results go here.
      config: 'vocab_size', 'max_len', 'tokenizer_bytes', and all else that the prepared files depend on.
      num_pairs: split -> number of pairs that the raw data must have.
      progress: whether to show progress bars.

    Raises:
      UsageError: if raw data are missing or of the wrong size, or the disk is too full.
    """
    if manifest.is_complete(folder, config, FORMAT):
        return
    raw = folder / "raw"
    splits = {split: corpus.RawSplit(raw, split) for split in SPLITS}
    for split, source in splits.items():
        if len(source) != num_pairs[split]:
            where = f"{raw / corpus.DATASET_OF_SPLIT[split]}, split {split!r},"
            raise UsageError(f"{where} has {len(source):,} pairs; {num_pairs[split]:,} are expected.")
    require_disk(folder, int(DISK_PER_RAW_BYTE * sum(source.num_bytes for source in splits.values())))

    (folder / manifest.NAME).unlink(missing_ok=True)
    parts = prepared.parts_folder(folder, FORMAT, config)
    trained = parts / "tokenizer.model"
    if not trained.exists():
        text = tokenizer.training_text(splits["train"].pairs(), config["tokenizer_bytes"])
        lines = tqdm(text, desc="vocabulary", unit="line", disable=not progress)
        files.write_bytes(trained, tokenizer.train(lines, config["vocab_size"]))
    _encode_parts(raw, parts, {split: len(source) for split, source in splits.items()}, config, progress)

    # uint16 for the vocabularies here: half of int32's disk and page cache.
    dtype = np.min_scalar_type(config["vocab_size"] - 1)
    counts = {split: _join_parts(parts, folder, split, len(splits[split]), dtype) for split in SPLITS}
    files.write_bytes(model_path(folder), trained.read_bytes())
    names = [model_path(folder).name]
    names += [array_path(folder, *key).name for key in _array_keys()]
    of_files = {name: manifest.entry(folder / name) for name in names}
    manifest.write(folder, FORMAT, config, splits=counts, files=of_files)
    shutil.rmtree(folder / "parts")


def _array_keys() -> Iterator[tuple[str, str, str]]:
    return ((split, side, part) for split in SPLITS for side in SIDES for part in ("tokens", "offsets"))


def _ranges(size: int) -> Iterator[tuple[int, int]]:
    return ((start, min(start + PAIRS_PER_PART, size)) for start in range(0, size, PAIRS_PER_PART))


def _part_path(parts: Path, split: str, start: int) -> Path:
    return parts / f"{split}-{start:09d}.npz"


def _encode_parts(
    raw: Path, parts: Path, sizes: dict[str, int], config: dict[str, Any], progress: bool
) -> None:
    """Encodes all parts that do not exist yet, one part at a time per processor."""
    todo = [(split, *limits) for split in SPLITS for limits in _ranges(sizes[split])]
    todo = [job for job in todo if not _part_path(parts, job[0], job[1]).exists()]
    arguments = [(raw, parts, *job, config["max_len"]) for job in todo]
    bar = tqdm(
        total=sum(stop - start for _, start, stop in todo), desc="tokenise", unit="pair", disable=not progress
    )
    with bar:
        run_jobs(_encode_part, arguments, bar, in_processes=len(todo) > MAX_PARTS_IN_PROCESS)


def _encode_part(raw: Path, parts: Path, split: str, start: int, stop: int, max_len: int) -> int:
    """Writes one part: ids and lengths of all pairs with at most `max_len` tokens on both sides."""
    processor = tokenizer.load(parts / "tokenizer.model")
    pairs = list(corpus.open_split(raw, split).pairs(start, stop))
    encoded = [processor.encode([pair[side] for pair in pairs]) for side in (0, 1)]
    kept = [ids for ids in zip(*encoded, strict=True) if max(map(len, ids)) <= max_len]
    arrays: dict[str, Any] = {"num_read": np.int64(stop - start), "num_not_empty": np.int64(len(pairs))}
    for side, sentences in zip(SIDES, zip(*kept, strict=True) if kept else ((), ()), strict=True):
        arrays[f"{side}_lengths"] = np.fromiter(map(len, sentences), np.int64, len(sentences))
        total = int(arrays[f"{side}_lengths"].sum())
        arrays[f"{side}_tokens"] = np.fromiter((i for ids in sentences for i in ids), np.int32, total)
    with files.writing(_part_path(parts, split, start)) as file:
        np.savez(file, **arrays)
    return stop - start


def _join_parts(parts: Path, folder: Path, split: str, size: int, dtype: np.dtype) -> dict[str, int]:
    """Parts -> final arrays of one split; returns counts for the manifest."""
    paths = [_part_path(parts, split, start) for start, _ in _ranges(size)]
    counts = {"read": 0, "empty": 0, "too_long": 0, "kept": 0}
    for path in paths:
        with np.load(path) as part:
            num_read, num_not_empty = int(part["num_read"]), int(part["num_not_empty"])
            num_kept = len(part["inputs_lengths"])
        counts["read"] += num_read
        counts["empty"] += num_read - num_not_empty
        counts["too_long"] += num_not_empty - num_kept
        counts["kept"] += num_kept
    for side in SIDES:
        offsets = np.zeros(counts["kept"] + 1, np.int64)
        lengths = [np.load(path)[f"{side}_lengths"] for path in paths]
        np.cumsum(np.concatenate(lengths), out=offsets[1:])
        with files.replacing(array_path(folder, split, side, "tokens")) as temporary:
            tokens = np.lib.format.open_memmap(temporary, "w+", dtype, (int(offsets[-1]),))
            position = 0
            for path in paths:
                piece = np.load(path)[f"{side}_tokens"]
                tokens[position : position + len(piece)] = piece
                position += len(piece)
            # Written to disk and closed before the file is renamed.
            tokens.flush()
            del tokens
        with files.writing(array_path(folder, split, side, "offsets")) as file:
            np.save(file, offsets)
        counts[f"{side}_tokens"] = int(offsets[-1])
    return counts
