"""Data of `finewebedu_lm`: speed of its preparation and of its batches.

  python benchmarks/language_model_data.py
  python benchmarks/language_model_data.py --merges=~/vocab.bpe --texts=~/documents --processes=2

Preparation: Parquet files with 64 MB of text are encoded as `dataset_setup.py` does it, in worker processes. Tokens per
second of processor time are printed, with that of starting the processes. Without `--merges` (GPT-2's list, which
`dataset_setup.py` fetches) and `--texts` (a folder of text files) the text is that of the mini version, with pieces
that are trained on it.

Batches: 64 sequences of 1,024 tokens out of a file of `--sequences`, in the order of a permutation.
"""

import dataclasses
import os
import shutil
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from absl import flags

from algoperf import commands, files, registry
from algoperf.data import manifest
from algoperf.workload import WorkloadSpec
from workloads.finewebedu_lm import byte_pairs, data, documents, language, preparation

FLAGS = flags.FLAGS
flags.DEFINE_string("merges", None, "GPT-2's vocab.bpe.")
flags.DEFINE_string("texts", None, "Folder of text files, which stand for documents, over and over.")
flags.DEFINE_integer("megabytes", 64, "Text to encode.")
flags.DEFINE_integer("processes", 2, "Worker processes.")
flags.DEFINE_integer("sequences", 200_000, "Of the file that batches come from (2 kB each).")
flags.DEFINE_integer("batches", 500, "To draw.")


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def make_texts() -> list[str]:
    """Documents of `--megabytes` together."""
    if FLAGS.texts:
        paths = sorted(path for path in files.expanded(FLAGS.texts).rglob("*") if path.is_file())
        found = [path.read_text(errors="ignore") for path in paths]
    else:
        writer = language.Writer(0)
        found = [writer.document() for _ in range(5_000)]
    size = sum(len(text.encode()) for text in found)
    copies = -(-FLAGS.megabytes * 1_000_000 // size)
    return [f"{text}{copy}" for copy in range(copies) for text in found]


def measure_preparation(folder: Path) -> str:
    """One line about the encoding of text."""
    texts = make_texts()
    num_files = 4 * FLAGS.processes
    for number in range(num_files):
        documents.write(
            folder / "raw" / documents.PLACE / f"{number:03d}_00000.parquet", texts[number::num_files]
        )
    config = {"vocab_size": 768, "seq_len": 1024, "tokenizer": "trained", "tokenizer_bytes": 500_000}
    if FLAGS.merges:
        shutil.copy(files.expanded(FLAGS.merges), folder / "raw" / preparation.GPT2_MERGES)
        config |= {"vocab_size": 50_257, "tokenizer": "gpt2"}
    wall, cpu = time.perf_counter(), cpu_seconds()
    preparation.prepare(
        folder, config, {"train": 1, "validation": 1}, progress=False, num_processes=FLAGS.processes
    )
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    content = manifest.read(folder)
    assert content is not None
    num_tokens = sum(split["tokens"] for split in content["splits"].values())
    return (
        f"preparation, {FLAGS.processes} processes: {num_tokens / 1e6:,.1f} million tokens, "
        f"{num_tokens / cpu / 1e6:.2f} million per processor second, {num_tokens / wall / 1e6:.2f} million per second"
    )


def measure_batches(folder: Path) -> str:
    """One line about batches."""
    full = registry.get("finewebedu_lm")
    spec: WorkloadSpec = dataclasses.replace(
        full, num_train_examples=FLAGS.sequences, num_validation_examples=1, num_eval_train_examples=1
    )
    rng = np.random.default_rng(0)
    for split, size in (("train", FLAGS.sequences), ("validation", 1)):
        with files.writing(preparation.tokens_path(folder, split)) as file:
            for _ in range(size):
                file.write(rng.integers(0, 50_257, 1025, dtype=np.uint16).tobytes())
    byte_pairs.save(preparation.vocabulary_path(folder), {})
    manifest.write(folder, preparation.FORMAT, data.DATA.config(spec), splits={}, files={})
    stream = data.train_stream(spec, folder, 0, full.default_batch_size)
    for _ in range(20):
        next(stream)
    wall, cpu = time.perf_counter(), time.process_time()
    for _ in range(FLAGS.batches):
        next(stream)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    num_tokens = FLAGS.batches * full.default_batch_size * full.model.seq_len
    return (
        f"batches: {num_tokens / cpu / 1e6:,.0f} million tokens per processor second, "
        f"{num_tokens / wall / 1e6:,.0f} million per second"
    )


def main(argv: Sequence[str]) -> None:
    del argv
    for measure in (measure_preparation, measure_batches):
        with tempfile.TemporaryDirectory() as folder:
            print(measure(Path(folder)), flush=True)


if __name__ == "__main__":
    commands.run(main)
