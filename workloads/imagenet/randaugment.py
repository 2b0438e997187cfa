"""RandAugment (Cubuk et al. 2020, https://arxiv.org/abs/1909.13719): random operations at full strength, on bytes.

Definitions and magnitudes are those of AlgoPerf's JAX pipeline, with which the targets were set; README.md lists the
differences from Pillow's. Magnitudes in pixels are for images of 224 pixels and scale with the side.
"""

import math

import numpy as np

from workloads.imagenet import draws
from workloads.imagenet.kernels import kernel

OPERATIONS = (
    "autocontrast",
    "equalize",
    "invert",
    "rotate",
    "posterize",
    "solarize",
    "solarize_add",
    "color",
    "contrast",
    "brightness",
    "sharpness",
    "shear_x",
    "shear_y",
    "translate_x",
    "translate_y",
    "cutout",
)
GRAY = 128  # Fills pixels from outside the image.
# Magnitudes are the largest of RandAugment's ten levels; AlgoPerf always uses that level.
ROTATION = math.radians(30)
SHEAR = 0.3
TRANSLATION = 100 / 224  # Of the side.
CUTOUT_HALF = 40 / 224  # Of the side.
POSTERIZE_MASK = 0xF0  # Keeps 4 bits.
SOLARIZE_ADDITION = 110
FACTOR = np.float32(1.9)  # For colour, contrast, brightness and sharpness; 1 leaves an image as it is.
# As in AlgoPerf's JAX pipeline (README.md); Pillow uses the mean of the image.
CONTRAST_GRAY = np.float32(196)

# Shapes: S side of the image, C = 3 channels.


def augment(image_SSC: np.ndarray, numbers: np.ndarray, spare_SSC: np.ndarray) -> np.ndarray:
    """Applies NUM_OPERATIONS operations, drawn with replacement; returns the array with the result.

    Args:
      image_SSC: uint8 image; overwritten.
      numbers: NUM_OPERATIONS x PER_OPERATION uniform numbers in [0, 1): operation, sign, centre down, centre across.
      spare_SSC: uint8 memory of the same shape.
    """
    for first in range(0, draws.NUM_OPERATIONS * draws.PER_OPERATION, draws.PER_OPERATION):
        which, sign, down, across = numbers[first : first + draws.PER_OPERATION].tolist()
        name = OPERATIONS[int(which * len(OPERATIONS))]
        apply(name, image_SSC, spare_SSC, 1.0 if sign < 0.5 else -1.0, (down, across))
        # Two buffers take turns, so that no operation overwrites what it still has to read.
        image_SSC, spare_SSC = spare_SSC, image_SSC
    return image_SSC


def apply(
    operation: str, image_SSC: np.ndarray, out_SSC: np.ndarray, sign: float, centre: tuple[float, float]
) -> None:
    """Writes the result of one operation.

    This function is not compiled: one function with all operations would take many seconds to compile.

    Args:
      operation: one of OPERATIONS.
      image_SSC: uint8 image.
      out_SSC: uint8 array for the result, not the image itself.
      sign: 1 or -1, the direction of rotation, shear and translation.
      centre: centre of the cutout, down and across, as fractions of the side in [0, 1).
    """
    side = image_SSC.shape[0]
    if operation in TABLES:
        _look_up(TABLES[operation], image_SSC, out_SSC)
    elif operation in WHOLE_IMAGE:
        WHOLE_IMAGE[operation](image_SSC, out_SSC)
    elif operation == "cutout":
        half = round(CUTOUT_HALF * side)
        top, left = int(centre[0] * side) - half, int(centre[1] * side) - half
        out_SSC[:] = image_SSC
        # Cut at the borders, as in AlgoPerf's JAX pipeline (README.md).
        out_SSC[max(top, 0) : max(top + 2 * half, 0), max(left, 0) : max(left + 2 * half, 0)] = GRAY
    else:
        _transform(image_SSC, out_SSC, *_inverse_of(operation, sign, side))


def _inverse_of(operation: str, sign: float, side: int) -> tuple[float, ...]:
    """(a, b, c, d, e, f): output pixel (x, y) is input pixel (a x + b y + c, d x + e y + f)."""
    if operation == "rotate":
        cos, sin, middle = math.cos(ROTATION), sign * math.sin(ROTATION), (side - 1) / 2
        return cos, -sin, (1 - cos + sin) * middle, sin, cos, (1 - cos - sin) * middle
    strength = sign * (SHEAR if operation.startswith("shear") else TRANSLATION * side)
    return {
        "shear_x": (1.0, strength, 0.0, 0.0, 1.0, 0.0),
        "shear_y": (1.0, 0.0, 0.0, strength, 1.0, 0.0),
        "translate_x": (1.0, 0.0, strength, 0.0, 1.0, 0.0),
        "translate_y": (1.0, 0.0, 0.0, 0.0, 1.0, strength),
    }[operation]


def _tables() -> dict[str, np.ndarray]:
    """(256,) uint8 tables for the operations that map each value independently."""
    value = np.arange(256)
    contrasted = CONTRAST_GRAY + FACTOR * (value.astype(np.float32) - CONTRAST_GRAY)
    tables = {
        "invert": 255 - value,
        # Solarize inverts values from a threshold on. At the highest level the threshold is 256, which AlgoPerf's JAX
        # pipeline stores in a byte as 0, so every value is inverted. Kept, because the targets were set with it.
        "solarize": 255 - value,
        "posterize": value & POSTERIZE_MASK,
        "solarize_add": np.where(value < 128, np.minimum(value + SOLARIZE_ADDITION, 255), value),
        "contrast": np.clip(contrasted, 0, 255),
        "brightness": np.clip(FACTOR * value.astype(np.float32), 0, 255),
    }
    return {name: table.astype(np.uint8) for name, table in tables.items()}


@kernel
def _look_up(table: np.ndarray, image_SSC: np.ndarray, out_SSC: np.ndarray) -> None:
    pixels, out = image_SSC.reshape(-1), out_SSC.reshape(-1)
    for k in range(pixels.shape[0]):
        out[k] = table[pixels[k]]


@kernel
def _byte(value: np.float32) -> np.uint8:
    """Clips to [0, 255], then truncates to an integer."""
    return np.uint8(min(max(value, np.float32(0)), np.float32(255)))


@kernel
def _autocontrast(image_SSC: np.ndarray, out_SSC: np.ndarray) -> None:
    """Stretches each channel to [0, 255]."""
    pixels = image_SSC.reshape(-1, 3)
    table = np.empty((3, 256), np.uint8)
    for channel in range(3):
        low, high = pixels[0, channel], pixels[0, channel]
        for k in range(pixels.shape[0]):
            low, high = min(low, pixels[k, channel]), max(high, pixels[k, channel])
        scale = 255.0 / (high - low) if high > low else 1.0
        start = low * scale if high > low else 0.0
        for value in range(256):
            table[channel, value] = np.uint8(min(max(value * scale - start, 0.0), 255.0))
    _look_up_channels(table, image_SSC, out_SSC)


@kernel
def _equalize(image_SSC: np.ndarray, out_SSC: np.ndarray) -> None:
    """Equalises each channel's histogram by a table of values, as Pillow does."""
    pixels = image_SSC.reshape(-1, 3)
    table = np.empty((3, 256), np.uint8)
    counts = np.empty(256, np.int64)
    for channel in range(3):
        counts[:] = 0
        for k in range(pixels.shape[0]):
            counts[pixels[k, channel]] += 1
        last = 255
        while counts[last] == 0:
            last -= 1
        # The last non-empty bin is left out, as in Pillow, so that it maps to 255.
        step = (pixels.shape[0] - counts[last]) // 255
        below = step // 2
        for value in range(256):
            table[channel, value] = min(below // step, 255) if step else value
            below += counts[value]
    _look_up_channels(table, image_SSC, out_SSC)


@kernel
def _look_up_channels(table: np.ndarray, image_SSC: np.ndarray, out_SSC: np.ndarray) -> None:
    pixels, out = image_SSC.reshape(-1, 3), out_SSC.reshape(-1, 3)
    for k in range(pixels.shape[0]):
        for channel in range(3):
            out[k, channel] = table[channel, pixels[k, channel]]


@kernel
def _color(image_SSC: np.ndarray, out_SSC: np.ndarray) -> None:
    """Moves each pixel away from its gray value."""
    pixels, out = image_SSC.reshape(-1, 3), out_SSC.reshape(-1, 3)
    for k in range(pixels.shape[0]):
        red, green, blue = np.float32(pixels[k, 0]), np.float32(pixels[k, 1]), np.float32(pixels[k, 2])
        # Weights of TensorFlow's rgb_to_grayscale, and its conversion of floats to bytes (times 255.5,
        # truncated).
        luma = np.float32(0.2989) * red + np.float32(0.587) * green + np.float32(0.114) * blue
        gray = np.float32(np.uint8(luma * np.float32(255.5 / 255)))
        out[k, 0] = _byte(gray + FACTOR * (red - gray))
        out[k, 1] = _byte(gray + FACTOR * (green - gray))
        out[k, 2] = _byte(gray + FACTOR * (blue - gray))


def _sharpness(image_SSC: np.ndarray, out_SSC: np.ndarray) -> None:
    """Moves each pixel away from a mean of its 3 x 3 window, in which it has weight 5; borders do not change."""
    out_SSC[:] = image_SSC
    _sharpen(image_SSC.reshape(-1), out_SSC.reshape(-1), np.uint64(image_SSC.shape[1] * 3))


@kernel
def _sharpen(pixels: np.ndarray, out: np.ndarray, line: np.uint64) -> None:
    """`_sharpness` of inner pixels; `line` is the length of a row of values."""
    # Unsigned indices, for which Numba needs no test for negative values.
    one, three = np.uint64(1), np.uint64(3)
    for row in range(one, np.uint64(pixels.shape[0]) // line - one):
        for k in range(row * line + three, (row + one) * line - three):
            above, below = k - line, k + line
            around = np.uint32(pixels[above - three]) + pixels[above] + pixels[above + three]
            around += np.uint32(pixels[k - three]) + pixels[k + three]
            around += np.uint32(pixels[below - three]) + pixels[below] + pixels[below + three]
            around += np.uint32(5) * pixels[k]
            # 13 = 8 + 5, the sum of the weights; truncated, as in AlgoPerf's JAX pipeline.
            mean = np.float32(np.uint32(around) // np.uint32(13))
            out[k] = _byte(mean + FACTOR * (np.float32(pixels[k]) - mean))


@kernel
def _transform(
    image_SSC: np.ndarray,
    out_SSC: np.ndarray,
    a: float,
    b: float,
    c: float,
    d: float,
    e: float,
    f: float,
) -> None:
    """Output pixel (x, y) is the input pixel nearest to (a x + b y + c, d x + e y + f), or gray outside."""
    side = image_SSC.shape[0]
    for y in range(side):
        for x in range(side):
            # Nearest neighbour, as in AlgoPerf's JAX pipeline.
            from_x = math.floor(a * x + b * y + c + 0.5)
            from_y = math.floor(d * x + e * y + f + 0.5)
            if 0 <= from_x < side and 0 <= from_y < side:
                for channel in range(3):
                    out_SSC[y, x, channel] = image_SSC[from_y, from_x, channel]
            else:
                for channel in range(3):
                    out_SSC[y, x, channel] = GRAY


TABLES = _tables()
WHOLE_IMAGE = {
    "autocontrast": _autocontrast,
    "equalize": _equalize,
    "color": _color,
    "sharpness": _sharpness,
}
