"""Windows: the law of the training crop and the centre square."""

import numpy as np
import pytest

from workloads.imagenet import crops, draws

AREA, ASPECT, FRACTION = (0.08, 1.0), (3 / 4, 4 / 3), 0.875


def boxes(height, width, area=AREA, count=4_000):
    numbers = draws.uniforms(0, 0, np.arange(count))
    return np.array([crops.random_box(own, height, width, area, ASPECT, FRACTION) for own in numbers])


def test_the_centre_square_is_the_fact_sheets():
    assert crops.centre_square(400, 500, 0.875) == (25, 75, 350, 350)
    assert crops.centre_square(375, 500, 0.875) == (24, 86, 328, 328)
    assert crops.centre_square(1, 1, 0.875) == (0, 0, 1, 1)


@pytest.mark.parametrize("size", [(375, 500), (500, 333), (64, 64), (90, 700)])
def test_windows_keep_within_the_image_and_the_ranges(size):
    height, width = size
    found = boxes(height, width)
    fallback = (found == crops.centre_square(height, width, FRACTION)).all(axis=1)
    assert fallback.mean() < (0.35 if size == (90, 700) else 0.05)
    tops, lefts, rows, columns = found[~fallback].T
    assert (tops >= 0).all()
    assert (lefts >= 0).all()
    assert (tops + rows <= height).all()
    assert (lefts + columns <= width).all()
    share = rows * columns / (height * width)
    assert share.min() >= 0.1, "TensorFlow's sampler wants a tenth of the image beside the range of areas"
    assert share.max() <= 1.0
    aspect = columns / rows
    assert aspect.min() > 0.75 - 0.5 / rows.min() - 0.01
    assert aspect.max() < 4 / 3 + 0.5 / rows.min() + 0.01


def test_aspect_ratio_and_then_height_are_uniform():
    """A square image, where the bounds of the height follow from the areas alone for wide windows."""
    found = boxes(1_000, 1_000, count=20_000)
    rows, columns = found[:, 2], found[:, 3]
    aspect = columns / rows
    for low in (0.8, 1.0, 1.2):
        near = (aspect > low - 0.05) & (aspect < low + 0.05)
        lowest, highest = np.sqrt(0.1e6 / low), min(1_000, 1_000 / low)
        part = (rows[near] - lowest) / (highest - lowest)
        np.testing.assert_allclose(part.mean(), 0.5, atol=0.03)
        np.testing.assert_allclose((part**2).mean(), 1 / 3, atol=0.03)


def test_places_are_uniform_among_those_that_fit():
    found = boxes(400, 400, count=20_000)
    free = found[:, 2:].max(axis=1) < 350
    np.testing.assert_allclose((found[free, 0] / (400 - found[free, 2])).mean(), 0.5, atol=0.01)
    np.testing.assert_allclose((found[free, 1] / (400 - found[free, 3])).mean(), 0.5, atol=0.01)


def test_ranges_are_settings():
    found = boxes(100, 100, area=(0.35, 1.0))
    share = found[:, 2] * found[:, 3] / 10_000
    assert share.min() >= 0.35


def test_a_window_that_cannot_be_is_replaced_by_the_centre_square():
    numbers = np.full(draws.COUNT, 0.5)
    assert crops.random_box(numbers, 10, 1_000, (0.5, 1.0), ASPECT, FRACTION) == crops.centre_square(
        10, 1_000, FRACTION
    )
    whole = np.full(draws.COUNT, 0.0)
    whole[1] = 1 - 1e-9  # The greatest height that fits.
    assert crops.random_box(whole, 400, 300, AREA, ASPECT, FRACTION) == crops.centre_square(
        400, 300, FRACTION
    )


def test_draws_are_uniform_and_depend_on_every_argument():
    numbers = draws.uniforms(3, 1, np.arange(2_000))
    assert numbers.shape == (2_000, draws.COUNT)
    assert numbers.min() >= 0
    assert numbers.max() < 1
    np.testing.assert_allclose(numbers.mean(axis=0), 0.5, atol=0.03)
    np.testing.assert_allclose(numbers.var(axis=0), 1 / 12, atol=0.01)
    correlation = np.corrcoef(numbers.T)
    assert np.abs(correlation - np.eye(draws.COUNT)).max() < 0.1
    for other in (
        draws.uniforms(4, 1, np.arange(2_000)),
        draws.uniforms(3, 2, np.arange(2_000)),
        draws.uniforms(3, 1, np.arange(1, 2_001)),
    ):
        assert abs(np.corrcoef(numbers[:, 0], other[:, 0])[0, 1]) < 0.1
    np.testing.assert_array_equal(draws.uniforms(3, 1, np.array([7])), numbers[7:8])
