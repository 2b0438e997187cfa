"""The raw volumes of the mini workload: phantoms in fastMRI's HDF5 format.

A volume is a body of soft-edged ellipsoids, some of them striped, cut into slices. Its complex image has a smooth
phase. k-space is the FFT of the image plus noise, and the target is the magnitude of the inverse FFT, noise included,
as with a real scanner. Values are rounded to a grid that is much coarser than rounding errors of sines and FFTs, so
that every machine makes the same numbers.
"""

# Shapes: S slices, N image size, W k-space columns; rows of k-space are 2 N

import json
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from algoperf import files
from algoperf.data.prepared import SYNTHESIS, num_examples, of_instance
from algoperf.workload import WorkloadSpec
from workloads.fastmri import catalog
from workloads.fastmri.volumes import KSPACE, MAX, TARGET

VERSION = 1  # Increase it when the content changes; existing folders are then written again.
SEED = 2020
NOISE = 0.02  # Standard deviation of real and imaginary part of a pixel; bodies have a brightness of about 1.
UNIT = 2.0**-13  # Scale of values: the brightest pixels of fastMRI are about 1e-4 to 1e-3.
_GRID = 2.0**12  # k-space and target are rounded to multiples of 1 / _GRID, before UNIT.
_NUM_PARTS = (7, 12)  # Number of ellipsoids inside a body: from 7 to 11.


def describe(spec: WorkloadSpec) -> dict[str, Any]:
    """What identifies the content, for the manifest."""
    sizes = {"image_size": spec.data.image_size, "slices_per_volume": spec.data.slices_per_volume}
    return {"version": VERSION, "seed": SEED, **sizes, **num_examples(spec), **of_instance(spec)}


def synthesize(spec: WorkloadSpec, folder: Path, progress: bool = True, seed: int = SEED) -> None:
    """Writes `raw/knee_singlecoil_{train,val}/*.h5`; continues where an earlier call stopped."""
    raw = folder / "raw"
    places = {part: raw / name for part, name in catalog.RAW_FOLDERS.items()}
    for place in places.values():
        place.mkdir(parents=True, exist_ok=True)
    description = json.dumps(describe(spec), sort_keys=True)
    note = raw / SYNTHESIS
    if not note.is_file() or note.read_text() != description:
        # Volumes of another size or version must not be used for this one.
        for place in places.values():
            for path in place.glob("*.h5"):
                path.unlink()
        files.write_text(note, description)
    todo = [
        (places["train" if split == "train" else "val"] / f"file{1_000_000 + number}.h5", number, num_slices)
        for number, (split, num_slices) in enumerate(plan(spec))
    ]
    for path, number, num_slices in tqdm(todo, desc="synthesize", unit="volume", disable=not progress):
        if not path.is_file():
            arrays = make_volume(number, num_slices, spec.data.image_size, seed)
            with files.replacing(path) as temporary:
                write_volume(temporary, *arrays)


def plan(spec: WorkloadSpec) -> list[tuple[str, int]]:
    """(split, number of slices) of each volume; the last volume of a split may be smaller."""
    per_volume = spec.data.slices_per_volume
    return [
        (split, min(per_volume, count - start))
        for split, count in num_examples(spec).items()
        for start in range(0, count, per_volume)
    ]


def write_volume(path: Path, kspace: np.ndarray, target: np.ndarray) -> None:
    """Writes an HDF5 file like fastMRI's: contiguous datasets and the attribute `max`, without times."""
    import h5py

    with h5py.File(path, "w") as file:
        file.create_dataset(KSPACE, data=kspace, track_times=False)
        file.create_dataset(TARGET, data=target, track_times=False)
        file.attrs[MAX] = float(target.max())


def widths(size: int) -> tuple[int, int]:
    """The two possible widths of k-space; for size 320 the usual 368 and 372."""
    return (368, 372) if size == 320 else (2 * round(size * 0.575), 2 * round(size * 0.575) + 2)


def make_volume(number: int, num_slices: int, size: int, seed: int = SEED) -> tuple[np.ndarray, np.ndarray]:
    """(k-space (S, 2 N, W) complex64, target (S, N, N) float32) of a volume; depends only on the arguments."""
    rng = np.random.default_rng([seed, number])
    num_columns = widths(size)[int(rng.integers(2))]
    image = _phantom(rng, num_slices, size, num_columns) * _phase(rng, num_slices, size, num_columns)
    noise = rng.standard_normal((2, num_slices, 2 * size, num_columns)) * NOISE
    full = np.zeros((num_slices, 2 * size, num_columns), complex)
    full[:, size // 2 : size // 2 + size] = image
    kspace = _centered(np.fft.fft2, full) + noise[0] + 1j * noise[1]
    kspace = np.rint(kspace.real * _GRID) / _GRID + 1j * (np.rint(kspace.imag * _GRID) / _GRID)
    left = (num_columns - size) // 2
    magnitude = np.abs(_centered(np.fft.ifft2, kspace))[:, size // 2 : size // 2 + size, left : left + size]
    # UNIT is a power of two, so multiplying by it rounds nothing.
    target = (np.rint(magnitude * _GRID) / _GRID).astype(np.float32)
    return kspace.astype(np.complex64) * np.float32(UNIT), target * np.float32(UNIT)


def _centered(transform: Any, image: np.ndarray) -> np.ndarray:
    axes = (1, 2)
    return np.fft.fftshift(transform(np.fft.ifftshift(image, axes), axes=axes, norm="ortho"), axes)


def _coordinates(num_slices: int, size: int, num_columns: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """z, y, x that broadcast to (S, N, W); the image's edges are at -1 and 1."""
    z = np.linspace(-0.6, 0.6, num_slices)[:, None, None]
    y = ((np.arange(size) - size // 2) / (size / 2))[:, None]
    x = (np.arange(num_columns) - num_columns // 2) / (size / 2)
    return z, y, x


def _phantom(rng: np.random.Generator, num_slices: int, size: int, num_columns: int) -> np.ndarray:
    """(S, N, W) magnitudes, about 1 inside the body."""
    z, y, x = _coordinates(num_slices, size, num_columns)
    center, axes = rng.uniform(-0.08, 0.08, 3), rng.uniform((1.1, 0.68, 0.62), (1.5, 0.86, 0.8))
    angle = rng.uniform(-0.3, 0.3)
    skin = _ellipsoid(z, y, x, center, axes, angle, softness=0.05)
    inside = _ellipsoid(z, y, x, center, axes * 0.9, angle, softness=0.08)
    body = 0.9 * skin - rng.uniform(0.35, 0.6) * inside
    for _ in range(int(rng.integers(*_NUM_PARTS))):
        part_center = center + rng.uniform(-0.5, 0.5, 3) * axes
        part_axes = rng.uniform((0.25, 0.08, 0.08), (0.9, 0.38, 0.38))
        part_angle = rng.uniform(0, np.pi)
        part = _ellipsoid(z, y, x, part_center, part_axes, part_angle, softness=rng.uniform(0.05, 0.3))
        brightness = rng.uniform(-0.5, 0.7)
        # Stripes of 3 to 8 pixels at N = 64, across or along the image, curved by a slow wave.
        direction, pixels = rng.uniform(0, np.pi), rng.uniform(3, 8)
        along = np.cos(direction) * y + np.sin(direction) * x + 0.1 * np.sin(3 * (y - x) + 2 * z)
        stripes = np.cos(2 * np.pi * along * 32 / pixels + rng.uniform(0, 2 * np.pi))
        depth = rng.uniform(0, 0.35) * (rng.random() < 0.6)
        body = body + part * inside * (brightness + depth * stripes)
    return np.maximum(body, 0)


def _ellipsoid(z: Any, y: Any, x: Any, center: Any, axes: Any, angle: float, softness: float) -> np.ndarray:
    """1 inside an ellipsoid and 0 outside, with a smooth edge of relative width `softness`."""
    dy, dx = y - center[1], x - center[2]
    u = np.cos(angle) * dy + np.sin(angle) * dx
    v = np.cos(angle) * dx - np.sin(angle) * dy
    radius = np.sqrt(((z - center[0]) / axes[0]) ** 2 + (u / axes[1]) ** 2 + (v / axes[2]) ** 2)
    t = np.clip((1 - radius) / softness + 0.5, 0, 1)
    return t * t * (3 - 2 * t)


def _phase(rng: np.random.Generator, num_slices: int, size: int, num_columns: int) -> np.ndarray:
    """(S, N, W) complex numbers of magnitude 1 whose angle varies slowly in all directions."""
    z, y, x = _coordinates(num_slices, size, num_columns)
    a = rng.normal(0, 1, 7)
    angle = np.pi * a[0] + a[1] * y + a[2] * x + 0.5 * a[3] * x * y + 0.5 * a[4] * (y * y - x * x)
    angle = angle + 0.5 * np.sin(2 * y + a[5] + z) + 0.5 * np.cos(2 * x + a[6] - z)
    return np.exp(1j * angle)
