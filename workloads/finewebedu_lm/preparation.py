"""Encodes documents as flat files of token numbers: once, in parallel, resumable, in little memory.

In the data folder: `vocabulary.bpe` (see `byte_pairs`); `train.tokens` and `validation.tokens`, 16-bit numbers of whole
sequences, one after the other; `manifest.json`, written last. During preparation, `parts/` holds the tokens of the raw
files that are done.
"""

import collections
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from tqdm import tqdm

from algoperf import files
from algoperf.data import manifest, prepared
from algoperf.data.download import require_disk
from algoperf.data.jobs import run_jobs
from algoperf.spec import UsageError
from workloads.finewebedu_lm import byte_pairs, documents

FORMAT = 1  # Raise when prepared files change: older ones are then prepared again.
SPLITS = ("train", "validation")
TOKEN_TYPE = np.dtype("<u2")
"""Of stored token numbers, in the byte order of every machine that this runs on."""
GPT2_MERGES = "vocab.bpe"
COPY_BYTES = 1 << 24
# Parquet files are compressed to about 3 bytes per token; numbers take 2, and exist twice for a while.
DISK_PER_RAW_BYTE = 1.4
MIN_BYTES_FOR_PROCESSES = 50_000_000
"""Of raw files; less is encoded before worker processes have started."""


def tokens_path(folder: Path, split: str) -> Path:
    return folder / f"{split}.tokens"


def vocabulary_path(folder: Path) -> Path:
    return folder / "vocabulary.bpe"


def prepare(
    folder: Path,
    config: dict[str, Any],
    num_sequences: Mapping[str, int],
    progress: bool = True,
    num_processes: int | None = None,
) -> None:
    """Makes the vocabulary, encodes all documents, writes the manifest. Continues where an earlier call stopped.

    Args:
      folder: has the raw data in `folder/raw`; the results go here.
      config: 'tokenizer', 'vocab_size', 'tokenizer_bytes', 'seq_len', and all else that the prepared files depend on.
      num_sequences: split -> how many sequences are kept, the first ones.
      progress: whether to show progress bars.
      num_processes: that encode files; one per processor by default.

    Raises:
      UsageError: if raw data are missing, wrong or too few, or the disk is too full.
    """
    if manifest.is_complete(folder, config, FORMAT):
        return
    raw = documents.raw_files(folder / "raw")
    num_bytes = sum(path.stat().st_size for path in raw)
    parts = prepared.parts_folder(folder, FORMAT, config)
    done = sum(path.stat().st_size for path in parts.iterdir())
    require_disk(folder, max(int(DISK_PER_RAW_BYTE * num_bytes) - done, 0))
    (folder / manifest.NAME).unlink(missing_ok=True)
    vocabulary = vocabulary_path(parts)
    if not vocabulary.exists():
        byte_pairs.save(vocabulary, _pieces(folder / "raw", raw, config))

    todo = [path for path in raw if not _counts_path(parts, path).exists()]
    bar = tqdm(
        total=sum(map(documents.num_documents, todo)), desc="tokenize", unit="document", disable=not progress
    )
    with bar:
        in_processes = len(todo) > 1 and num_bytes > MIN_BYTES_FOR_PROCESSES
        run_jobs(_encode_file, [(path, parts) for path in todo], bar, in_processes, num_processes)

    counts = _counts(parts, raw)
    for split in SPLITS:
        _join(parts, raw, folder, split, num_sequences[split] * (config["seq_len"] + 1))
        counts[split]["sequences"] = num_sequences[split]
    files.write_bytes(vocabulary_path(folder), vocabulary.read_bytes())
    names = [vocabulary_path(folder).name, *(tokens_path(folder, split).name for split in SPLITS)]
    of_files = {name: manifest.entry(folder / name) for name in names}
    manifest.write(folder, FORMAT, config, splits=counts, files=of_files)
    shutil.rmtree(folder / "parts")


def _pieces(raw: Path, paths: Sequence[Path], config: Mapping[str, Any]) -> byte_pairs.Pieces:
    """The vocabulary without its end of text."""
    if config["tokenizer"] == "gpt2":
        return byte_pairs.read_gpt2(raw / GPT2_MERGES)
    return byte_pairs.train(
        byte_pairs.words_of(_training_texts(paths, config["tokenizer_bytes"])), config["vocab_size"] - 1
    )


def _training_texts(paths: Sequence[Path], num_bytes: int) -> Iterator[str]:
    """Documents of the training split until they have at least `num_bytes` bytes."""
    for path in paths:
        for batch in documents.texts(path):
            for text in batch:
                if text and documents.split_of(text.encode()) == "train":
                    yield text
                    num_bytes -= len(text.encode())
                    if num_bytes <= 0:
                        return


# ---- parts -----------------------------------------------------------------------------------------------------------


def _part_path(parts: Path, raw_file: Path, split: str) -> Path:
    return parts / f"{raw_file.stem}.{split}.tokens"


def _counts_path(parts: Path, raw_file: Path) -> Path:
    return parts / f"{raw_file.stem}.json"


def _encode_file(path: Path, parts: Path) -> int:
    """Writes the tokens of one raw file by split and, last, what it holds; returns the number of documents."""
    encoding = byte_pairs.load(vocabulary_path(parts))
    end = np.array([encoding.n_vocab - 1], TOKEN_TYPE).tobytes()
    counts: collections.Counter[str] = collections.Counter()
    with (
        files.writing(_part_path(parts, path, "train")) as train,
        files.writing(_part_path(parts, path, "validation")) as validation,
    ):
        target_of: dict[str, Any] = {"train": train, "validation": validation}
        for batch in documents.texts(path):
            for text in batch:
                counts["read"] += 1
                if not text:
                    counts["empty"] += 1
                    continue
                split = documents.split_of(text.encode())
                # `disallowed_special=()`: what looks like an end of text in a document is text.
                numbers = encoding.encode_to_numpy(text, disallowed_special=())
                target_of[split].write(numbers.astype(TOKEN_TYPE).tobytes())
                target_of[split].write(end)
                counts[f"{split}_documents"] += 1
                counts[f"{split}_tokens"] += len(numbers) + 1
    files.write_json(_counts_path(parts, path), dict(counts))
    return counts["read"]


def _counts(parts: Path, raw: Sequence[Path]) -> dict[str, dict[str, int]]:
    """Split -> what is counted -> how many, for the manifest."""
    total: collections.Counter[str] = collections.Counter()
    for path in raw:
        total.update(files.read_json(_counts_path(parts, path)))
    found = {
        split: {"documents": total[f"{split}_documents"], "tokens": total[f"{split}_tokens"]}
        for split in SPLITS
    }
    found["train"]["documents without text left out of all splits"] = total["empty"]
    return found


def _join(parts: Path, raw: Sequence[Path], folder: Path, split: str, num_tokens: int) -> None:
    """Parts -> the file of one split, cut after `num_tokens`.

    Raises:
      UsageError: if there are fewer.
    """
    missing = num_tokens * TOKEN_TYPE.itemsize
    with files.writing(tokens_path(folder, split)) as target:
        for path in raw:
            with _part_path(parts, path, split).open("rb") as source:
                missing -= _copy(source, target, missing)
        if missing:
            found = num_tokens - missing // TOKEN_TYPE.itemsize
            raise UsageError(
                f"The documents in {raw[0].parent} have {found:,} tokens for {split}; {num_tokens:,} are needed."
            )


def _copy(source: BinaryIO, target: Any, limit: int) -> int:
    """Copies up to `limit` bytes; returns how many."""
    size = min(limit, os.fstat(source.fileno()).st_size)
    left = size
    while left:
        left -= target.write(source.read(min(left, COPY_BYTES)))
    return size
