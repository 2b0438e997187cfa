"""Training examples per second and per CPU-second of the ImageNet pipeline, on synthesized images of real size.

    python benchmarks/imagenet_pipeline.py

Writes JPEG files of 500 x 375 pixels (quality 95, about 110 kB, spectra like photographs') as ArrayRecord shards into
a temporary folder and reads training batches from them: without augmentation beyond crop and flip (imagenet_resnet)
and with RandAugment and mixup (imagenet_vit). CPU time counts all threads. The reference figures, 322 and 101 examples
per CPU-second, are AlgoPerf 0.6's tf.data pipeline at batch 32, measured on the same kind of machine; ratios between
machines mean little.
"""

import dataclasses
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from absl import flags

from algoperf import commands, registry
from workloads.imagenet import array_records, jpeg, pipeline

flags.DEFINE_integer("num_images", 256, "Different images.", lower_bound=1)
flags.DEFINE_integer("repeats", 5, "Measurements; their median is printed.", lower_bound=1)
flags.DEFINE_multi_integer("batch_size", [32, 256], "Rows per batch.")
flags.DEFINE_integer("num_workers", 0, "Threads; 0 is one per core.")

HEIGHT, WIDTH, QUALITY = 375, 500, 95
SPECTRAL_SLOPE = (
    1.3  # Amplitude over frequency: between 1 and 1.5 in photographs; gives 110 kB at this quality.
)
EXAMPLES_PER_REPEAT = 256
REFERENCE = {"imagenet_resnet": 322, "imagenet_vit": 101}


def photograph(generator: np.random.Generator) -> np.ndarray:
    """(375, 500, 3) uint8 noise with the spectrum of photographs and correlated channels."""
    down, across = np.fft.fftfreq(HEIGHT)[:, None], np.fft.rfftfreq(WIDTH)[None]
    amplitude = np.maximum(np.hypot(down, across), 1 / WIDTH) ** -SPECTRAL_SLOPE

    def field() -> np.ndarray:
        phase = np.exp(2j * np.pi * generator.random(amplitude.shape))
        values = np.fft.irfft2(amplitude * phase, s=(HEIGHT, WIDTH))
        return values / values.std()

    gray = field()
    channels = [gray + 0.35 * field() for _ in range(3)]
    return np.clip(118 + 50 * np.stack(channels, axis=-1), 0, 255).astype(np.uint8)


def make_records(folder: Path, num_images: int) -> array_records.Records:
    generator = np.random.default_rng(0)
    files = [jpeg.encode(photograph(generator), QUALITY) for _ in range(num_images)]
    shards = []
    for shard, names in enumerate(np.array_split(np.arange(num_images), 4)):
        path = folder / array_records.shard_name("train", shard, 4)
        array_records.write_shard(path, [(f"n{name}.JPEG", files[name], int(name) % 1000) for name in names])
        shards.append((path, len(names)))
    size = statistics.mean(map(len, files))
    print(f"{num_images} JPEG files of {WIDTH} x {HEIGHT} pixels, {size / 1e3:.0f} kB on average")
    return array_records.Records(
        shards, np.concatenate([array_records.index_shard(path) for path, _ in shards])
    )


def measure(stream: pipeline.TrainStream, batch_size: int, repeats: int) -> tuple[float, float]:
    """Median examples per second and per CPU-second."""
    num_batches = max(1, EXAMPLES_PER_REPEAT // batch_size)
    next(stream)
    wall, cpu = [], []
    for _ in range(repeats):
        start = time.perf_counter(), time.process_time()
        for _ in range(num_batches):
            next(stream)
        wall.append(num_batches * batch_size / (time.perf_counter() - start[0]))
        cpu.append(num_batches * batch_size / (time.process_time() - start[1]))
    return statistics.median(wall), statistics.median(cpu)


def main(argv: Sequence[str]) -> None:
    del argv
    with tempfile.TemporaryDirectory() as folder:
        images = make_records(Path(folder), flags.FLAGS.num_images)
        images._cache = None  # Read files every time: the full data set does not fit in the cache either.
        for name, reference in REFERENCE.items():
            spec = registry.get(name)
            settings = {**spec.data.to_dict(), "num_workers": flags.FLAGS.num_workers}
            spec = dataclasses.replace(spec, data=settings)
            for batch_size in flags.FLAGS.batch_size:
                stream = pipeline.TrainStream(images, spec, 0, batch_size)
                wall, cpu = measure(stream, batch_size, flags.FLAGS.repeats)
                print(
                    f"{name}, batch {batch_size}: {wall:,.0f} examples/s, {cpu:,.0f} per CPU-second, "
                    f"{cpu / reference:.2f} x AlgoPerf's {reference}"
                )


if __name__ == "__main__":
    commands.run(main)
