"""The LibriSpeech pipeline; see `workloads/librispeech`."""

from workloads.librispeech.data import eval_batches, is_ready, prepare, synthesize, train_stream, verify

__all__ = ["eval_batches", "is_ready", "prepare", "synthesize", "train_stream", "verify"]
