"""The compiled resampling against a plain NumPy one."""

import numba
import numpy as np
import pytest

from workloads.imagenet import kernels, resize

ROW = np.tile(np.array([0.5, 2.0, -1.0], np.float32), 12), np.tile(np.array([1.0, -3.0, 4.0], np.float32), 12)


def matrix(length: int, size: int) -> np.ndarray:
    """(size, length) weights of Keys' kernel at half-pixel centres, each row of sum 1."""
    places = (np.arange(size) + 0.5) * length / size - 0.5
    x = np.abs(places[:, None] - np.arange(length))
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    weights = np.where(x <= 1, near, np.where(x < 2, far, 0))
    return weights / weights.sum(axis=1, keepdims=True)


def plain(image: np.ndarray, box: tuple[int, int, int, int], size: int) -> np.ndarray:
    top, left, height, width = box
    window = image[top : top + height, left : left + width].astype(np.float64)
    down = np.tensordot(matrix(height, size), window, 1)
    return np.moveaxis(np.tensordot(down, matrix(width, size), (1, 1)), 2, 1)


@pytest.fixture(scope="module")
def image():
    return np.random.default_rng(0).integers(0, 256, (37, 50, 3), dtype=np.uint8)


BOXES = [(0, 0, 37, 50), (3, 5, 20, 31), (30, 40, 5, 4), (36, 49, 1, 1), (0, 10, 37, 2)]


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("box", BOXES)
def test_a_window_is_resampled_flipped_and_normalised(image, box, flip):
    out = np.full((12, 12, 3), np.nan, np.float32)
    resize.to_normalised(image, box, flip, *ROW, out)
    wanted = plain(image, box, 12)
    wanted = wanted[:, ::-1] if flip else wanted
    np.testing.assert_allclose(out, wanted * [0.5, 2.0, -1.0] + [1.0, -3.0, 4.0], atol=2e-3)


def test_overshoot_is_kept_in_floats_and_clipped_in_bytes():
    image = np.zeros((8, 8, 3), np.uint8)
    image[:, 4:] = 255
    ones, zeros = np.ones(36, np.float32), np.zeros(36, np.float32)
    floats, whole = np.empty((12, 12, 3), np.float32), np.empty((12, 12, 3), np.uint8)
    resize.to_normalised(image, (0, 0, 8, 8), False, ones, zeros, floats)
    resize.to_bytes(image, (0, 0, 8, 8), False, whole)
    assert floats.min() < -5
    assert floats.max() > 260
    np.testing.assert_array_equal(whole, np.clip(floats, 0, 255).astype(np.uint8))


def test_the_same_size_changes_nothing_and_a_constant_stays(image):
    ones, zeros = np.ones(36, np.float32), np.zeros(36, np.float32)
    out = np.empty((12, 12, 3), np.float32)
    resize.to_normalised(image, (4, 6, 12, 12), False, ones, zeros, out)
    np.testing.assert_array_equal(out, image[4:16, 6:18])
    resize.to_normalised(np.full((9, 31, 3), 77, np.uint8), (0, 0, 9, 31), False, ones, zeros, out)
    np.testing.assert_allclose(out, 77, rtol=1e-6)


def test_bytes_are_normalised_alike(image):
    out = np.empty((12, 12, 3), np.float32)
    resize.normalise(np.ascontiguousarray(image[:12, :12]), *ROW, out)
    np.testing.assert_allclose(out, image[:12, :12] * [0.5, 2.0, -1.0] + [1.0, -3.0, 4.0], rtol=1e-6)


def test_kernels_compile_where_no_cache_can_be_written(monkeypatch):
    real = numba.njit

    def njit(**options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function: no locator available")
        return real(**options)

    monkeypatch.setattr(numba, "njit", njit)
    assert kernels.kernel(lambda x: x + 1)(2) == 3
