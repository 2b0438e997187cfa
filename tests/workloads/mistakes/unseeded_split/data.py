"""A split that every process draws anew."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from workloads.diabetes import data as right
from workloads.diabetes.data import NEEDS_FILES, PREFETCH

from algoperf.data.stream import Batch, ShuffledStream
from algoperf.workload import WorkloadSpec

__all__ = ["NEEDS_FILES", "PREFETCH", "eval_batches", "train_stream"]

SPLIT_SEED = int(np.random.default_rng().integers(2**31))


def _with_split(spec: WorkloadSpec) -> WorkloadSpec:
    return dataclasses.replace(spec, data={"split_seed": SPLIT_SEED})


def train_stream(spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int) -> ShuffledStream:
    return right.train_stream(_with_split(spec), folder, seed, global_batch_size)


def eval_batches(spec: WorkloadSpec, folder: Path, split: str, batch_size: int) -> Iterator[Batch]:
    return right.eval_batches(_with_split(spec), folder, split, batch_size)
