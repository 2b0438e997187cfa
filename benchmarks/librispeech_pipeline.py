"""Speed of the LibriSpeech input pipeline: preparation of FLAC files, then training batches from the result.

  python benchmarks/librispeech_pipeline.py

Writes synthetic utterances of LibriSpeech's lengths (up to 20 s, on average 12.3 s) in its tree into a temporary
folder, prepares them and reads batches padded to 20 s. CPU time counts all threads. The floor is the time to write
the bytes of a batch: NumPy's `fill` of arrays of the same sizes, in reused memory, as in the pipeline.
AlgoPerf 0.6 on the same kind of machine, at this batch size, makes 258 examples per CPU-second in its loader and 104
as JAX batches.
"""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import soundfile
from absl import flags

from algoperf import commands, registry
from algoperf.data.stream import ShuffledStream
from workloads.librispeech import corpus, preparation, utterances
from workloads.librispeech.buffers import BufferPool

FLAGS = flags.FLAGS
flags.DEFINE_integer("utterances", 240, "Training utterances.")
flags.DEFINE_integer("batch_size", 16, "Utterances per batch.")
flags.DEFINE_float("seconds", 1.0, "Length of one repeat.")
flags.DEFINE_integer("repeats", 5, "The median is printed; pipeline and floors take turns.")

ALGOPERF_LOADER_PER_CPU_SEC, ALGOPERF_JAX_PER_CPU_SEC = 258, 104
MEAN_SEC = 12.3  # Mean length of LibriSpeech's training utterances.


def make_raw(raw: Path, num_train: int, max_samples: int) -> dict[str, int]:
    """Writes the tree; returns subset -> utterances.

    Sound is noise with the spectrum and level of speech, so that FLAC compresses it about as well as the real one.
    """
    rng = np.random.default_rng(0)
    shares = {"train-clean-100": 0.1, "train-clean-360": 0.37, "train-other-500": 0.53}
    counts = {subset: round(num_train * shares.get(subset, 4 / num_train)) for subset in corpus.SUBSETS}
    long_noise = rng.standard_normal(2 * max_samples)
    # Two passes of a decaying filter take away high frequencies, as in speech: FLAC could not compress white
    # noise.
    for _ in range(2):
        long_noise = np.convolve(long_noise, 0.7 ** np.arange(20))[: 2 * max_samples]
    # Standard deviation in 16-bit steps.
    long_noise *= 1_200 / long_noise.std()
    letters = np.array(list("ABCDEFGHIJKLMNOPQRSTUVWXYZ     "))
    for subset, count in counts.items():
        folder = corpus.subset_folder(raw, subset) / "1" / "2"
        folder.mkdir(parents=True)
        lines = []
        for number in range(count):
            # LibriSpeech's lengths have a peak at the long end. 12.333 = (2 + 15 + 20) / 3 is the mean of this
            # distribution.
            size = int(np.clip(rng.triangular(2, 15, 20) * MEAN_SEC / 12.333, 1.5, 20) * corpus.SAMPLE_RATE)
            start = int(rng.integers(len(long_noise) - size))
            loudness = np.repeat(rng.uniform(0.1, 1.0, size // 1_600 + 1), 1_600)[:size]
            samples = (long_noise[start : start + size] * loudness).astype(np.int16)
            name = f"1-2-{number:04d}"
            soundfile.write(folder / f"{name}.flac", samples, corpus.SAMPLE_RATE, subtype="PCM_16")
            lines.append(f"{name} A{''.join(rng.choice(letters, 150))}Z\n")
        (folder / "1-2.trans.txt").write_text("".join(lines))
    return counts


def measure_preparation(folder: Path, config: dict, raw: dict[str, int], kept: dict[str, int]) -> str:
    flac_bytes = sum(path.stat().st_size for path in (folder / "raw").rglob("*.flac"))
    wall, cpu = time.perf_counter(), time.process_time()
    preparation.prepare(folder, config, raw, kept, progress=False)
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    train = utterances.Utterances(folder, "train")
    samples = sum(len(train.samples(index)) for index in range(len(train)))
    hours = samples / corpus.SAMPLE_RATE / 3600
    return (
        f"preparation: {hours / cpu:.2f} hours of audio per CPU-second, {hours / wall:.2f} per second "
        f"({8 * flac_bytes / samples:.1f} bits of FLAC a sample; LibriSpeech's 1,000 hours at that speed: "
        f"{1000 / (hours / cpu) / 60:.0f} CPU-minutes)"
    )


def per_second(make_batch: Callable[[], object], batch_size: int, seconds: float) -> tuple[float, float]:
    """Examples per second and per CPU-second."""
    done, wall, cpu = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - wall < seconds:
        make_batch()
        done += batch_size
    return done / (time.perf_counter() - wall), done / (time.process_time() - cpu)


def measure_training(folder: Path, max_samples: int, max_tokens: int) -> str:
    batch_size = FLAGS.batch_size
    train = utterances.Utterances(folder, "train")
    pool = BufferPool()
    stream = ShuffledStream(
        len(train),
        batch_size,
        seed=0,
        fetch=lambda indices, epoch: train.batch(indices, batch_size, max_samples, max_tokens, pool.empty),
    )
    used = [np.ones((batch_size, max_samples), np.float32) for _ in range(2)]

    def fill_used() -> None:
        for array in used:
            array.fill(1)

    kinds = {"pipeline": lambda: next(stream), "floor": fill_used}
    for make_batch in kinds.values():
        for _ in range(len(train) // batch_size):  # One epoch first: then all samples are in the page cache.
            make_batch()
    found: dict[str, list[tuple[float, float]]] = {kind: [] for kind in kinds}
    for _ in range(FLAGS.repeats):
        for kind, make_batch in kinds.items():
            found[kind].append(per_second(make_batch, batch_size, FLAGS.seconds))
    wall = {kind: statistics.median(one for one, _ in pairs) for kind, pairs in found.items()}
    cpu = {kind: statistics.median(one for _, one in pairs) for kind, pairs in found.items()}
    return (
        f"training batches of {batch_size} x {max_samples:,} samples: {wall['pipeline']:,.0f} examples/s, "
        f"{cpu['pipeline']:,.0f} per CPU-second\n"
        f"  {cpu['pipeline'] / ALGOPERF_LOADER_PER_CPU_SEC:.1f} times AlgoPerf's loader "
        f"({ALGOPERF_LOADER_PER_CPU_SEC}), {cpu['pipeline'] / ALGOPERF_JAX_PER_CPU_SEC:.1f} times its loader with "
        f"JAX's queue ({ALGOPERF_JAX_PER_CPU_SEC})\n"
        f"  {100 * cpu['pipeline'] / cpu['floor']:.0f} % of the floor ({cpu['floor']:,.0f} per CPU-second: "
        f"{8 * max_samples / 1e6:.2f} MB each)"
    )


def main(argv: Sequence[str]) -> None:
    del argv
    spec = registry.get("librispeech_conformer")
    config = {**spec.data.to_dict(), "vocab_size": 64}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        raw = make_raw(folder / "raw", FLAGS.utterances, spec.data.max_audio_samples)
        kept = {
            split: sum(raw[subset] for subset, of in corpus.SUBSETS.items() if of == split)
            for split in corpus.SPLITS
        }
        print(measure_preparation(folder, config, raw, kept), flush=True)
        print(measure_training(folder, spec.data.max_audio_samples, spec.data.max_target_length))


if __name__ == "__main__":
    commands.run(main)
