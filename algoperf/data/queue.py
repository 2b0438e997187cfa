"""The training queue that submissions draw from: NumPy batches, made ahead and moved to the device."""

import functools
import queue
import threading
import time
from pathlib import Path

from algoperf import registry
from algoperf.backends.base import BoundWorkload
from algoperf.data import locate
from algoperf.data.batch import shard_options
from algoperf.data.stream import DivisibleStream, Position
from algoperf.spec import Batch as DeviceBatch

Ahead = tuple[DeviceBatch, Position, BaseException | None]
"""A batch with the position after it, or the error that came in its place."""


class TrainingQueue:
    """Endless iterator over device batches whose position can be saved exactly.

    A thread makes batches and starts their transfer in advance, so that data selection only takes one from a queue. The
    first is there when the queue is.
    `state()` is the position after the last batch that was handed out; batches made in advance do not count.

    Args:
      workload: the bound workload.
      seed: fixes the data order.
      global_batch_size: rows per batch over all processes.
      data_dir: root of the data; by default the workload's own.
      state: position to continue from; the beginning by default.
    """

    def __init__(
        self,
        workload: BoundWorkload,
        seed: int,
        global_batch_size: int,
        data_dir: str | Path | None = None,
        state: Position | None = None,
    ):
        folder = locate.ready_folder(workload.spec, data_dir or workload.data_dir)
        backend = workload.backend
        shards = shard_options(workload.data_module, backend.num_devices())
        with registry.data_packages(workload.spec):
            self._stream = workload.data_module.train_stream(
                workload.spec, folder, seed, global_batch_size, **shards
            )
        # A stream with `keep_rows` makes only this process's rows; others make whole batches, of which the
        # backend keeps a share.
        is_local = False
        if backend.num_processes > 1 and isinstance(self._stream, DivisibleStream):
            is_local = True
            share = global_batch_size // backend.num_processes
            self._stream.keep_rows(slice(backend.process_index * share, (backend.process_index + 1) * share))
        self._to_device = functools.partial(workload.model.to_device, is_local=is_local)
        if state is not None:
            self._stream.set_state(state)
        self._state = self._stream.state()
        self._closed = threading.Event()
        self._error: BaseException | None = None
        self._ahead: queue.Queue[Ahead] | None = None
        depth = workload.data_module.PREFETCH
        if depth:
            self._ahead = queue.Queue(depth)
            self._thread = threading.Thread(target=self._fill, name="training-queue", daemon=True)
            self._thread.start()
        # The first batch belongs to set-up (R6.2): its transfer is compiled, which would be on the submission's clock.
        self._first: Ahead | None = self._next_item()

    def _fill(self) -> None:
        try:
            while not self._closed.is_set():
                batch = self._to_device(next(self._stream))
                # The position travels with the batch: by the time the batch is used, the stream is several
                # batches further.
                self._put((batch, self._stream.state(), None))
        except BaseException as error:
            self._put(({}, {}, error))

    def _put(self, item: Ahead) -> None:
        assert self._ahead is not None  # The thread that calls this is started with it.
        while not self._closed.is_set():
            try:
                self._ahead.put(item, timeout=0.2)
                return
            except queue.Full:
                continue

    def __iter__(self) -> "TrainingQueue":
        return self

    def __next__(self) -> DeviceBatch:
        if self._closed.is_set():
            raise StopIteration
        if self._error is None:
            item, self._first = self._first or self._next_item(), None
            batch, state, self._error = item
        if self._error is not None:
            raise self._error
        self._state = state
        return batch

    def _next_item(self) -> Ahead:
        if self._ahead is not None:
            return self._ahead.get()
        batch = self._to_device(next(self._stream))
        return batch, self._stream.state(), None

    def wait_until_full(self, timeout_sec: float = 60.0) -> None:
        """Returns when as many batches are made ahead as the queue holds, or there will be no more."""
        end = time.monotonic() + timeout_sec
        while self._ahead is not None and not self._ahead.full() and time.monotonic() < end:
            if not self._thread.is_alive():
                return
            time.sleep(0.001)

    def state(self) -> Position:
        """JSON-able position after the last batch that was handed out."""
        return self._state

    def close(self) -> None:
        """Stops the thread; the queue ends."""
        self._closed.set()
        if self._ahead is not None:
            # Room in the queue wakes a thread that waits to put a batch.
            while not self._ahead.empty():
                self._ahead.get_nowait()
            self._thread.join(timeout=5)
