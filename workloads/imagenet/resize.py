"""Resamples a window of an image to a square, in one pass from decoded pixels to the batch.

Bicubic interpolation with Keys' kernel (a = -0.5) at half-pixel centres, without antialiasing, as in
`tf.image.resize(..., 'bicubic')`: every output pixel is a weighted sum of 4 x 4 input pixels at any scale. Taps
outside the window get weight 0, and the others are scaled to a sum of 1.

Source: Keys 1981, "Cubic convolution interpolation for digital image processing"; TensorFlow, ResizeBicubic with
half_pixel_centers=True (it rounds positions to 1/1024 pixel first; here they are exact).
"""

import math

import numpy as np

from workloads.imagenet.kernels import kernel

# Shapes: S side of the output, H and W of the decoded image, C = 3 channels.


@kernel
def cubic(distance: float) -> float:
    """Keys' interpolation kernel with a = -0.5."""
    x = abs(distance)
    if x <= 1.0:
        return (1.5 * x - 2.5) * x * x + 1.0
    if x < 2.0:
        return ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return 0.0


@kernel
def taps(length: int, size: int, first: np.ndarray, weights: np.ndarray) -> None:
    """Computes, for each output pixel along one axis, the first of four input positions and their weights.

    Args:
      length: input pixels.
      size: output pixels.
      first: (size,) int64, filled with positions from -2 to length - 2; positions outside have weight 0.
      weights: (size, 4) float32, filled; each row has sum 1.
    """
    scale = length / size
    for index in range(size):
        place = (index + 0.5) * scale - 0.5
        start = math.floor(place) - 1
        first[index] = start
        total = 0.0
        for tap in range(4):
            position = start + tap
            weight = cubic(place - position) if 0 <= position < length else 0.0
            weights[index, tap] = weight
            total += weight
        for tap in range(4):
            weights[index, tap] /= total


@kernel
def _memory(box: tuple[int, int, int, int], size: int) -> tuple:
    """Taps of rows and columns, and memory for one row of input and one of output."""
    _, _, height, width = box
    rows, row_weights = np.empty(size, np.int64), np.empty((size, 4), np.float32)
    columns, column_weights = np.empty(size, np.int64), np.empty((size, 4), np.float32)
    taps(height, size, rows, row_weights)
    taps(width, size, columns, column_weights)
    # Two more pixels on either side, for taps of weight 0. Unsigned indices, because Numba then needs no test for
    # negative ones, which count from the end.
    starts = np.empty(size, np.uint64)
    for index in range(size):
        starts[index] = (columns[index] + 2) * 3
    line, result = np.zeros((width + 4) * 3, np.float32), np.empty(size * 3, np.float32)
    return rows, row_weights, starts, column_weights.reshape(-1), line, result


@kernel
def _resample(
    image_HWC: np.ndarray, box: tuple[int, int, int, int], flip: bool, row: int, memory: tuple
) -> None:
    """Computes output row `row` into the last item of `memory`, (S x C,) float32; `flip` reverses it."""
    top, left, height, width = box
    rows, row_weights, starts, weights, line, result = memory
    a, b, c, d = row_weights[row, 0], row_weights[row, 1], row_weights[row, 2], row_weights[row, 3]
    start, length = left * 3, width * 3
    first, last = rows[row], height - 1
    # Vertically first: all pixels of a row have the same four weights, so the loop becomes vector instructions.
    one = image_HWC[top + min(max(first, 0), last)].reshape(-1)[start : start + length]
    two = image_HWC[top + min(max(first + 1, 0), last)].reshape(-1)[start : start + length]
    three = image_HWC[top + min(max(first + 2, 0), last)].reshape(-1)[start : start + length]
    four = image_HWC[top + min(max(first + 3, 0), last)].reshape(-1)[start : start + length]
    inner = line[6 : 6 + length]
    for k in range(length):
        inner[k] = (
            a * np.float32(one[k])
            + b * np.float32(two[k])
            + c * np.float32(three[k])
            + d * np.float32(four[k])
        )
    size = starts.shape[0]
    for index in range(size):
        tap = np.uint64(4 * index)
        w, x = weights[tap], weights[tap + np.uint64(1)]
        y, z = weights[tap + np.uint64(2)], weights[tap + np.uint64(3)]
        place = np.uint64(3 * (size - 1 - index)) if flip else np.uint64(3 * index)
        for channel in range(3):
            k = starts[np.uint64(index)] + np.uint64(channel)
            result[place + np.uint64(channel)] = (
                w * line[k]
                + x * line[k + np.uint64(3)]
                + y * line[k + np.uint64(6)]
                + z * line[k + np.uint64(9)]
            )


@kernel
def to_normalised(
    image_HWC: np.ndarray,
    box: tuple[int, int, int, int],
    flip: bool,
    scale: np.ndarray,
    shift: np.ndarray,
    out_SSC: np.ndarray,
) -> None:
    """Writes scale x pixel + shift of the resampled window. Values beyond [0, 255] are not clipped, as in AlgoPerf.

    Args:
      image_HWC: uint8 pixels.
      box: top, left, height, width of the window.
      flip: whether left and right are swapped.
      scale: (S x C,) float32, 1 / standard deviation, for one row of pixels.
      shift: (S x C,) float32, -mean / standard deviation.
      out_SSC: float32, contiguous, for the result.
    """
    size = out_SSC.shape[0]
    memory = _memory(box, size)
    result = memory[5]
    for row in range(size):
        _resample(image_HWC, box, flip, row, memory)
        line = out_SSC[row].reshape(-1)
        for k in range(line.shape[0]):
            line[k] = result[k] * scale[k] + shift[k]


@kernel
def to_bytes(image_HWC: np.ndarray, box: tuple[int, int, int, int], flip: bool, out_SSC: np.ndarray) -> None:
    """Writes the resampled window as uint8, clipped to [0, 255] and truncated; see `to_normalised`."""
    size = out_SSC.shape[0]
    memory = _memory(box, size)
    result = memory[5]
    for row in range(size):
        _resample(image_HWC, box, flip, row, memory)
        line = out_SSC[row].reshape(-1)
        for k in range(line.shape[0]):
            line[k] = np.uint8(min(max(result[k], np.float32(0)), np.float32(255)))


@kernel
def normalise(image_SSC: np.ndarray, scale: np.ndarray, shift: np.ndarray, out_SSC: np.ndarray) -> None:
    """Writes scale x pixel + shift of uint8 pixels (see `to_normalised`)."""
    for row in range(image_SSC.shape[0]):
        pixels, line = image_SSC[row].reshape(-1), out_SSC[row].reshape(-1)
        for k in range(line.shape[0]):
            line[k] = np.float32(pixels[k]) * scale[k] + shift[k]
