"""LibriSpeech data for all its workloads: FLAC and transcripts -> flat arrays -> padded NumPy batches.

Files depend only on vocabulary and length limits, so all workloads and variants share one folder.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.data import manifest, prepared
from algoperf.data.prepared import num_examples
from algoperf.data.stream import ShuffledStream
from algoperf.workload import WorkloadSpec
from workloads.librispeech import buffers, corpus, preparation, synthesis, utterances
from workloads.librispeech.utterances import Batch


class LibrispeechData(prepared.PreparedData):
    """See `PreparedData`."""

    file_format = preparation.FORMAT

    def settings(self, spec: WorkloadSpec) -> dict[str, Any]:
        return {
            "vocab_size": spec.model.vocab_size,
            "max_audio_samples": spec.data.max_audio_samples,
            "max_transcript_chars": spec.data.max_transcript_chars,
            "max_target_length": spec.data.max_target_length,
            "utterances": num_examples(spec),  # After the filter.
        }

    def describe(self, spec: WorkloadSpec) -> dict[str, Any]:
        return synthesis.describe(spec)

    def make_raw(self, spec: WorkloadSpec, folder: Path, progress: bool, seed: int | None = None) -> None:
        synthesis.synthesize(spec, folder, progress, seed or synthesis.SEED)

    def write(self, spec: WorkloadSpec, folder: Path, config: dict[str, Any], progress: bool) -> None:
        preparation.prepare(folder, config, _num_raw(spec), num_examples(spec), progress)

    def counts(self, spec: WorkloadSpec, folder: Path) -> dict[str, dict[str, int]]:
        """Subset -> what is counted -> how many; a split may consist of several subsets."""
        return self.manifest(folder)["subsets"]


RESEEDS = True
DATA = LibrispeechData()
prepare, is_ready, verify, synthesize = DATA.prepare, DATA.is_ready, DATA.verify, DATA.synthesize


def _num_raw(spec: WorkloadSpec) -> dict[str, int]:
    """Subset -> utterances before the filter."""
    return synthesis.counts(spec) if spec.is_mini else corpus.OFFICIAL_COUNTS


def training_files(spec: WorkloadSpec, folder: Path) -> list[Path]:
    """The tables and the samples of the subsets of which training consists."""
    del spec
    return [folder / manifest.NAME, *utterances.files_of_split(folder, "train")]


def train_stream(spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int) -> ShuffledStream:
    """Endless shuffled batches (see `utterances.Utterances.batch`); each epoch is a new permutation."""
    DATA.require(spec, folder)
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
    stored = prepared.stored_split(split)
    DATA.require(spec, folder)
    found = utterances.load_split(Path(folder), stored)
    indices = prepared.eval_indices(spec, split, len(found))
    limits = spec.data.max_audio_samples, spec.data.max_target_length
    for start in range(0, len(indices), batch_size):
        own = indices[start : start + batch_size]
        weights = (np.arange(batch_size) < len(own)).astype(np.float32)
        yield found.batch(own, batch_size, *limits) | {"weights": weights}
