"""Speed of the OGBG input pipeline: preparation of OGB's text files, then training batches from the result.

  python benchmarks/ogbg_pipeline.py

Writes synthetic molecules of the size of the real ones (26 atoms and 56 directed edges on average, 128 tasks of which
40 % are missing) into a temporary folder, prepares them and reads batches. CPU time counts all threads. AlgoPerf 0.6
makes 2,290 graphs per CPU-second at this batch size (measured on a 2-core machine).
"""

import dataclasses
import gzip
import statistics
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags

from algoperf import commands, registry
from workloads.ogbg import data, preparation, raw_tables, settings

FLAGS = flags.FLAGS
flags.DEFINE_integer("graphs", 40_000, "Training molecules; there are a tenth as many in each other split.")
flags.DEFINE_integer("batch_size", 512, "Largest number of graphs in a batch.")
flags.DEFINE_integer("num_shards", 1, "Parts of a batch, one per device.")
flags.DEFINE_float("seconds", 2.0, "Length of one repeat of the training pipeline.")
flags.DEFINE_integer("repeats", 5, "The median is printed.")

ALGOPERF_GRAPHS_PER_CPU_SEC = 2_290
_NUMBERS = np.array([b"%d" % value for value in range(256)], object)


def _text(values: np.ndarray) -> bytes:
    return b"".join(b",".join(row) + b"\n" for row in _NUMBERS[values].tolist())


def make_raw(folder: Path, spec) -> int:
    """Writes random graphs in the layout of the release; returns the bytes of text."""
    rng = np.random.default_rng(0)
    sizes = (spec.num_train_examples, spec.num_validation_examples, spec.num_test_examples)
    num_graphs = sum(sizes)
    num_atoms = np.clip(np.round(rng.normal(26, 6, num_graphs)), 8, 60).astype(int)
    num_bonds = num_atoms + 2
    # Each atom but the first is bound to an earlier one (n - 1 bonds); three more bonds close rings: n + 2 in all.
    place = np.arange(num_bonds.sum()) - np.repeat(np.cumsum(num_bonds) - num_bonds, num_bonds)
    last = np.repeat(num_atoms, num_bonds) - 1
    ends = np.where(place < last, place + 1, last)
    starts = (rng.random(len(place)) * ends).astype(int)
    labels = rng.choice(
        np.array([b"", b"0.0", b"1.0"], object), (num_graphs, spec.model.num_outputs), p=[0.4, 0.58, 0.02]
    )
    texts = {
        "nodes": _text(rng.integers(0, 12, (num_atoms.sum(), settings.NUM_NODE_FEATURES))),
        "bonds": _text(rng.integers(0, 4, (num_bonds.sum(), settings.NUM_EDGE_FEATURES))),
        "bond_ends": _text(np.stack([starts, ends], axis=1)),
        "node_counts": _text(num_atoms[:, None]),
        "bond_counts": _text(num_bonds[:, None]),
        "labels": b"".join(b",".join(row) + b"\n" for row in labels.tolist()),
    }
    members = np.split(rng.permutation(num_graphs), np.cumsum(sizes)[:-1])
    for split, numbers in zip(preparation.SPLITS, members, strict=True):
        texts[split] = b"".join(b"%d\n" % number for number in numbers)
    for table in raw_tables.tables(spec.model.num_outputs):
        path = table.path(folder)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress(texts[table.name], compresslevel=6, mtime=0))
    return sum(map(len, texts.values()))


def measure_preparation(folder: Path, spec, num_graphs: int, num_bytes: int) -> str:
    wall, cpu = time.perf_counter(), time.process_time()
    data.prepare(spec, folder, progress=False)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    return (
        f"preparation: {num_graphs / wall:,.0f} graphs/s wall, {num_graphs / cpu:,.0f} per CPU-second "
        f"({num_bytes / 1e6 / cpu:,.0f} MB of text per CPU-second; {wall:.2f} s)"
    )


def measure_training(
    folder: Path, spec, batch_size: int, num_shards: int, seconds: float, repeats: int
) -> str:
    stream = data.train_stream(spec, folder, seed=0, global_batch_size=batch_size, num_shards=num_shards)
    for _ in range(5):
        batch = next(stream)
    arrays = [value for value in batch["inputs"] if isinstance(value, np.ndarray)]
    num_bytes = sum(value.nbytes for value in (*arrays, batch["targets"], batch["weights"]))
    by_wall, by_cpu, sizes = [], [], []
    for _ in range(repeats):
        batches, before = 0, stream.state()["next_graph"]
        wall, cpu = time.perf_counter(), time.process_time()
        while time.perf_counter() - wall < seconds:
            next(stream)
            batches += 1
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        graphs = stream.state()["next_graph"] - before
        by_wall.append(graphs / wall)
        by_cpu.append(graphs / cpu)
        sizes.append(graphs / batches)
    graphs = statistics.median(by_cpu)
    written = graphs / statistics.median(sizes) * num_bytes / 1e9
    return (
        f"training batches of {batch_size:,} ({statistics.median(sizes):.1f} graphs, {num_bytes / 1e6:.2f} MB each): "
        f"{statistics.median(by_wall):,.0f} graphs/s wall, {graphs:,.0f} per CPU-second ({written:.1f} GB/s written): "
        f"{graphs / ALGOPERF_GRAPHS_PER_CPU_SEC:,.0f} times AlgoPerf 0.6 "
        f"({ALGOPERF_GRAPHS_PER_CPU_SEC:,} on the same kind of machine)"
    )


def main(argv: Sequence[str]) -> None:
    del argv
    held_out = max(FLAGS.graphs // 10, 1)
    spec = dataclasses.replace(
        registry.get("ogbg"),
        num_train_examples=FLAGS.graphs,
        num_validation_examples=held_out,
        num_test_examples=held_out,
    )
    num_graphs = FLAGS.graphs + 2 * held_out
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        num_bytes = make_raw(folder, spec)
        print(f"{num_graphs:,} molecules, {num_bytes / 1e6:,.0f} MB of text", flush=True)
        print(measure_preparation(folder, spec, num_graphs, num_bytes), flush=True)
        counts = data.verify(spec, folder, progress=False)["train"]
        print(
            f"training split: {counts['atoms'] / FLAGS.graphs:.1f} atoms and {2 * counts['bonds'] / FLAGS.graphs:.1f} "
            "directed edges on average"
        )
        print(
            measure_training(folder, spec, FLAGS.batch_size, FLAGS.num_shards, FLAGS.seconds, FLAGS.repeats)
        )


if __name__ == "__main__":
    commands.run(main)
