"""Crops: a random window in training, the centre square in evaluation."""

import math

import numpy as np

from workloads.imagenet import draws
from workloads.imagenet.kernels import kernel

# Least share of the image's area: a default of TensorFlow's sampler, in addition to `area_range`.
MIN_COVERED = 0.1
Box = tuple[int, int, int, int]
"""Top, left, height, width in pixels."""


@kernel
def centre_square(height: int, width: int, fraction: float) -> Box:
    """The centre square whose side is `fraction` of the shorter side, rounded down.

    >>> centre_square(400, 500, 0.875)
    (25, 75, 350, 350)
    """
    side = max(1, int(fraction * min(height, width)))
    return (height - side + 1) // 2, (width - side + 1) // 2, side, side


@kernel
def random_box(
    numbers: np.ndarray,
    height: int,
    width: int,
    area_range: tuple[float, float],
    aspect_range: tuple[float, float],
    fraction: float,
) -> Box:
    """A random window, drawn as by TensorFlow's `sample_distorted_bounding_box` with the whole image as object.

    Each of up to ten attempts draws the aspect ratio (width over height) uniformly, then the height uniformly among
    those that keep area and window within bounds, then the position uniformly. If all fail, or the window is the whole
    image, the result is the centre square of evaluation, as in AlgoPerf's JAX pipeline.

    Args:
      numbers: at least 40 uniform numbers in [0, 1).
      height: of the image in pixels.
      width: of the image in pixels.
      area_range: range of the window's area, as fractions of the image's area.
      aspect_range: range of the window's width over height.
      fraction: see `centre_square`.
    """
    min_area, max_area = area_range[0] * width * height, area_range[1] * width * height
    covered = max(min_area, MIN_COVERED * width * height)
    for attempt in range(draws.CROP_ATTEMPTS):
        first = attempt * draws.PER_ATTEMPT
        aspect = aspect_range[0] + numbers[first] * (aspect_range[1] - aspect_range[0])
        lowest = _round(math.sqrt(min_area / aspect))
        highest = _round(math.sqrt(max_area / aspect))
        if _round(highest * aspect) > width:
            # The largest height whose width still rounds to at most the image's; the constant is
            # TensorFlow's.
            highest = int((width + 0.5 - 1e-7) / aspect)
            if _round(highest * aspect) > width:
                highest -= 1
        highest = min(highest, height)
        lowest = min(lowest, highest)
        rows = lowest + int(numbers[first + 1] * (highest - lowest + 1))
        columns = _round(rows * aspect)
        if rows * columns < min_area:  # Rounding to whole pixels can leave the range of areas.
            rows += 1
            columns = _round(rows * aspect)
        if rows * columns > max_area:
            rows -= 1
            columns = _round(rows * aspect)
        area = rows * columns
        if not covered <= area <= max_area or columns > width or rows > height or area == 0:
            continue
        if rows == height and columns == width:
            break
        # As in TensorFlow, whose range excludes the last possible position.
        top = int(numbers[first + 2] * (height - rows))
        left = int(numbers[first + 3] * (width - columns))
        return top, left, rows, columns
    return centre_square(height, width, fraction)


@kernel
def _round(value: float) -> int:
    """Rounds to the nearest integer, halves to even, as C's lrintf."""
    return int(np.rint(value))
