"""SpecAugment in JAX: sets random blocks of frames and of mel bins to 0, the mean of normalised features.

Source: Park et al. 2019, https://arxiv.org/abs/1904.08779, with masks whose length follows the utterance's as in
Park et al. 2020, https://arxiv.org/abs/1912.05533.

Shapes: B batch, T frames, F mel bins, M masks
"""

import jax
import jax.numpy as jnp


def spec_augment(
    key: jax.Array,
    features_BTF: jax.Array,
    paddings_BT: jax.Array,
    *,
    freq_mask_count: int,
    freq_mask_max_bins: int,
    time_mask_count: int,
    time_mask_max_ratio: float,
) -> jax.Array:
    """`features_BTF` with random masks for each utterance; masks may overlap.

    Args:
      key: random key.
      features_BTF: normalised features.
      paddings_BT: 1.0 where a frame is padding; real frames come first.
      freq_mask_count: masks over all frames and a few bins.
      freq_mask_max_bins: a mask covers fewer bins than this, possibly 0.
      time_mask_count: masks over all bins and a few real frames.
      time_mask_max_ratio: a mask covers at most this share of an utterance's frames.
    """
    batch, num_frames, num_bins = features_BTF.shape
    shape = (2, batch, time_mask_count + freq_mask_count)
    # One draw for all masks, so that there is one random operation to compile and run.
    draws = jax.random.uniform(key, shape, features_BTF.dtype)
    frames_B1 = (1 - paddings_BT).sum(axis=1, keepdims=True)
    time, freq = jnp.split(draws, [time_mask_count], axis=2)
    is_hidden_BT = _union(num_frames, frames_B1, time_mask_max_ratio * frames_B1, time_mask_max_ratio, time)
    is_hidden_BF = _union(num_bins, num_bins, freq_mask_max_bins, 1.0, freq)
    return jnp.where(is_hidden_BT[:, :, None] | is_hidden_BF[:, None, :], 0, features_BTF)


def _union(
    size: int, extent_B1: jax.Array | int, longest_B1: jax.Array | int, max_ratio: float, draws: jax.Array
) -> jax.Array:
    """(B, size): whether a position is in one of M random blocks within the first `extent_B1` positions.

    `draws` is (2, B, M), uniform in [0, 1), for lengths and starts.
    """
    length_BM = jnp.floor(longest_B1 * draws[0])
    # At least 1 frame as limit, as in AlgoPerf, also for very short utterances.
    length_BM = jnp.minimum(length_BM, jnp.maximum(jnp.floor(max_ratio * extent_B1), 1))
    start_BM = jnp.floor(draws[1] * (extent_B1 - length_BM + 1))
    position = jnp.arange(size, dtype=length_BM.dtype)[:, None]
    start, end = start_BM[:, None, :], (start_BM + length_BM)[:, None, :]
    return ((position >= start) & (position < end)).any(axis=2)
