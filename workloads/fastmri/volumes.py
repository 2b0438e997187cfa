"""fastMRI's HDF5 volumes: checks during preparation, and fast reading of single slices.

A volume holds `kspace` complex64 (slices, 2 N, W), `reconstruction_esc` float32 (slices, N, N), which is the emulated
single-coil image, and the attribute `max`, the largest value of the latter. Contiguous datasets, as in the published
files, are read directly from their offset in the file: h5py opens each volume only during preparation, and threads do
not wait for its parser and its global lock.
"""

import dataclasses
import hashlib
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.spec import UsageError

KSPACE, TARGET, MAX = "kspace", "reconstruction_esc", "max"
_HEAD_BYTES = 1 << 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class Volume:
    """Facts about one file that reading needs; an entry of the index."""

    file: str
    """Path relative to the data folder."""
    num_bytes: int
    head_sha256: str
    """Checksum of the first 64 KiB: the file's structure and, in published files, text about the scan."""
    num_slices: int
    num_columns: int
    """Width W of k-space."""
    max: float
    kspace_offset: int | None
    """Offset of the first byte in the file; None if the dataset is chunked or compressed."""
    target_offset: int | None

    def to_dict(self) -> dict[str, Any]:
        return dataclasses.asdict(self)


def head_sha256(path: Path) -> str:
    """Checksum of a file's first 64 KiB."""
    with path.open("rb") as file:
        return hashlib.sha256(file.read(_HEAD_BYTES)).hexdigest()


def inspect(folder: Path, file: str, image_size: int) -> Volume:
    """Opens a volume and checks keys, types and shapes.

    Raises:
      UsageError: if it is no such file; names the file and the key.
    """
    import h5py

    path = folder / file
    try:
        with h5py.File(path, "r") as volume:
            _check(path, volume, image_size)
            num_slices, _, num_columns = volume[KSPACE].shape
            return Volume(
                file=file,
                num_bytes=path.stat().st_size,
                head_sha256=head_sha256(path),
                num_slices=num_slices,
                num_columns=num_columns,
                max=_max_of(path, volume),
                kspace_offset=_offset(volume[KSPACE]),
                target_offset=_offset(volume[TARGET]),
            )
    except (OSError, RuntimeError) as error:  # RuntimeError: of links that lead in a circle.
        raise UsageError(
            f"{path} is not a complete HDF5 file ({error}). Delete it and unpack it again from its archive."
        ) from error


def _check(path: Path, volume: Any, image_size: int) -> None:
    import h5py

    wanted = {
        KSPACE: (np.complex64, "(slices, {0}, at least {1})"),
        TARGET: (np.float32, "(slices, {1}, {1})"),
    }
    for key, (dtype, shape) in wanted.items():
        if isinstance(volume.get(key, getlink=True), h5py.ExternalLink):
            raise UsageError(
                f"{path}: {key!r} is a link to another file, which may change. Unpack it again from its archive."
            )
        if not isinstance(volume.get(key), h5py.Dataset):
            keys = ", ".join(sorted(volume)) or "nothing"
            raise UsageError(
                f"{path} has no dataset {key!r}; it holds {keys}. Single-coil training and validation volumes "
                "have it: check that the file is from knee_singlecoil_train or knee_singlecoil_val."
            )
        found = volume[key]
        if found.dtype != dtype:
            raise UsageError(f"{path}: {key!r} is of type {found.dtype}, must be {np.dtype(dtype)}.")
        sizes = found.shape[1:]
        rows = 2 * image_size if key == KSPACE else image_size
        fits = len(found.shape) == 3 and sizes[0] == rows and sizes[1] >= image_size
        if not fits or found.shape[0] == 0 or (key == TARGET and sizes[1] != image_size):
            raise UsageError(
                f"{path}: {key!r} has shape {found.shape}, must be {shape.format(2 * image_size, image_size)}."
            )
    if len(volume[KSPACE]) != len(volume[TARGET]):
        raise UsageError(
            f"{path}: {KSPACE!r} holds {len(volume[KSPACE])} slices and {TARGET!r} {len(volume[TARGET])}."
        )


def _max_of(path: Path, volume: Any) -> float:
    """The attribute of that name, 0 where there is none."""
    value = np.asarray(volume.attrs.get(MAX, 0.0))
    if value.size != 1 or value.dtype.kind not in "fiu" or not np.isfinite(value).all():
        raise UsageError(
            f"{path}: the attribute {MAX!r} must be one finite number, and is of type {value.dtype} and shape "
            f"{value.shape}. Unpack the file again from its archive."
        )
    return float(value.reshape(()))


def _offset(dataset: Any) -> int | None:
    in_one_piece = dataset.chunks is None and dataset.external is None and not dataset.is_virtual
    return dataset.id.get_offset() if in_one_piece and dataset.dtype.isnative else None


class SliceReader:
    """Reads slices of the volumes under one folder; threads may share it.

    Args:
      folder: the folder to which `Volume.file` is relative.
      image_size: N.
    """

    def __init__(self, folder: Path, image_size: int):
        self._folder, self._size = Path(folder), image_size
        self._scratch = threading.local()

    def kspace(self, volume: Volume, index: int) -> np.ndarray:
        """(2 N, W) complex64, valid until the same thread's next call."""
        shape = (2 * self._size, volume.num_columns)
        if volume.kspace_offset is None:
            return self._from_hdf5(volume, KSPACE, index)
        # Reading into memory that is used again is faster than the page faults of a memory map, also from a cold
        # disk.
        scratch = getattr(self._scratch, "kspace", None)
        if scratch is None or scratch.size < shape[0] * shape[1]:
            scratch = self._scratch.kspace = np.empty(shape[0] * shape[1], np.complex64)
        out = scratch[: shape[0] * shape[1]].reshape(shape)
        self._read(volume, volume.kspace_offset + index * out.nbytes, out)
        return out

    def target(self, volume: Volume, index: int, out: np.ndarray) -> None:
        """Reads a target into `out`, (N, N) float32."""
        if volume.target_offset is None:
            out[:] = self._from_hdf5(volume, TARGET, index)
        else:
            self._read(volume, volume.target_offset + index * out.nbytes, out)

    def _read(self, volume: Volume, offset: int, out: np.ndarray) -> None:
        path = self._folder / volume.file
        # Opened for each read (5 us), because there are more volumes than a process may keep open by default.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            read_exactly(descriptor, offset, out, path)
        finally:
            os.close(descriptor)

    def _from_hdf5(self, volume: Volume, key: str, index: int) -> np.ndarray:
        import h5py

        path = self._folder / volume.file
        try:
            with h5py.File(path, "r") as file:
                return file[key][index]
        except (OSError, KeyError) as error:
            raise UsageError(f"Cannot read slice {index} of {key!r} in {path}: {error}.") from error


def read_exactly(descriptor: int, offset: int, out: np.ndarray, path: Path) -> None:
    """Fills the contiguous array `out` from an open file.

    Raises:
      UsageError: if the file ends before that.
    """
    view = out.data.cast("B")
    done = 0
    while done < len(view):
        count = os.preadv(descriptor, [view[done:]], offset + done)
        if count == 0:
            raise UsageError(
                f"{path} ends at byte {offset + done:,}, before its last slice: it has been cut since it was prepared. "
                "Unpack it again from its archive."
            )
        done += count
