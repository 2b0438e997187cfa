"""Each operation against Pillow, or against its definition where that is not Pillow's."""

import math

import numpy as np
import pytest
from PIL import Image, ImageEnhance, ImageOps

from workloads.imagenet import draws, mixup, randaugment

CENTRE = (0.3, 0.6)


@pytest.fixture(scope="module")
def image():
    """Smooth colours with a little noise, not filling the range of values."""
    y, x = np.mgrid[:56, :56] / 56
    waves = np.stack([np.sin(5 * x + 3 * y), np.cos(4 * y), x * y], axis=-1)
    noise = np.random.default_rng(0).normal(0, 8, (56, 56, 3))
    return np.clip(110 + 60 * waves + noise, 10, 230).astype(np.uint8)


def applied(image, operation, sign=1.0):
    out = np.zeros_like(image)
    before = image.copy()
    randaugment.apply(operation, image, out, sign, CENTRE)
    np.testing.assert_array_equal(image, before)
    return out


def affine(picture, *coefficients):
    return picture.transform(picture.size, Image.Transform.AFFINE, coefficients, fillcolor=(128,) * 3)


SHIFT = 56 * 100 / 224
PILLOW = {  # Operation -> sign 1 -> picture. Pillow counts from pixel corners, so its shears need half a pixel.
    "autocontrast": ImageOps.autocontrast,
    "equalize": ImageOps.equalize,
    "invert": ImageOps.invert,
    "rotate": lambda picture: picture.rotate(30, fillcolor=(128,) * 3),
    "posterize": lambda picture: ImageOps.posterize(picture, 4),
    "color": lambda picture: ImageEnhance.Color(picture).enhance(1.9),
    "brightness": lambda picture: ImageEnhance.Brightness(picture).enhance(1.9),
    "sharpness": lambda picture: ImageEnhance.Sharpness(picture).enhance(1.9),
    "shear_x": lambda picture: affine(picture, 1, 0.3, -0.15, 0, 1, 0),
    "shear_y": lambda picture: affine(picture, 1, 0, 0, 0.3, 1, -0.15),
    "translate_x": lambda picture: affine(picture, 1, 0, SHIFT, 0, 1, 0),
    "translate_y": lambda picture: affine(picture, 1, 0, 0, 0, 1, SHIFT),
}
# Pillow rounds its gray and its mean of neighbours; the reference cuts them.
TOLERANCE = {"color": 1, "sharpness": 1}


@pytest.mark.parametrize("operation", PILLOW)
def test_operations_are_pillows(image, operation):
    wanted = np.asarray(PILLOW[operation](Image.fromarray(image)), int)
    found = applied(image, operation, sign=1.0)
    assert np.abs(found - wanted).max() <= TOLERANCE.get(operation, 0)


def test_solarize_inverts_everything_as_in_the_jax_pipeline(image):
    np.testing.assert_array_equal(applied(image, "solarize"), 255 - image)


def test_solarize_add_brightens_the_dark_half(image):
    wanted = np.where(image < 128, np.minimum(image.astype(int) + 110, 255), image)
    np.testing.assert_array_equal(applied(image, "solarize_add"), wanted)


def test_contrast_moves_away_from_the_gray_of_the_jax_pipeline(image):
    wanted = np.clip(196 + 1.9 * (image.astype(np.float64) - 196), 0, 255)
    assert np.abs(applied(image, "contrast") - wanted).max() < 1.001


def test_cutout_is_gray_around_its_centre_and_cut_at_the_border(image):
    found = applied(image, "cutout")  # Half a side of 10, around (16, 33).
    wanted = image.copy()
    wanted[6:26, 23:43] = 128
    np.testing.assert_array_equal(found, wanted)
    out = np.zeros_like(image)
    randaugment.apply("cutout", image, out, 1.0, (0.0, 0.99))
    wanted = image.copy()
    wanted[:10, 45:] = 128
    np.testing.assert_array_equal(out, wanted)


@pytest.mark.parametrize("operation", ["rotate", "shear_x", "shear_y", "translate_x", "translate_y"])
def test_the_sign_turns_the_direction_around(image, operation):
    ahead, back = applied(image, operation, 1.0), applied(image, operation, -1.0)
    assert (ahead != back).any()
    if operation == "rotate":
        mirrored = applied(np.ascontiguousarray(image[:, ::-1]), operation, 1.0)[:, ::-1]
        assert (back == mirrored).mean() > 0.99


def test_flat_images_survive_every_operation():
    flat = np.full((16, 16, 3), 40, np.uint8)
    for operation in randaugment.OPERATIONS:
        assert applied(flat, operation).shape == flat.shape
    np.testing.assert_array_equal(applied(flat, "autocontrast"), flat)
    np.testing.assert_array_equal(applied(flat, "equalize"), flat)


def test_two_operations_are_drawn_from_all_sixteen_with_even_chances(image, monkeypatch):
    calls = []
    monkeypatch.setattr(randaugment, "apply", lambda name, *_: calls.append((name, _[2])))
    numbers = draws.uniforms(0, 0, np.arange(4_000))[:, draws.AUGMENT :]
    for own in numbers:
        randaugment.augment(image, own, image)
    assert len(calls) == 8_000
    names, counts = np.unique([name for name, _ in calls], return_counts=True)
    assert set(names) == set(randaugment.OPERATIONS)
    assert np.abs(counts - 500).max() < 5 * math.sqrt(500)
    assert abs(sum(sign for _, sign in calls)) < 5 * math.sqrt(8_000)


def test_the_result_is_the_second_operation_after_the_first(image):
    own = np.array([2.5 / 16, 0, 0, 0, 4.5 / 16, 0, 0, 0])  # Invert, then posterize.
    result = randaugment.augment(image.copy(), own, np.empty_like(image))
    np.testing.assert_array_equal(result, (255 - image) & 0xF0)


def test_mixup_blends_each_example_with_the_one_before():
    inputs = np.random.default_rng(0).normal(size=(5, 12)).astype(np.float32)
    found = inputs.copy()
    for start, stop in ((0, 5), (5, 12)):
        mixup.mix_inputs(found, np.float32(0.8), start, stop)
    np.testing.assert_allclose(found, 0.8 * inputs + 0.2 * np.roll(inputs, 1, axis=0), atol=1e-6)
    targets = np.array([3, 1, 1, 0, 2])
    eye = np.eye(4)[targets]
    np.testing.assert_allclose(
        mixup.mix_targets(targets, 4, 0.8), 0.8 * eye + 0.2 * np.roll(eye, 1, axis=0), rtol=1e-6
    )


def test_the_share_of_mixup_is_beta_and_a_function_of_seed_and_batch():
    shares = np.array([mixup.share(0, number, 0.2) for number in range(3_000)])
    np.testing.assert_allclose(shares.mean(), 0.5, atol=0.03)
    np.testing.assert_allclose(shares.var(), 0.25 / 1.4, atol=0.01)  # Beta(a, a): 1 / (4 (2 a + 1)).
    assert mixup.share(0, 7, 0.2) == shares[7]
    assert mixup.share(1, 7, 0.2) != shares[7]
