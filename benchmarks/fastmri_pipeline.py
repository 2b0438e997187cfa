"""Speed of the fastMRI input pipeline: first pass over the slices, and later passes of the same run.

    python benchmarks/fastmri_pipeline.py

Volumes of random numbers in the real format and size (640 x 368, cropped to 320 x 320) are written to a temporary
folder and read from the page cache, so disk speed is not measured. AlgoPerf's pipeline was measured on a machine
of the same kind with 2 cores, reading the same kind of volumes from its cache in memory.
"""

import dataclasses
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from absl import flags

from algoperf import commands, registry
from algoperf.workload import WorkloadSpec

flags.DEFINE_integer("volumes", 8, "Volumes of 16 slices.", lower_bound=1)
flags.DEFINE_integer("passes", 5, "Later passes over all slices.", lower_bound=1)

SLICES_PER_VOLUME = 16
BATCH_SIZE = 8
COLUMNS = 368
ALGOPERF_PER_CPU_SECOND = 119
"""AlgoPerf 0.6, batches of 8, later passes, examples per CPU-second."""


def write_volumes(spec: WorkloadSpec, folder: Path, num_volumes: int) -> None:
    """Writes random k-space in the real file format, and the index; validation and test have one volume each."""
    from workloads.fastmri import catalog, data, synthesis

    size = spec.data.image_size
    rng = np.random.default_rng(0)
    names = [(catalog.RAW_FOLDERS["train"], number) for number in range(num_volumes)]
    names += [(catalog.RAW_FOLDERS["val"], number) for number in range(2)]
    for place, number in names:
        path = folder / "raw" / place / f"file{number}.h5"
        path.parent.mkdir(parents=True, exist_ok=True)
        kspace = rng.standard_normal((SLICES_PER_VOLUME, 2 * size, COLUMNS, 2), np.float32).view(np.complex64)
        target = rng.random((SLICES_PER_VOLUME, size, size), np.float32)
        synthesis.write_volume(path, kspace[..., 0], target)
    data.prepare(spec, folder, progress=False)


def cpu_seconds() -> float:
    """CPU time of all threads of this process, in user and kernel mode."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def measure(num_volumes: int, num_passes: int) -> dict[str, tuple[float, float]]:
    """Maps 'first pass' and 'later passes' to examples per second and per CPU-second."""
    from workloads.fastmri import data

    num_slices = num_volumes * SLICES_PER_VOLUME
    full = registry.get("fastmri")
    settings = full.data.as_configdict().to_dict() | {"validation_volumes": 1}
    spec = dataclasses.replace(
        full,
        data=settings,
        num_train_examples=num_slices,
        num_validation_examples=SLICES_PER_VOLUME,
        num_test_examples=SLICES_PER_VOLUME,
    )
    with tempfile.TemporaryDirectory() as place:
        write_volumes(spec, Path(place), num_volumes)
        # Warm-up with another stream: loads libraries and fills the page cache, but not the stream's cache of slices.
        warm = data.train_stream(spec, Path(place), 1, BATCH_SIZE)
        for _ in range(num_slices // BATCH_SIZE):
            next(warm)
        stream = data.train_stream(spec, Path(place), 0, BATCH_SIZE)
        found = {}
        for name, count in (("first pass", 1), ("later passes", num_passes)):
            num_batches = count * num_slices // BATCH_SIZE
            start, start_cpu = time.perf_counter(), cpu_seconds()
            for _ in range(num_batches):
                next(stream)
            wall, cpu = time.perf_counter() - start, cpu_seconds() - start_cpu
            found[name] = num_batches * BATCH_SIZE / wall, num_batches * BATCH_SIZE / cpu
    return found


def main(argv: Sequence[str]) -> None:
    del argv
    for name, (per_second, per_cpu_second) in measure(flags.FLAGS.volumes, flags.FLAGS.passes).items():
        ratio = per_cpu_second / ALGOPERF_PER_CPU_SECOND
        print(
            f"{name:>12}: {per_second:7.0f} examples/s, {per_cpu_second:7.0f} per CPU-second, "
            f"{ratio:.1f} times AlgoPerf 0.6 on the same kind of machine ({ALGOPERF_PER_CPU_SECOND})"
        )


if __name__ == "__main__":
    commands.run(main)
