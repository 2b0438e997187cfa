"""fastMRI data: k-space of slices -> masked, zero-filled, normalised images and their targets.

`prepare` makes no copy of the data, only an index (`catalog`). A pool of threads transforms each slice when it is
first needed (`reconstruction`) and stores its image for later epochs (`slice_cache`). That is possible because the
mask of a training slice depends only on the run's seed and the slice.
"""

import functools
import os
import weakref
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.data import locate, prepared
from algoperf.data.stream import Batch, ShuffledStream
from algoperf.machine import num_cores
from algoperf.workload import WorkloadSpec
from workloads.fastmri import catalog, masks, synthesis
from workloads.fastmri.slice_cache import SliceCache
from workloads.fastmri.volumes import SliceReader, Volume

MAX_WORKERS = 32
EVAL_TRAIN_SEED = 0
"""Seed of the masks in the 'eval_train' split, the same in all runs, so that `train/` metrics can be compared."""

# Part of the key of cached slices. Increase it when the computed images change.
PIPELINE_VERSION = 1


class FastmriData(prepared.PreparedData):
    """The raw volumes serve as prepared files; only an index of them is written.

    Volumes are looked for in `folder/raw/knee_singlecoil_{train,val}`, then without `raw`, then without `knee_`.
    """

    file_format = catalog.INDEX_VERSION
    next_step = None  # The messages of `catalog` include the next step.

    def settings(self, spec: WorkloadSpec) -> dict[str, Any]:
        return catalog.describe(spec)

    def describe(self, spec: WorkloadSpec) -> dict[str, Any]:
        return synthesis.describe(spec)

    def make_raw(self, spec: WorkloadSpec, folder: Path, progress: bool, seed: int | None = None) -> None:
        synthesis.synthesize(spec, folder, progress, seed or synthesis.SEED)

    def write(self, spec: WorkloadSpec, folder: Path, config: dict[str, Any], progress: bool) -> None:
        if not self.is_ready(spec, folder):
            catalog.build(spec, folder, config, progress)

    def is_ready(self, spec: WorkloadSpec, folder: Path) -> bool:
        """Whether `folder` holds an index for `spec` and the volumes in it; checks names and sizes only."""
        return catalog.is_complete(Path(folder), self.config(spec))

    def verify(self, spec: WorkloadSpec, folder: Path, progress: bool = True) -> dict[str, dict[str, int]]:
        """Checks keys, types, shapes and head checksum of every volume; returns split -> counts.

        Raises:
          UsageError: if volumes are missing or damaged.
        """
        self.require(spec, folder)
        return catalog.verify(spec, Path(folder), progress)


RESEEDS = True
DATA = FastmriData()
prepare, is_ready, verify, synthesize = DATA.prepare, DATA.is_ready, DATA.verify, DATA.synthesize


def training_files(spec: WorkloadSpec, folder: Path) -> list[Path]:
    """The index, and the volumes of training."""
    del spec
    volumes = catalog.load(Path(folder), "train").volumes
    return [catalog.manifest_path(folder), *(folder / volume.file for volume in volumes)]


def train_stream(spec: WorkloadSpec, folder: Path, seed: int, global_batch_size: int) -> ShuffledStream:
    """Endless shuffled batches: `inputs`, `targets` (B, N, N), `mean`, `std`, `volume_max` (B,), all float32."""
    folder = Path(folder)
    DATA.require(spec, folder)
    slices = SliceSource(spec, folder, "train", train_seed=seed, cache_gigabytes=spec.data.cache_gigabytes)

    def fetch(indices: np.ndarray, epoch: int) -> Batch:
        del epoch
        return slices.batch(indices, len(indices))

    return ShuffledStream(spec.num_train_examples, global_batch_size, seed, fetch)


def eval_batches(spec: WorkloadSpec, folder: Path, split: str, batch_size: int) -> Iterator[Batch]:
    """One pass over 'eval_train', 'validation' or 'test' in file order; the keys of training and `weights` (B,)."""
    folder = Path(folder)
    stored = prepared.stored_split(split)
    DATA.require(spec, folder)
    indices = prepared.eval_indices(spec, split, prepared.num_examples(spec)[stored])
    slices = SliceSource(spec, folder, stored, train_seed=EVAL_TRAIN_SEED if stored == "train" else None)
    for start in range(0, len(indices), batch_size):
        chosen = indices[start : start + batch_size]
        weights = np.zeros(batch_size, np.float32)
        weights[: len(chosen)] = 1
        yield slices.batch(chosen, batch_size) | {"weights": weights}


class SliceSource:
    """Batches of the slices of one split by index; independent of the number of threads and of the cache.

    Args:
      spec: the workload.
      folder: the prepared data.
      split: 'train', 'validation' or 'test'.
      train_seed: seed of the masks; None for the evaluation mask.
      cache_gigabytes: limit of the cache on disk, in 10**9 bytes; 0 for no cache.
    """

    def __init__(
        self,
        spec: WorkloadSpec,
        folder: Path,
        split: str,
        train_seed: int | None = None,
        cache_gigabytes: float = 0,
    ):
        self._size, self._seed = spec.data.image_size, train_seed
        self._mask = {
            "center_fraction": float(spec.data.center_fraction),
            "acceleration": float(spec.data.acceleration),
        }
        self._catalog = catalog.load(folder, split)
        self._reader = SliceReader(folder, self._size)
        # Hosts with a shared file system use separate caches, because one host may see another's writes late.
        key = [PIPELINE_VERSION, os.uname().nodename, self._catalog.digest, split, train_seed, self._mask]
        num_slices = sum(volume.num_slices for volume in self._catalog.volumes)
        # A record holds the image, its mean and its standard deviation.
        self._record_size = self._size**2 + 2
        self.cache = SliceCache(
            locate.cache_folder(folder), key, num_slices, self._record_size, int(cache_gigabytes * 1e9)
        )
        self._pool: ThreadPoolExecutor | None = None

    def batch(self, indices: np.ndarray, batch_size: int) -> Batch:
        """The slices at `indices`, followed by zeros up to `batch_size` rows."""
        shape = (batch_size, self._size, self._size)
        # `_fill` writes all rows but the padding, so only the padding is set to zero.
        found = {"inputs": np.empty(shape, np.float32), "targets": np.empty(shape, np.float32)}
        for key in ("mean", "std", "volume_max"):
            found[key] = np.zeros(batch_size, np.float32)
        for key in ("inputs", "targets"):
            found[key][len(indices) :] = 0
        with _one_blas_thread():
            list(
                self._threads().map(
                    functools.partial(self._fill, found), range(len(indices)), indices.tolist()
                )
            )
        return found

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(min(num_cores(), MAX_WORKERS), thread_name_prefix="fastmri")
            # Nobody closes a source explicitly; the pool ends with it.
            weakref.finalize(self, self._pool.shutdown, wait=False)
        return self._pool

    def _fill(self, batch: Batch, row: int, index: int) -> None:
        from workloads.fastmri import reconstruction

        volume, place = self._catalog.locate(index)
        record = np.empty(self._record_size, np.float32)
        if not self.cache.get(index, record):
            self._reconstruct(volume, place, index, record)
            self.cache.put(index, record)
        mean, std = record[-2:]
        batch["inputs"][row] = record[:-2].reshape(self._size, self._size)
        batch["mean"][row], batch["std"][row], batch["volume_max"][row] = mean, std, volume.max
        target = batch["targets"][row]
        self._reader.target(volume, place, target)
        # With the input's mean and deviation: the target's own would tell the model about the answer.
        reconstruction.normalize(target, mean, std)

    def _reconstruct(self, volume: Volume, place: int, index: int, record: np.ndarray) -> None:
        from workloads.fastmri import reconstruction

        if self._seed is None:
            columns = masks.eval_columns(volume.num_columns, **self._mask)
        else:
            columns = masks.train_columns(self._seed, index, volume.num_columns, **self._mask)
        kspace = self._reader.kspace(volume, place)
        record[-2:] = reconstruction.reconstruct(kspace, columns, record[:-2].reshape(self._size, self._size))


@functools.cache
def _blas() -> Any:
    import scipy.fft  # noqa: F401 - loads its libraries, so that the controller finds them
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def _one_blas_thread() -> Any:
    """Context with one BLAS thread: each worker is a thread already, and more of them would compete for the cores."""
    return _blas().limit(limits=1)
