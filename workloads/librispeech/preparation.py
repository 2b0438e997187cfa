"""Preparation: raw tree -> flat arrays, by several threads, resumable by shards of utterances.

In the data folder:

- `tokenizer.model`, the SentencePiece model;
- `<subset>_<shard>.samples`, the concatenated 16-bit samples of a shard's utterances;
- `<subset>.npz`, names, lengths and tokens of the utterances: see `Utterances` in `utterances.py`;
- `manifest.json`, written last.

During preparation, `parts/<subset>_<shard>.npz` holds the tables of each finished shard.
"""

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from algoperf import files
from algoperf.data import bad_files, manifest
from algoperf.data.download import require_disk
from algoperf.machine import num_cores
from algoperf.spec import UsageError
from workloads.librispeech import alignment, corpus, flac, tokenizer
from workloads.librispeech.corpus import SUBSETS, TOKENIZER_SUBSET, Utterance

FORMAT = 1  # Increase it when prepared files change; older ones are then prepared again.
UTTERANCES_PER_SHARD = 1_024  # About 400 MB.
TOKENIZER = "tokenizer.model"
# 16-bit samples take at most this many times the bytes of FLAC (LibriSpeech: about 1.9).
_FLAC_EXPANSION = 2.2


@dataclasses.dataclass(frozen=True)
class Shard:
    """Consecutive utterances of a subset, sorted by name."""

    subset: str
    number: int
    utterances: tuple[Utterance, ...]

    @property
    def name(self) -> str:
        return f"{self.subset}_{self.number:03d}"


def is_complete(folder: Path, config: dict[str, Any]) -> bool:
    """Whether `folder` was prepared with `config` by this version, and all files have the right size."""
    return manifest.is_complete(folder, config, FORMAT)


def prepare(
    folder: Path,
    config: dict[str, Any],
    num_raw: dict[str, int],
    num_kept: dict[str, int],
    progress: bool = True,
) -> None:
    """Writes missing tokenizer, shards, tables and manifest; continues where an earlier call stopped.

    Args:
      folder: has the tree in `folder/raw/LibriSpeech`; the results go here.
      config: 'vocab_size', 'max_audio_samples', 'max_transcript_chars', 'max_target_length', and other settings that
        the files depend on.
      num_raw: subset -> number of utterances that it must have.
      num_kept: split -> number of utterances that must be left after the filter.
      progress: whether to show progress bars.

    Raises:
      UsageError: if raw data are missing, damaged, or of another size, or the disk is too full.
    """
    if is_complete(folder, config):
        return
    (folder / manifest.NAME).unlink(missing_ok=True)
    (folder / "parts").mkdir(parents=True, exist_ok=True)
    found, search = {}, bad_files.Search()
    for subset in tqdm(SUBSETS, desc="find", unit="subset", disable=not progress):
        with search.going_on(bad_files.BadFilesError):  # A subset that is missing is told at once.
            found[subset] = corpus.read_subset(folder / "raw", subset, num_raw[subset])
    search.end()
    tokenizer_sha256 = _train_tokenizer(folder, found[TOKENIZER_SUBSET], config)
    shards = [
        Shard(subset, number, tuple(utterances[start : start + UTTERANCES_PER_SHARD]))
        for subset, utterances in found.items()
        for number, start in enumerate(range(0, len(utterances), UTTERANCES_PER_SHARD))
    ]
    made_of = {shard: _made_of(shard, config, tokenizer_sha256) for shard in shards}
    todo = [shard for shard in shards if not _is_converted(folder, shard, made_of[shard])]
    num_bytes = sum(utterance.num_bytes for shard in todo for utterance in shard.utterances)
    require_disk(folder, int(_FLAC_EXPANSION * num_bytes))
    with tqdm(
        total=sum(len(shard.utterances) for shard in todo),
        desc="convert",
        unit="utterance",
        disable=not progress,
    ) as bar:
        _convert_shards(folder, todo, made_of, config, bar.update)
    _finish(folder, shards, config, num_kept)


def _train_tokenizer(folder: Path, utterances: list[Utterance], config: dict[str, Any]) -> str:
    """Writes the tokenizer, unless one made from the same transcripts is there; returns its checksum."""
    path, note = folder / TOKENIZER, folder / "parts" / "tokenizer.json"
    texts = [utterance.text for utterance in utterances]
    made_of = {
        "vocab_size": config["vocab_size"],
        "sha256_of_transcripts": hashlib.sha256("\n".join(texts).encode()).hexdigest(),
    }
    record = files.read_json_or_none(note)
    if record is None or record["made_of"] != made_of or record["sha256"] != manifest.sha256_of(path):
        files.write_bytes(path, tokenizer.train(texts, config["vocab_size"]))
        record = {"made_of": made_of, "sha256": manifest.sha256_of(path)}
        files.write_json(note, record)
    return record["sha256"]


# ---- shards ------------------------------------------------------------------------------------------------------


def samples_path(folder: Path, shard_name: str) -> Path:
    return folder / f"{shard_name}.samples"


def _part_path(folder: Path, shard_name: str) -> Path:
    return folder / "parts" / f"{shard_name}.npz"


def _made_of(shard: Shard, config: dict[str, Any], tokenizer_sha256: str) -> str:
    """A checksum of everything that a converted shard depends on; for recordings, of their names and sizes."""
    content = [[u.name, u.text, u.num_bytes] for u in shard.utterances]
    text = json.dumps([FORMAT, config, tokenizer_sha256, content], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _is_converted(folder: Path, shard: Shard, made_of: str) -> bool:
    part, samples = _part_path(folder, shard.name), samples_path(folder, shard.name)
    if not part.is_file():
        return False
    with np.load(part) as tables:
        return str(tables["made_of"]) == made_of and int(tables["bytes"]) == manifest.size_of(samples)


def _convert_shards(
    folder: Path,
    shards: list[Shard],
    made_of: dict[Shard, str],
    config: dict[str, Any],
    report: Callable[[int], Any],
) -> None:
    # Decoding, checksums and writing release Python's lock, so threads are enough.
    search = bad_files.Search()
    with ThreadPoolExecutor(num_cores()) as pool:
        futures = [
            pool.submit(convert_shard, folder, shard, made_of[shard], config, report) for shard in shards
        ]
        try:
            for future in as_completed(futures):
                with search.going_on():
                    future.result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    search.end()


def convert_shard(
    folder: Path, shard: Shard, made_of: str, config: dict[str, Any], report: Callable[[int], Any]
) -> None:
    """Writes the samples of the utterances that pass the filter, then their tables."""
    text = tokenizer.load(folder / TOKENIZER)
    path = samples_path(folder, shard.name)
    kept: list[Utterance] = []
    lengths: list[int] = []
    dropped = {"long_transcript": 0, "long_audio": 0}
    digest, search = hashlib.sha256(), bad_files.Search()
    with files.writing(path) as file:
        for utterance in shard.utterances:
            report(1)
            samples = None
            with search.going_on():
                samples = flac.read(utterance.path)
            if samples is None:
                continue
            # After reading: every recording is checked, also one that is dropped.
            if len(utterance.text) > config["max_transcript_chars"]:
                dropped["long_transcript"] += 1
            elif len(samples) > config["max_audio_samples"]:
                dropped["long_audio"] += 1
            else:
                file.write(samples)
                digest.update(samples.data)
                kept.append(utterance)
                lengths.append(len(samples))
        search.end()
        tokens = text.encode([utterance.text for utterance in kept])
        for utterance, ids in zip(kept, tokens, strict=True):
            if len(ids) > config["max_target_length"]:
                raise UsageError(
                    f"The transcript of {utterance.path} has {len(ids)} tokens; "
                    f"at most {config['max_target_length']} are possible."
                )
    tables: dict[str, Any] = {
        "names": np.array([utterance.name for utterance in kept], "S"),
        "lengths": np.array(lengths, np.int64),
        "token_lengths": np.array([len(ids) for ids in tokens], np.int64),
        # uint16 holds every vocabulary size that is used here.
        "tokens": np.array([token for ids in tokens for token in ids], np.uint16),
        "dropped": np.array(json.dumps(dropped)),
        "made_of": np.array(made_of),
        "sha256": np.array(digest.hexdigest()),
        "bytes": np.array(path.stat().st_size),
    }
    with files.writing(_part_path(folder, shard.name)) as file:
        np.savez(file, **tables)


# ---- tables and manifest -----------------------------------------------------------------------------------------


def tables_path(folder: Path, subset: str) -> Path:
    return folder / f"{subset}.npz"


def _finish(folder: Path, shards: list[Shard], config: dict[str, Any], num_kept: dict[str, int]) -> None:
    """Joins the tables of the shards, checks the counts, and writes the manifest."""
    subsets: dict[str, dict[str, Any]] = {}
    of_files: dict[str, dict[str, Any]] = {}
    for subset in SUBSETS:
        own = [shard for shard in shards if shard.subset == subset]
        parts = []
        for shard in own:
            with np.load(_part_path(folder, shard.name)) as part:
                parts.append(dict(part))
            of_files[samples_path(folder, shard.name).name] = {
                "bytes": int(parts[-1]["bytes"]),
                "sha256": str(parts[-1]["sha256"]),
            }
        joined: dict[str, Any] = {
            name: np.concatenate([part[name] for part in parts])
            for name in ("names", "lengths", "token_lengths", "tokens")
        }
        joined["shard_sizes"] = np.array([len(part["lengths"]) for part in parts], np.int64)
        with files.writing(tables_path(folder, subset)) as file:
            np.savez(file, **joined)
        dropped = [json.loads(str(part["dropped"])) for part in parts]
        subsets[subset] = {
            "utterances": len(joined["lengths"]),
            **{f"dropped_{why}": sum(one[why] for one in dropped) for why in dropped[0]},
            "samples": int(joined["lengths"].sum()),
            "tokens": int(joined["token_lengths"].sum()),
            "unknown_tokens": int((joined["tokens"] == tokenizer.BLANK_ID).sum()),
            "unalignable": alignment.count_unalignable(
                joined["lengths"], joined["tokens"], joined["token_lengths"], config["max_audio_samples"]
            ),
        }
        total = sum(
            subsets[subset][key] for key in ("utterances", "dropped_long_transcript", "dropped_long_audio")
        )
        assert total == sum(len(shard.utterances) for shard in own)
    _check_counts(folder, subsets, num_kept)
    for path in (folder / TOKENIZER, *(tables_path(folder, subset) for subset in SUBSETS)):
        of_files[path.name] = manifest.entry(path)
    manifest.write(folder, FORMAT, config, subsets=subsets, files=of_files)
    shutil.rmtree(folder / "parts")


def _check_counts(folder: Path, subsets: dict[str, dict[str, Any]], num_kept: dict[str, int]) -> None:
    for split, expected in num_kept.items():
        own = {subset: subsets[subset]["utterances"] for subset, of in SUBSETS.items() if of == split}
        if sum(own.values()) != expected:
            parts = ", ".join(f"{subset}: {count:,}" for subset, count in own.items())
            raise UsageError(
                f"After the filter, {split} has {sum(own.values()):,} utterances in {folder / 'raw'} ({parts}); "
                f"{expected:,} are expected."
            )
