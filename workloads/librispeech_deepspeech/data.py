"""The LibriSpeech pipeline; see `workloads/librispeech`."""

from workloads.librispeech.data import (
    RESEEDS,
    eval_batches,
    is_ready,
    prepare,
    synthesize,
    train_stream,
    training_files,
    verify,
)

__all__ = [
    "RESEEDS",
    "eval_batches",
    "is_ready",
    "prepare",
    "synthesize",
    "train_stream",
    "training_files",
    "verify",
]
