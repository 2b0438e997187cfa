"""LibriSpeech for every workload that learns from it: FLAC and transcripts -> flat arrays -> padded NumPy batches.

Files depend on vocabulary and length limits only, so workloads and their variants share one folder.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.data import manifest, prepared
from algoperf.data.stream import ShuffledStream
from algoperf.spec import UsageError, no_such
from algoperf.workload import WorkloadSpec
from workloads.librispeech import buffers, corpus, preparation, synthesis, utterances
from workloads.librispeech.utterances import Batch


def _config(spec: WorkloadSpec) -> dict[str, Any]:
    """All that prepared files depend on."""
    config = {
        "vocab_size": spec.model.vocab_size,
        "max_audio_samples": spec.data.max_audio_samples,
        "max_transcript_chars": spec.data.max_transcript_chars,
        "max_target_length": spec.data.max_target_length,
        "utterances": _num_kept(spec),
    }
    return config | {"synthesis": synthesis.describe(spec)} if spec.is_mini else config


def _num_kept(spec: WorkloadSpec) -> dict[str, int]:
    """Split -> utterances that the filter leaves."""
    counts = (spec.num_train_examples, spec.num_validation_examples, spec.num_test_examples)
    return dict(zip(corpus.SPLITS, counts, strict=True))


def _num_raw(spec: WorkloadSpec) -> dict[str, int]:
    """Subset -> utterances before the filter."""
    return synthesis.counts(spec) if spec.is_mini else corpus.OFFICIAL_COUNTS


def synthesize(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Writes the raw files of the mini workload, the same ones on every machine; nothing if they are there."""
    synthesis.synthesize(spec, Path(folder), progress)


def prepare(spec: WorkloadSpec, folder: Path, progress: bool = True) -> None:
    """Raw files in `folder/raw` -> arrays in `folder`; continues where an earlier call stopped."""
    folder = Path(folder)
    try:
        preparation.prepare(folder, _config(spec), _num_raw(spec), _num_kept(spec), progress)
    except UsageError as error:
        raise UsageError(
            f"{error} To get and prepare the data: {prepared.setup_command(spec, folder)}"
        ) from error


def is_ready(spec: WorkloadSpec, folder: Path) -> bool:
    """Whether `folder` holds complete prepared data for `spec`; looks at names and sizes only."""
    return preparation.is_complete(Path(folder), _config(spec))


def verify(spec: WorkloadSpec, folder: Path, progress: bool = True) -> dict[str, Any]:
    """Reads every prepared file and compares checksums; returns subset -> counts.

    Raises:
      UsageError: if data are missing or damaged.
    """
    folder = Path(folder)
    prepared.require(is_ready(spec, folder), spec, folder)
    prepared.require_undamaged(spec, folder, progress)
    return manifest.read(folder)["subsets"]


def train_stream(spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int) -> ShuffledStream:
    """Endless shuffled batches, see `utterances.Utterances.batch`; each epoch is a fresh permutation."""
    prepared.require(is_ready(spec, folder), spec, Path(folder))
    split = utterances.load_split(Path(folder), "train")
    limits = spec.data.max_audio_samples, spec.data.max_target_length
    memory = buffers.BufferPool()

    def fetch(indices: np.ndarray, epoch: int) -> Batch:
        del epoch
        return split.batch(indices, len(indices), *limits, memory.empty)

    return ShuffledStream(len(split), global_batch_size, seed, fetch)


def eval_batches(spec: WorkloadSpec, folder: Path, split: str, batch_size: int) -> Iterator[Batch]:
    """One pass over 'eval_train', 'validation' or 'test' in sorted order, with `weights` (batch_size,).

    'eval_train' is a fixed subset of the training utterances, evenly spaced.
    """
    if split not in ("eval_train", "validation", "test"):
        raise no_such("evaluation split", split, ("eval_train", "validation", "test"))
    prepared.require(is_ready(spec, folder), spec, Path(folder))
    found = utterances.load_split(Path(folder), "train" if split == "eval_train" else split)
    size = min(spec.num_eval_train_examples, len(found)) if split == "eval_train" else len(found)
    indices = np.arange(size, dtype=np.int64) * len(found) // size
    limits = spec.data.max_audio_samples, spec.data.max_target_length
    for start in range(0, size, batch_size):
        own = indices[start : start + batch_size]
        weights = (np.arange(batch_size) < len(own)).astype(np.float32)
        yield found.batch(own, batch_size, *limits) | {"weights": weights}
