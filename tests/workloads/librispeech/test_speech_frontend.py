"""The log-mel front end and SpecAugment: AlgoPerf's numbers, one function in both frameworks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from algoperf.jax_utils import dropout_key
from workloads.librispeech import frontend_jax, frontend_torch, mel
from workloads.librispeech.spec_augment_jax import spec_augment as spec_augment_in_jax
from workloads.librispeech.spec_augment_torch import spec_augment as spec_augment_in_torch


def log_mel(framework, audio, paddings):
    if framework == "jax":
        return tuple(map(np.asarray, frontend_jax.log_mel(audio, paddings)))
    return tuple(
        value.numpy() for value in frontend_torch.log_mel(torch.tensor(audio), torch.tensor(paddings))
    )


def two_tones():
    n = np.arange(16_000)
    tones = 8000 * np.sin(2 * np.pi * 440 * n / 16_000) + 4000 * np.sin(2 * np.pi * 2000 * n / 16_000)
    return tones.astype(np.float32)[None], (n >= 12_000).astype(np.float32)[None]


# ---- log-mel -------------------------------------------------------------------------------------------------------


def test_the_mel_matrix_is_algoperfs():
    weights = mel.mel_matrix()
    assert weights.shape == (257, 80)
    assert weights.sum(dtype=np.float64) == pytest.approx(234.94841, abs=1e-4)
    assert weights.max() == pytest.approx(0.9977122, abs=1e-6)
    assert (weights.sum(axis=0) > 0).all()
    assert weights.argmax(axis=0)[[0, 1, 39, 79]].tolist() == [5, 6, 60, 236]
    assert mel.hann_window()[0] == 0, "pre-emphasis of the whole clip relies on it"


@pytest.mark.parametrize(("num_samples", "num_frames"), [(401, 1), (560, 1), (561, 2), (64_000, 398)])
def test_a_frame_needs_all_its_samples(framework, num_samples, num_frames):
    audio = np.ones((1, num_samples), np.float32)
    features, paddings = log_mel(framework, audio, np.zeros_like(audio))
    assert features.shape == (1, num_frames, 80)
    assert paddings.shape == (1, num_frames)


def test_audio_without_a_frame_is_an_error(framework):
    audio = np.ones((1, 400), np.float32)
    with pytest.raises(ValueError, match="at least 401 samples for one frame, got 400"):
        log_mel(framework, audio, audio)


def test_features_of_two_tones_are_algoperfs(framework):
    features, paddings = log_mel(framework, *two_tones())
    assert features.dtype == paddings.dtype == np.float32
    assert (1 - paddings).sum() == 75
    wanted = {
        (0, 0): -1.137633,
        (0, 10): 2.318919,
        (0, 39): 1.533641,
        (0, 79): -1.332703,
        (50, 10): 2.318919,
        (50, 40): 3.025089,
        (73, 20): 0.384741,
        (74, 20): 0.924366,
        (97, 0): -1.137633,
    }
    for place, value in wanted.items():
        assert features[0][place] == pytest.approx(value, abs=5e-5), place
    assert features.mean() == pytest.approx(-0.924918, abs=1e-5)
    assert features.std() == pytest.approx(1.073910, abs=1e-5)


def test_features_are_those_of_the_plain_definition(framework):
    rng = np.random.default_rng(0)
    audio = np.round(3000 * rng.standard_normal((2, 3000))).astype(np.float32)
    paddings = (np.arange(3000) >= np.array([3000, 1700])[:, None]).astype(np.float32)
    features, frame_paddings = log_mel(framework, audio, paddings)
    for row, (samples, hidden) in enumerate(zip(audio, paddings, strict=True)):
        samples = samples.astype(np.float64) * (1 - hidden) / 2**15
        for frame in range(features.shape[1]):
            window = samples[160 * frame : 160 * frame + 401]
            emphasised = window[:400] - 0.97 * np.concatenate([window[:1], window[:399]])
            hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
            power = np.abs(np.fft.rfft(emphasised * hann, 512)) ** 2
            wanted = (np.log(np.maximum(power @ mel.mel_matrix(), 1e-5)) - mel.MEAN) / mel.STDDEV
            np.testing.assert_allclose(features[row, frame], wanted, atol=2e-4)
            assert frame_paddings[row, frame] == hidden[160 * frame : 160 * frame + 401].min()


def test_samples_under_padding_do_not_matter(framework):
    audio, paddings = two_tones()
    wanted, _ = log_mel(framework, audio, paddings)
    found, _ = log_mel(framework, np.where(paddings > 0, 1234.5, audio).astype(np.float32), paddings)
    np.testing.assert_array_equal(found, wanted)


def test_no_gradient_passes_the_front_end():
    audio, paddings = two_tones()
    grad = jax.grad(lambda audio: frontend_jax.log_mel(audio, paddings)[0].sum())(jnp.asarray(audio))
    np.testing.assert_array_equal(grad, 0)
    features, _ = frontend_torch.log_mel(torch.tensor(audio, requires_grad=True), torch.tensor(paddings))
    assert not features.requires_grad


# ---- SpecAugment -----------------------------------------------------------------------------------------------------

FULL = {"freq_mask_count": 2, "freq_mask_max_bins": 27, "time_mask_count": 10, "time_mask_max_ratio": 0.05}


@functools.cache
def jax_masking(**settings):
    return jax.jit(functools.partial(spec_augment_in_jax, **settings))


def hidden(framework, num_frames, lengths, num_bins=80, seed=0, **settings):
    """(rows, num_frames, num_bins): which features are masked, of rows with the given numbers of frames."""
    paddings = (np.arange(num_frames) >= np.array(lengths)[:, None]).astype(np.float32)
    features = np.ones((*paddings.shape, num_bins), np.float32)
    if framework == "jax":
        key = dropout_key(jax.random.PRNGKey(seed))
        masked = np.asarray(jax_masking(**settings)(key, features, paddings))
    else:
        torch.manual_seed(seed)
        masked = spec_augment_in_torch(torch.tensor(features), torch.tensor(paddings), **settings).numpy()
    assert set(np.unique(masked)) <= {0.0, 1.0}
    return masked == 0


def blocks(is_hidden):
    """(start, length) of each row's masked positions, which must be one block."""
    for row in is_hidden:
        places = np.flatnonzero(row)
        if len(places):
            assert len(places) == places[-1] - places[0] + 1
        yield (places[0] if len(places) else 0, len(places))


def test_one_frequency_mask_covers_0_to_26_bins_anywhere(framework):
    settings = {**FULL, "freq_mask_count": 1, "time_mask_count": 0}
    masked = hidden(framework, 4, [4] * 4000, **settings)
    assert (masked == masked[:, :1]).all(), "all frames alike"
    starts, lengths = np.array(list(blocks(masked[:, 0]))).T
    counts = np.bincount(lengths, minlength=27)
    assert len(counts) == 27
    assert counts.min() > 0.6 * 4000 / 27, "every length is as likely"
    assert counts.max() < 1.4 * 4000 / 27
    ends = starts + lengths
    assert starts[lengths > 0].min() == 0
    assert ends.max() == 80
    # The start is even over what is left beside the mask.
    share = starts[lengths > 0] / (80 - lengths[lengths > 0])
    assert share.mean() == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize(("num_frames", "longest"), [(1998, 99), (400, 19), (30, 1), (10, 0), (0, 0)])
def test_one_time_mask_follows_the_length_of_the_utterance(framework, num_frames, longest):
    settings = {**FULL, "freq_mask_count": 0, "time_mask_count": 1}
    masked = hidden(framework, 2000, [num_frames] * 300, num_bins=1, **settings)[:, :, 0]
    assert not masked[:, num_frames:].any(), "masks lie within real frames"
    lengths = np.array([length for _, length in blocks(masked)])
    # A cap of 0.05 x 30 = 1.5 frames: 1 for a third of the draws.
    assert lengths.max() == longest
    expected = np.floor(0.05 * num_frames * (np.arange(10_000) + 0.5) / 10_000).mean()
    assert lengths.mean() == pytest.approx(expected, abs=max(0.15 * expected, 0.01))


def test_masks_are_united_and_each_utterance_has_its_own(framework):
    masked = hidden(framework, 400, [400] * 200, **FULL)
    by_time, by_freq = masked.all(axis=2), masked.all(axis=1)
    np.testing.assert_array_equal(masked, by_time[:, :, None] | by_freq[:, None, :])
    assert len(np.unique(by_time, axis=0)) > 190
    assert len(np.unique(by_freq, axis=0)) > 190
    # 10 masks of (0 + ... + 19) / 20 = 9.5 frames on average, some of which overlap; 2 of 13 bins.
    assert by_time.sum(axis=1).mean() == pytest.approx(400 * (1 - (1 - 9.5 / 400) ** 10), rel=0.06)
    assert by_freq.sum(axis=1).mean() == pytest.approx(80 * (1 - (1 - 13 / 80) ** 2), rel=0.1)
    other = hidden(framework, 400, [400] * 200, seed=1, **FULL)
    assert not np.array_equal(masked, other)


def test_both_frameworks_draw_masks_of_one_law():
    shares = [hidden(framework, 200, [200] * 1000, **FULL).mean(axis=0) for framework in ("jax", "pytorch")]
    for axis in (0, 1):  # How often each bin, and each frame, is hidden.
        np.testing.assert_allclose(shares[0].mean(axis=axis), shares[1].mean(axis=axis), atol=0.05)
