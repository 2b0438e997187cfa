"""Input pipeline: Parquet files of documents -> flat files of token numbers -> rows of them.

All variants share one folder: preparation depends on the vocabulary and on the length of a sequence only.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.data import manifest, prepared
from algoperf.data.prepared import num_examples
from algoperf.data.stream import Batch, ShuffledStream
from algoperf.spec import no_such
from algoperf.workload import WorkloadSpec
from workloads.finewebedu_lm import preparation, synthesis


class LanguageModelData(prepared.PreparedData):
    """See `PreparedData`."""

    file_format = preparation.FORMAT

    def settings(self, spec: WorkloadSpec) -> dict[str, Any]:
        return {
            "vocab_size": spec.model.vocab_size,
            "seq_len": spec.model.seq_len,
            "tokenizer": spec.data.tokenizer,
            "tokenizer_bytes": spec.data.tokenizer_bytes,
            "sequences": num_examples(spec),
        }

    def describe(self, spec: WorkloadSpec) -> dict[str, Any]:
        return synthesis.describe(num_examples(spec), spec.model.seq_len, spec.data_instance)

    def make_raw(self, spec: WorkloadSpec, folder: Path, progress: bool, seed: int | None = None) -> None:
        synthesis.synthesize(
            folder,
            num_examples(spec),
            spec.model.seq_len,
            progress,
            seed or synthesis.SEED,
            spec.data_instance,
        )

    def write(self, spec: WorkloadSpec, folder: Path, config: dict[str, Any], progress: bool) -> None:
        preparation.prepare(folder, config, num_examples(spec), progress)


RESEEDS = True
DATA = LanguageModelData()
prepare, is_ready, verify, synthesize = DATA.prepare, DATA.is_ready, DATA.verify, DATA.synthesize


def training_files(spec: WorkloadSpec, folder: Path) -> list[Path]:
    """The sequences of training."""
    del spec
    return [folder / manifest.NAME, preparation.tokens_path(folder, "train")]


def load_sequences(spec: WorkloadSpec, folder: Path, split: str) -> np.ndarray:
    """(sequences, seq_len + 1) uint16 of 'train' or 'validation', memory-mapped."""
    tokens = np.memmap(preparation.tokens_path(folder, split), preparation.TOKEN_TYPE, "r")
    return tokens.reshape(-1, spec.model.seq_len + 1)


def inputs_and_targets(rows: np.ndarray) -> Batch:
    """(B, seq_len + 1) token numbers -> `inputs` and `targets`, (B, seq_len) int32: each target is the next input."""
    return {"inputs": rows[:, :-1].astype(np.int32), "targets": rows[:, 1:].astype(np.int32)}


def train_stream(spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int) -> ShuffledStream:
    """Endless batches of sequences; an epoch is a permutation of all of them."""
    folder = Path(folder)
    DATA.require(spec, folder)
    sequences = load_sequences(spec, folder, "train")
    return ShuffledStream(
        len(sequences),
        global_batch_size,
        seed,
        lambda indices, epoch: inputs_and_targets(sequences[indices]),
    )


def eval_batches(spec: WorkloadSpec, folder: Path, split: str, batch_size: int) -> Iterator[Batch]:
    """One pass over 'eval_train' (the first training sequences, as in AlgoPerf) or 'validation', in order.

    Keys `inputs`, `targets` and `weights`, all (batch_size, seq_len); the last batch is padded with rows of weight 0.
    """
    sizes = {"eval_train": spec.num_eval_train_examples, "validation": spec.num_validation_examples}
    if split not in sizes:
        raise no_such("evaluation split", split, sizes)
    folder = Path(folder)
    DATA.require(spec, folder)
    sequences = load_sequences(spec, folder, prepared.stored_split(split))[: sizes[split]]
    return (
        _padded(sequences[start : start + batch_size], batch_size)
        for start in range(0, len(sequences), batch_size)
    )


def _padded(rows: np.ndarray, batch_size: int) -> Batch:
    padding = ((0, batch_size - len(rows)), (0, 0))
    batch = inputs_and_targets(rows)
    batch["weights"] = np.ones(batch["targets"].shape, np.float32)
    return {key: np.pad(value, padding) for key, value in batch.items()}
