"""The fast transform against its definition."""

import numpy as np
import pytest
from fastmri_volumes import plain_example, random_volume

from workloads.fastmri import masks, reconstruction


@pytest.mark.parametrize(
    ("size", "num_columns"), [(320, 368), (320, 372), (320, 320), (64, 75), (34, 40), (2, 3)]
)
def test_images_and_statistics_are_those_of_the_definition(size, num_columns):
    kspace, target = random_volume(np.random.default_rng(0), 1, size, num_columns)
    columns = masks.eval_columns(num_columns, 0.08, 4.0)
    image = np.empty((size, size), np.float32)
    mean, std = reconstruction.reconstruct(kspace[0], columns, image)
    wanted, _, wanted_mean, wanted_std = plain_example(kspace[0], target[0], columns)
    np.testing.assert_allclose(image, wanted, atol=1e-5)
    np.testing.assert_allclose([mean, std], [wanted_mean, wanted_std], rtol=1e-6)
    reconstruction.normalize(target[0], mean, std)
    assert np.abs(target[0]).max() <= 6


def test_a_slice_without_signal_gives_zeros():
    image = np.empty((32, 32), np.float32)
    kspace = np.zeros((64, 40), np.complex64)
    assert reconstruction.reconstruct(kspace, np.arange(0, 40, 4), image) == (0, 1)
    assert not image.any()
