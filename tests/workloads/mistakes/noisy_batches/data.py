"""Noise in training batches that does not follow the seed."""

from pathlib import Path

import numpy as np
from workloads.diabetes.data import NEEDS_FILES, PREFETCH, eval_batches, load_split

from algoperf.data.stream import Batch, ShuffledStream
from algoperf.workload import WorkloadSpec

__all__ = ["NEEDS_FILES", "PREFETCH", "eval_batches", "train_stream"]


def train_stream(spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int) -> ShuffledStream:
    inputs, targets = load_split(spec, "train")
    noise = np.random.default_rng()

    def fetch(indices: np.ndarray, epoch: int) -> Batch:
        rows = inputs[indices]
        return {
            "inputs": rows + noise.normal(size=rows.shape).astype(np.float32),
            "targets": targets[indices],
        }

    return ShuffledStream(len(targets), global_batch_size, seed, fetch)
