"""Batches of decoded, cropped, augmented and normalised images, made by several threads.

Decoding and the compiled loops release Python's lock, so threads are enough, and they fill one batch in shared memory.
The result depends only on seed, epoch and position in the data set, not on the number of threads.
"""

import functools
import itertools
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np

from algoperf.data.stream import Batch, ShuffledStream
from algoperf.machine import num_cores
from algoperf.spec import UsageError
from algoperf.workload import WorkloadSpec
from workloads.imagenet import crops, draws, jpeg, mixup, randaugment, resize
from workloads.imagenet.array_records import Records

MAX_WORKERS = 16
# Pieces of a batch: images take different times, so a thread that finishes early takes another piece.
PIECES_PER_WORKER = 4


class Pipeline:
    """Turns positions in a split into arrays.

    Args:
      records: the images.
      spec: its `data` determines crops and augmentation.
    """

    def __init__(self, records: Records, spec: WorkloadSpec):
        self._records, self._data = records, spec.data
        scale = 1 / np.asarray(spec.train_stddev, np.float64)
        shift = -np.asarray(spec.train_mean, np.float64) * scale
        # Repeated for a whole row of pixels, so that the compiled loops need no loop over channels.
        self._scale = np.tile(scale, spec.data.crop_size).astype(np.float32)
        self._shift = np.tile(shift, spec.data.crop_size).astype(np.float32)
        self._area_range = tuple(float(limit) for limit in spec.data.area_range)
        self._aspect_range = tuple(float(limit) for limit in spec.data.aspect_range)
        self._num_workers = num_workers(spec.data.num_workers)
        self._pool = ThreadPoolExecutor(self._num_workers, thread_name_prefix="imagenet")
        self._thread = threading.local()
        # Now, off the clock: set-up makes the pipeline, the first batch is charged to the submission.
        _compile(spec.data.randaugment, spec.data.mixup_alpha > 0)

    def train_inputs(self, seed: int, epoch: int, indices: np.ndarray) -> np.ndarray:
        """(batch, crop, crop, 3) float32: random crop, flip, RandAugment if wanted, normalised."""
        numbers = draws.uniforms(seed, epoch, indices)
        out = self._empty(len(indices))
        augment = bool(self._data.randaugment)

        def one(row: int) -> None:
            image = self._decode(int(indices[row]))
            own = numbers[row]
            box = crops.random_box(
                own, *image.shape[:2], self._area_range, self._aspect_range, self._data.eval_crop_fraction
            )
            # All random numbers of an image are drawn before, so no branch changes the numbers of another
            # operation.
            flip = bool(own[draws.FLIP] < 0.5)
            if augment:
                pixels, spare = self._byte_memory()
                resize.to_bytes(image, box, flip, pixels)
                pixels = randaugment.augment(pixels, own[draws.AUGMENT :], spare)
                resize.normalise(pixels, self._scale, self._shift, out[row])
            else:
                resize.to_normalised(image, box, flip, self._scale, self._shift, out[row])

        self._for_each(one, len(indices))
        return out

    def eval_inputs(self, indices: np.ndarray, batch_size: int) -> np.ndarray:
        """(batch_size, crop, crop, 3) float32: centre crop, normalised; zeros after the last image."""
        out = self._empty(batch_size)
        out[len(indices) :] = 0

        def one(row: int) -> None:
            image = self._decode(int(indices[row]))
            box = crops.centre_square(*image.shape[:2], self._data.eval_crop_fraction)
            resize.to_normalised(image, box, False, self._scale, self._shift, out[row])

        self._for_each(one, len(indices))
        return out

    def mix(self, inputs: np.ndarray, weight: float) -> None:
        """Mixup in place (see `mixup.mix_inputs`)."""
        flat = inputs.reshape(len(inputs), -1)
        limits = np.linspace(0, flat.shape[1], self._num_workers + 1).astype(int).tolist()
        self._wait(
            self._pool.submit(mixup.mix_inputs, flat, np.float32(weight), start, stop)
            for start, stop in itertools.pairwise(limits)
        )

    def _empty(self, batch_size: int) -> np.ndarray:
        return np.empty((batch_size, self._data.crop_size, self._data.crop_size, 3), np.float32)

    def _decode(self, index: int) -> np.ndarray:
        """Pixels of one image, in memory that the next call in the same thread overwrites."""
        buffer = getattr(self._thread, "buffer", None)
        try:
            image = jpeg.decode(self._records.jpeg(index), buffer)
        except ValueError as error:
            raise UsageError(
                f"Image {index} cannot be decoded ({error}); dataset_setup.py --verify finds damaged files."
            ) from error
        # Each thread keeps the largest image's memory: new pages for every image would cost a part of the
        # decoding time.
        if buffer is None or image.size > buffer.size:
            self._thread.buffer = np.empty(image.size, np.uint8)
        return image

    def _byte_memory(self) -> tuple[np.ndarray, np.ndarray]:
        memory = getattr(self._thread, "bytes", None)
        if memory is None:
            side = self._data.crop_size
            memory = self._thread.bytes = np.empty((2, side, side, 3), np.uint8)
        return memory[0], memory[1]

    def _for_each(self, one: Callable[[int], None], size: int) -> None:
        def some(rows: range) -> None:
            for row in rows:
                one(row)

        step = max(1, size // (self._num_workers * PIECES_PER_WORKER))
        self._wait(
            self._pool.submit(some, range(start, min(start + step, size))) for start in range(0, size, step)
        )

    @staticmethod
    def _wait(futures: Any) -> None:
        futures = list(futures)
        try:
            for future in futures:
                future.result()
        except BaseException:
            for future in futures:
                future.cancel()
            raise


@functools.cache
def _compile(has_randaugment: bool, has_mixup: bool) -> None:
    """Calls every compiled loop once, so that no batch waits for the compiler."""
    pixels, floats = np.zeros((2, 8, 8, 3), np.uint8), np.zeros((2, 8, 8, 3), np.float32)
    row, numbers = np.zeros(24, np.float32), np.zeros(draws.COUNT)
    box = crops.centre_square(8, 8, 1.0)
    crops.random_box(numbers, 8, 8, (0.5, 1.0), (0.5, 2.0), 1.0)
    resize.to_normalised(pixels[0], box, False, row, row, floats[0])
    if has_randaugment:
        resize.to_bytes(pixels[0], box, False, pixels[1])
        for operation in randaugment.OPERATIONS:
            randaugment.apply(operation, pixels[0], pixels[1], 1.0, (0.0, 0.0))
        resize.normalise(pixels[0], row, row, floats[0])
    if has_mixup:
        mixup.mix_inputs(floats.reshape(2, -1), np.float32(1), 0, 8)


def num_workers(wanted: int) -> int:
    """`wanted`; if it is 0, one per processor that this process may use, at most 16."""
    if wanted < 0:
        raise UsageError(f"num_workers must be 0 (all cores) or positive, got {wanted}.")
    return wanted or min(num_cores(), MAX_WORKERS)


class TrainStream:
    """Endless training batches with an exact position (`algoperf.data.stream.Stream`).

    Args:
      records: the training images.
      spec: `data.mixup_alpha` above 0 blends examples and makes targets (batch, num_classes) float32.
      seed: fixes order and augmentation.
      batch_size: rows per batch.
    """

    def __init__(self, records: Records, spec: WorkloadSpec, seed: int, batch_size: int):
        pipeline, labels = Pipeline(records, spec), records.labels

        def fetch(indices: np.ndarray, epoch: int) -> Batch:
            indices = indices[self._places(len(indices))]
            inputs = pipeline.train_inputs(seed, epoch, indices)
            return {"inputs": inputs, "targets": labels[indices].astype(np.int32)}

        self._batches = ShuffledStream(len(records), batch_size, seed, fetch)
        self._pipeline, self._data, self._seed = pipeline, spec.data, seed
        self._rows = slice(None)

    def __iter__(self) -> "TrainStream":
        return self

    def _places(self, batch_size: int) -> np.ndarray:
        """Positions of the rows to make: the wanted ones and, with mixup, the one before them, which is blended in."""
        places = np.arange(batch_size)[self._rows]
        has_all = len(places) == batch_size
        return places if has_all or not self._data.mixup_alpha else np.concatenate([places[:1] - 1, places])

    def keep_rows(self, rows: slice) -> None:
        """From now on, batches hold only these rows, which must be consecutive."""
        self._rows = rows

    def __next__(self) -> Batch:
        number = self._batches.state()["next_batch"]
        batch = next(self._batches)
        if self._data.mixup_alpha > 0:
            weight = mixup.share(self._seed, number, self._data.mixup_alpha)
            self._pipeline.mix(batch["inputs"], weight)
            batch["targets"] = mixup.mix_targets(batch["targets"], self._data.num_classes, weight)
            # Drops the row that was only made to be blended into the first one.
            if self._rows != slice(None):
                batch = {key: value[1:] for key, value in batch.items()}
        return batch

    def state(self) -> dict[str, Any]:
        return self._batches.state()

    def set_state(self, state: dict[str, Any]) -> None:
        self._batches.set_state(state)


def eval_batches(
    records: Records, spec: WorkloadSpec, indices: np.ndarray, batch_size: int
) -> Iterator[Batch]:
    """Batches of the images at `indices` in that order; the last one is padded with rows of weight 0."""
    pipeline = Pipeline(records, spec)
    for start in range(0, len(indices), batch_size):
        own = indices[start : start + batch_size]
        padding = (0, batch_size - len(own))
        yield {
            "inputs": pipeline.eval_inputs(own, batch_size),
            "targets": np.pad(records.labels[own].astype(np.int32), padding),
            "weights": np.pad(np.ones(len(own), np.float32), padding),
        }
