"""Cache of reconstructed slices on disk, for one run: its masks do not change, so each slice is transformed once.

A file holds a record per slice (its input image and two statistics) and a byte per slice that says whether the record
is there. A record depends only on seed, slice and data, so processes that share the file write the same bytes, and
records need no lock. The last process that has the file open removes it; a file left by a killed process is removed by
the next one. Reads and writes go through the page cache, so records stay in free memory.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import warnings
import weakref
from pathlib import Path
from typing import Any

import numpy as np

from workloads.fastmri.volumes import read_exactly

_SPARE_BYTES = 1 << 30  # Left free on the disk for checkpoints and results.


class SliceCache:
    """Stores float32 records of one length by index.

    Args:
      folder: the folder of the file; it need not exist.
      key: JSON-able; everything that records depend on. Caches of equal keys share a file.
      num_records: indices are below this.
      record_size: numbers per record.
      limit_bytes: largest size of the file; records beyond it are not stored. 0 stores nothing.
    """

    def __init__(self, folder: Path, key: Any, num_records: int, record_size: int, limit_bytes: int):
        self._record_bytes = 4 * record_size
        self._num_records = num_records
        self._descriptor: int | None = None
        self.num_kept = 0
        """Number of records for which there is room."""
        if limit_bytes <= 0:
            return
        name = hashlib.sha256(json.dumps(key, sort_keys=True).encode()).hexdigest()[:24]
        self._path = Path(folder) / f"{name}.slices"
        try:
            self._open(limit_bytes)
        except OSError as error:
            warnings.warn(f"Slices are not kept for later epochs: {error}.", stacklevel=2)

    def _open(self, limit_bytes: int) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        _remove_left_over(self._path.parent)
        while True:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            # Shared by all users of the file; `_remove_if_unused` tries for the exclusive lock.
            fcntl.flock(descriptor, fcntl.LOCK_SH)
            with contextlib.suppress(FileNotFoundError):
                if os.fstat(descriptor).st_ino == self._path.stat().st_ino:
                    break  # If not, its last user removed the file between the two calls: try again.
            os.close(descriptor)
        free = shutil.disk_usage(self._path.parent).free + 512 * os.fstat(descriptor).st_blocks - _SPARE_BYTES
        room = min(limit_bytes, free) - self._num_records
        self.num_kept = max(0, min(self._num_records, room // self._record_bytes))
        self._descriptor = descriptor
        self._close = weakref.finalize(self, _close, descriptor, self._path)  # Also called at exit.

    def get(self, index: int, out: np.ndarray) -> bool:
        """Reads a record into `out`, (record_size,) float32; False if it is not there."""
        if self._descriptor is None or index >= self.num_kept:
            return False
        if os.pread(self._descriptor, 1, index) != b"\x01":
            return False
        read_exactly(self._descriptor, self._offset(index), out, self._path)
        return True

    def put(self, index: int, record: np.ndarray) -> None:
        """Stores a record if there is room."""
        if self._descriptor is None or index >= self.num_kept:
            return
        try:
            view = record.data.cast("B")
            done = 0
            while done < len(view):
                done += os.pwrite(self._descriptor, view[done:], self._offset(index) + done)
            # After the record, so that a reader with this flag finds a complete record.
            os.pwrite(self._descriptor, b"\x01", index)
        except OSError as error:
            self.num_kept = 0
            warnings.warn(f"Slices are no longer kept in {self._path}: {error}.", stacklevel=2)

    def close(self) -> None:
        """Ends this process's use; the last one removes the file."""
        if self._descriptor is not None:
            self._descriptor, self.num_kept = None, 0
            self._close()

    def _offset(self, index: int) -> int:
        # Records start at the first whole page after the flags.
        return -(-self._num_records // 4096) * 4096 + index * self._record_bytes


def _close(descriptor: int, path: Path) -> None:
    _remove_if_unused(descriptor, path)
    os.close(descriptor)


def _remove_if_unused(descriptor: int, path: Path) -> None:
    with contextlib.suppress(OSError):  # BlockingIOError: another process has it open.
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.fstat(descriptor).st_ino == path.stat().st_ino:
            path.unlink()


def _remove_left_over(folder: Path) -> None:
    for path in folder.glob("*.slices"):
        with contextlib.suppress(OSError):
            descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
            _close(descriptor, path)
