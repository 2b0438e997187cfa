"""Structural similarity against scikit-image, in NumPy, JAX and PyTorch."""

import jax
import numpy as np
import pytest
import torch
from skimage.metrics import structural_similarity

from workloads.fastmri.ssim import ssim

NAMESPACES = {"numpy": np.asarray, "jax": jax.numpy.asarray, "torch": torch.tensor}


def images():
    y, x = np.mgrid[:32, :32]
    target = np.sin(y / 5) + np.cos(x / 7)
    return target + 0.1 * np.sin(x * y / 50), target


@pytest.mark.parametrize("namespace", NAMESPACES)
def test_the_known_value_comes_out_in_every_framework(namespace):
    prediction, target = images()
    arrays = [prediction[None], target[None], [2.0], [0.5], [3.0]]
    function = jax.jit(ssim) if namespace == "jax" else ssim
    found = function(*(NAMESPACES[namespace](np.asarray(array, np.float32)) for array in arrays))
    np.testing.assert_allclose(np.asarray(found), [0.983522], atol=2e-6)


def test_it_is_that_of_scikit_image_at_the_scale_of_fastmri():
    rng = np.random.default_rng(0)
    target = rng.standard_normal((3, 40, 50)).astype(np.float32)
    prediction = target + rng.standard_normal(target.shape).astype(np.float32) * [[[0.1]], [[0.5]], [[2]]]
    mean, std, volume_max = (
        np.float32([3e-5, 4e-5, 5e-5]),
        np.float32([1e-5, 2e-5, 2e-5]),
        np.float32([1e-4] * 3),
    )
    found = ssim(prediction.astype(np.float32), target, mean, std, volume_max)
    for row in range(3):
        x, y = (image[row].astype(float) * std[row] + mean[row] for image in (prediction, target))
        wanted = structural_similarity(x, y, win_size=7, data_range=float(volume_max[row]))
        np.testing.assert_allclose(found[row], wanted, rtol=1e-4)


def test_equal_images_score_one_and_padding_is_finite():
    _, target = images()
    ones, zeros = np.ones(1), np.zeros(1)
    np.testing.assert_allclose(ssim(target[None], target[None], zeros, ones, 3 * ones), 1)
    np.testing.assert_array_equal(ssim(target[None] * 0, target[None] * 0, zeros, zeros, zeros), 1)
