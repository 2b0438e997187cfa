"""Speed of training input pipelines without a model: examples per second of wall time and per CPU-second.

  python benchmarks/input_pipeline.py --workload=wmt_mini

Draws NumPy batches as a training run does. Prints rows per second and, for packed translation rows, the number of
sentence pairs per row. CPU time counts all threads and finished child processes.
"""

import os
import time
from collections.abc import Sequence

import numpy as np
from absl import flags

from algoperf import commands, registry
from algoperf.data import locate

FLAGS = flags.FLAGS
flags.DEFINE_multi_string("workload", ["digits", "wmt_mini"], "Workloads to measure.")
flags.DEFINE_integer("batch_size", None, "Rows per batch; the workload's default otherwise.")
flags.DEFINE_float("seconds", 3.0, "Length of one repeat.")
flags.DEFINE_integer("repeats", 5, "The median is printed.")
flags.DEFINE_string("data_dir", None, "Root of prepared data.")


def _cpu_seconds() -> float:
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def measure(name: str, batch_size: int | None, seconds: float, repeats: int, data_dir: str | None) -> str:
    """One line of results for a workload."""
    spec = registry.get(name)
    folder = locate.ready_folder(spec, data_dir)
    size = batch_size or spec.default_batch_size
    stream = registry.data_module(spec).train_stream(spec, folder, seed=0, global_batch_size=size)
    # Compiled loops and buffers are ready before the clock starts.
    for _ in range(5):
        next(stream)
    by_wall, by_cpu, pairs_per_row = [], [], []
    for _ in range(repeats):
        rows = items = 0
        wall, cpu = time.perf_counter(), _cpu_seconds()
        while time.perf_counter() - wall < seconds:
            batch = next(stream)
            rows += size
            if "targets_segmentation" in batch:
                # Segments count from 1 in each row, so a row's largest one is its number of pairs.
                items += int(batch["targets_segmentation"].max(axis=1).sum())
        by_wall.append(rows / (time.perf_counter() - wall))
        by_cpu.append(rows / (_cpu_seconds() - cpu))
        pairs_per_row.append(items / rows)
    packed = f", {np.median(pairs_per_row):.1f} pairs a row" if max(pairs_per_row) else ""
    return (
        f"{name}, batch {size}: {np.median(by_wall):,.0f} rows/s wall, {np.median(by_cpu):,.0f} rows per CPU-second"
        f"{packed}"
    )


def main(argv: Sequence[str]) -> None:
    del argv
    for name in FLAGS.workload:
        print(measure(name, FLAGS.batch_size, FLAGS.seconds, FLAGS.repeats, FLAGS.data_dir), flush=True)


if __name__ == "__main__":
    commands.run(main)
