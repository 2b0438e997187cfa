"""From masked k-space to a normalised image, computing only what masking and cropping leave.

The plain definition (AlgoPerf, fastMRI) sets masked columns to zero, takes the centred orthonormal inverse FFT over
both axes, crops the centre to a square and takes the magnitude. Here

1. only the kept columns are gathered (97 of 368 in the evaluation mask);
2. each of them gets an FFT, and the middle half of the rows is kept;
3. a matrix product replaces the FFT over the other axis, from the kept columns to the columns that remain after the
   crop. Pixels at equal distances left and right of the centre have the same cosine and sine sums, so the product is
   one of real matrices: real and imaginary parts of k-space (stacked as rows) times cosines and sines (side by side).
   That is half the work of a complex product, and faster than FFTs of lengths 368 and 372 (factors 23 and 31);
4. phases that the magnitude drops, such as the sign that centring gives each row, are left out;
5. magnitude and normalisation are one compiled pass each over an image that stays in the processor's cache.
"""

# Shapes: R k-space rows (2 N), W k-space columns, N image size, K kept columns, H half of the image's columns

import functools

import numpy as np
import scipy.fft

from algoperf.data.machine_code import compiled

CLIP = 6.0
"""Normalised images are clipped to [-CLIP, CLIP]."""


@functools.lru_cache(maxsize=16)
def _crop_matrix(num_rows: int, num_columns: int, size: int) -> np.ndarray:
    """(W, 2 H) float32: for k-space column w and the pixel h right of the centre, cos at [w, h], sin at [w, H + h].

    It includes the factor that makes the whole transform orthonormal, because the FFT of the columns has no factor.
    """
    center = num_columns // 2
    # Reduced modulo W as integers, before the division, so that angles are exact in float64.
    turns = np.outer(np.arange(num_columns) - center, np.arange(size // 2 + 1)) % num_columns
    angles = 2 * np.pi / num_columns * turns
    matrix = np.concatenate([np.cos(angles), np.sin(angles)], axis=1) / np.sqrt(num_rows * num_columns)
    matrix = matrix.astype(np.float32)
    matrix.flags.writeable = False
    return matrix


@compiled("void(float32[:, ::1], float32, float32)")
def _normalize(image: np.ndarray, mean: float, std: float) -> None:
    limit = np.float32(CLIP)
    for row in range(image.shape[0]):
        for column in range(image.shape[1]):
            value = (image[row, column] - mean) / std
            image[row, column] = min(max(value, -limit), limit)


@compiled("Tuple((float32, float32))(float32[:, :, :, ::1], float32[:, ::1])")
def _normalized_magnitude(sums: np.ndarray, image: np.ndarray) -> tuple[float, float]:
    """Fills `image` from (2, N, 2, H) sums: (real, imaginary) x row x (cosine, sine) x distance from the centre."""
    size = image.shape[0]
    half = size // 2
    # One sum per column, in float64: the loop becomes vector instructions without reordering any addition.
    total, squares = np.zeros(size), np.zeros(size)
    for row in range(size):
        real_cos, real_sin = sums[0, row, 0], sums[0, row, 1]
        imag_cos, imag_sin = sums[1, row, 0], sums[1, row, 1]
        # The factor is cos + i sin to the right of the centre and cos - i sin to the left.
        for distance in range(half):
            real = real_cos[distance] - imag_sin[distance]
            imag = imag_cos[distance] + real_sin[distance]
            image[row, half + distance] = np.sqrt(real * real + imag * imag)
        for distance in range(1, half + 1):
            real = real_cos[distance] + imag_sin[distance]
            imag = imag_cos[distance] - real_sin[distance]
            image[row, half - distance] = np.sqrt(real * real + imag * imag)
        for column in range(size):
            value = np.float64(image[row, column])
            total[column] += value
            squares[column] += value * value
    mean = total.sum() / size**2
    variance = squares.sum() / size**2 - mean * mean
    std = np.float32(np.sqrt(max(variance, 0.0)))
    # Also for NaN. A constant image is divided by 1; AlgoPerf divides by 0.
    if not std > 0:
        std = np.float32(1)
    _normalize(image, np.float32(mean), std)
    return np.float32(mean), std  # type: ignore[return-value]  # Numba hands them over as Python floats.


def normalize(image: np.ndarray, mean: float, std: float) -> None:
    """In place: clip((image - mean) / std, -6, 6); (N, N) float32.

    >>> image = np.array([[1, 3], [-20, 2]], np.float32)
    >>> normalize(image, 2, 0.5)
    >>> image
    array([[-2.,  2.],
           [-6.,  0.]], dtype=float32)
    """
    _normalize(image, np.float32(mean), np.float32(std))


def reconstruct(kspace_RW: np.ndarray, columns: np.ndarray, image: np.ndarray) -> tuple[float, float]:
    """Zero-filled, cropped, normalised magnitude image of masked k-space.

    Args:
      kspace_RW: (2 N, W) complex64 with zero frequency in the middle, W >= N.
      columns: (K,) sorted indices of the columns that the mask keeps.
      image: (N, N) float32, N even; filled with the image, clipped to [-6, 6].

    Returns:
      Mean and (population) standard deviation of the magnitude image, with which it was normalised, in float32. The
      deviation of a constant image counts as 1; AlgoPerf divides by zero.
    """
    num_rows, num_columns = kspace_RW.shape
    size = len(image)
    kept_RK = kspace_RW.take(columns, axis=1)
    # norm="forward" leaves the inverse transform without a factor.
    rows_RK = scipy.fft.ifft(kept_RK, axis=0, norm="forward", overwrite_x=True, workers=1)
    # Centring multiplies k-space by alternating signs, which shifts the image by half of its rows. So the middle
    # half of
    # the image is the last quarter followed by the first quarter.
    half = size // 2
    parts = np.empty((2, size, len(columns)), np.float32)
    for piece, rows in ((rows_RK[-half:], slice(half)), (rows_RK[:half], slice(half, size))):
        parts[0, rows], parts[1, rows] = piece.real, piece.imag
    sums = parts.reshape(2 * size, -1) @ _crop_matrix(num_rows, num_columns, size)[columns]
    return _normalized_magnitude(sums.reshape(2, size, 2, half + 1), image)
