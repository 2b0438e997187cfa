"""The pictures of the mini data set: one textured object before a cluttered background.

A class is a combination of shape, texture and colour, so none of them determines it alone. Everything else is
nuisance:
position, size, rotation, the colours of background and clutter, illumination, noise. The test split draws from other
ranges, as ImageNet-v2 differs from ImageNet.

The loops use only additions, multiplications, divisions, comparisons and square roots, whose results IEEE 754 defines
exactly, so the bytes are the same on every machine.
"""

import dataclasses
import math

import numpy as np

from workloads.imagenet.kernels import kernel

SHAPES = ("disc", "bar", "ring", "cross")
TEXTURES = ("stripes", "dots")
HUES = ((0.0, 0.1), (0.28, 0.4))
"""Reds to oranges, and greens. RandAugment's Invert turns neither into the other."""
NUM_CLASSES = len(SHAPES) * len(TEXTURES) * len(HUES)
NUM_DISTRACTORS = 3
DECIMALS = 6  # Sines and cosines are rounded, because mathematical libraries differ in the last bits.


@dataclasses.dataclass(frozen=True)
class Nuisance:
    """Ranges from which a split draws; lengths are fractions of the image's side, brightness is in [0, 1]."""

    offset: float = 0.09
    """Largest distance of the object's centre from the image's centre, along each axis."""
    radius: tuple[float, float] = (0.26, 0.4)
    turn: float = math.radians(45)
    """Largest rotation of shape and texture in either direction."""
    gain: tuple[float, float] = (0.75, 1.15)
    slope: float = 0.3
    """Largest change of illumination from the middle to an edge."""
    noise: float = 0.1
    background_value: tuple[float, float] = (0.25, 0.8)
    background_saturation: float = 0.6
    distractor_radius: tuple[float, float] = (0.05, 0.14)


NUISANCE = {
    "train": Nuisance(),
    "validation": Nuisance(),
    "test": Nuisance(
        offset=0.12,
        radius=(0.24, 0.4),
        turn=math.radians(60),
        gain=(0.6, 1.3),
        slope=0.4,
        noise=0.14,
        background_saturation=0.8,
    ),
}


def parts_of(label: int) -> tuple[int, int, int]:
    """Shape, texture and colour of a class.

    >>> [parts_of(label) for label in (0, 1, 4, 15)]
    [(0, 0, 0), (1, 0, 0), (0, 1, 0), (3, 1, 1)]
    """
    rest, shape = divmod(label, len(SHAPES))
    colour, texture = divmod(rest, len(TEXTURES))
    return shape, texture, colour


def rgb(hue: float, saturation: float, value: float) -> tuple[float, float, float]:
    """The usual HSV colour model, all numbers in [0, 1].

    >>> rgb(1 / 3, 1.0, 0.5)
    (0.0, 0.5, 0.0)
    """

    def channel(shift: float) -> float:
        place = (hue * 6 + shift) % 6
        return value * (1 - saturation * max(0.0, min(place, 4 - place, 1.0)))

    return channel(5), channel(3), channel(1)


def draw(label: int, nuisance: Nuisance, size: int, seed: list[int]) -> np.ndarray:
    """(size, size, 3) uint8 picture of a class; depends only on the arguments."""
    generator = np.random.default_rng(seed)
    numbers = iter(generator.random(64).tolist())

    def between(limits: tuple[float, float]) -> float:
        return limits[0] + next(numbers) * (limits[1] - limits[0])

    def direction(limit: float = math.pi) -> tuple[float, float]:
        angle = between((-limit, limit))
        return round(math.cos(angle), DECIMALS), round(math.sin(angle), DECIMALS)

    def any_colour(saturation: float, values: tuple[float, float]) -> tuple[float, float, float]:
        return rgb(next(numbers), saturation * next(numbers), between(values))

    shape, texture, colour = parts_of(label)
    radius = between(nuisance.radius) * size
    middle = (size - 1) / 2
    reach = nuisance.offset * size
    hue = between(HUES[colour])
    geometry = np.array(
        [
            middle + between((-reach, reach)),
            middle + between((-reach, reach)),
            radius,
            *direction(nuisance.turn),  # Of the shape.
            *direction(nuisance.turn),  # Of the texture.
            radius * between((0.45, 0.6)),  # Period of the texture.
            next(numbers),  # Its phase.
            between(nuisance.gain),
            *(nuisance.slope * next(numbers) * part / middle for part in direction()),
            255 * nuisance.noise,
        ]
    )
    colours = np.array(
        [
            rgb(hue, between((0.6, 1.0)), between((0.8, 1.0))),
            rgb(hue, between((0.5, 0.9)), between((0.2, 0.4))),
            any_colour(nuisance.background_saturation, nuisance.background_value),
            any_colour(nuisance.background_saturation, nuisance.background_value),
            *(any_colour(1.0, (0.2, 1.0)) for _ in range(NUM_DISTRACTORS)),
        ]
    )
    background = np.array([*direction(), 1 / size])
    distractors = np.array(
        [
            (between((0, size)), between((0, size)), between(nuisance.distractor_radius) * size)
            for _ in range(NUM_DISTRACTORS)
        ]
    )
    # The sum of two uniform draws, minus 255, is noise with a triangular distribution in [-255, 255].
    noise = generator.integers(0, 256, (2, size, size, 3), dtype=np.uint8)
    out = np.empty((size, size, 3), np.uint8)
    _paint(shape, texture, geometry, 255 * colours, background, distractors, noise, out)
    return out


@kernel
def _coverage(distance: float) -> float:
    """Share of a pixel within an edge, given its signed distance to the edge in pixels, negative inside."""
    return min(max(0.5 - distance, 0.0), 1.0)


@kernel
def _distance(shape: int, u: float, v: float, radius: float) -> float:
    """Approximate signed distance to the edge of a shape, in the shape's coordinates."""
    if shape == 0:
        return math.sqrt(u * u + v * v) - radius
    if shape == 1:
        return max(abs(u) - 1.2 * radius, abs(v) - 0.42 * radius)
    if shape == 2:
        return abs(math.sqrt(u * u + v * v) - 0.8 * radius) - 0.22 * radius
    upright = max(abs(u) - 0.3 * radius, abs(v) - 1.1 * radius)
    across = max(abs(v) - 0.3 * radius, abs(u) - 1.1 * radius)
    return min(upright, across)


@kernel
def _stripe(place: float) -> float:
    """A wave of period 1 between 0 and 1 with soft edges."""
    part = place - math.floor(place)
    return min(max(0.5 + 4.0 * (0.25 - abs(part - 0.5)), 0.0), 1.0)


@kernel
def _paint(
    shape: int,
    texture: int,
    geometry: np.ndarray,
    colours: np.ndarray,
    background: np.ndarray,
    distractors: np.ndarray,
    noise: np.ndarray,
    out: np.ndarray,
) -> None:
    size = out.shape[0]
    middle = (size - 1) / 2
    centre_x, centre_y, radius, cos, sin, wave_x, wave_y, period, phase, gain, slope_x, slope_y, loudness = (
        geometry
    )
    for y in range(size):
        for x in range(size):
            dx, dy = x - centre_x, y - centre_y
            inside = _coverage(_distance(shape, cos * dx + sin * dy, cos * dy - sin * dx, radius))
            pattern = _stripe((wave_x * dx + wave_y * dy) / period + phase)
            if texture == 1:
                other = _stripe((wave_x * dy - wave_y * dx) / period + phase)
                pattern *= other
            along = (background[0] * (x - middle) + background[1] * (y - middle)) * background[2] + 0.5
            light = gain * (1.0 + slope_x * (x - middle) + slope_y * (y - middle))
            for channel in range(3):
                value = colours[2, channel] + along * (colours[3, channel] - colours[2, channel])
                for index in range(distractors.shape[0]):
                    u, v = x - distractors[index, 0], y - distractors[index, 1]
                    share = _coverage(math.sqrt(u * u + v * v) - distractors[index, 2])
                    value += share * (colours[4 + index, channel] - value)
                surface = colours[1, channel] + pattern * (colours[0, channel] - colours[1, channel])
                value += inside * (surface - value)
                grain = (
                    np.float64(noise[0, y, x, channel]) + np.float64(noise[1, y, x, channel]) - 255.0
                ) / 255.0
                value = value * light + loudness * grain
                out[y, x, channel] = np.uint8(min(max(value + 0.5, 0.0), 255.0))
