"""SpecAugment in PyTorch: sets random blocks of frames and of mel bins to 0, the mean of normalised features.

Source: Park et al. 2019, https://arxiv.org/abs/1904.08779, with masks whose length follows the utterance's as in
Park et al. 2020, https://arxiv.org/abs/1912.05533.

Shapes: B batch, T frames, F mel bins, M masks
"""

import torch
from torch import Tensor


@torch.no_grad()
def spec_augment(
    features_BTF: Tensor,
    paddings_BT: Tensor,
    *,
    freq_mask_count: int,
    freq_mask_max_bins: int,
    time_mask_count: int,
    time_mask_max_ratio: float,
) -> Tensor:
    """`features_BTF` with random masks for each utterance; masks may overlap.

    Draws come from the default generator of the features' device.

    Args:
      features_BTF: normalised features.
      paddings_BT: 1.0 where a frame is padding; real frames come first.
      freq_mask_count: masks over all frames and a few bins.
      freq_mask_max_bins: a mask covers fewer bins than this, possibly 0.
      time_mask_count: masks over all bins and a few real frames.
      time_mask_max_ratio: a mask covers at most this share of an utterance's frames.
    """
    num_masks = time_mask_count + freq_mask_count
    batch, num_frames, num_bins = features_BTF.shape
    draws = torch.rand(2, batch, num_masks, dtype=features_BTF.dtype, device=features_BTF.device)
    frames_B1 = (1 - paddings_BT).sum(dim=1, keepdim=True)
    bins_B1 = torch.full_like(frames_B1, num_bins)
    time, freq = draws.split([time_mask_count, freq_mask_count], dim=2)
    is_hidden_BT = _union(num_frames, frames_B1, time_mask_max_ratio * frames_B1, time_mask_max_ratio, time)
    is_hidden_BF = _union(num_bins, bins_B1, torch.full_like(bins_B1, freq_mask_max_bins), 1.0, freq)
    return features_BTF.masked_fill(is_hidden_BT[:, :, None] | is_hidden_BF[:, None, :], 0.0)


def _union(size: int, extent_B1: Tensor, longest_B1: Tensor, max_ratio: float, draws: Tensor) -> Tensor:
    """(B, size): whether a position is in one of M random blocks within the first `extent_B1` positions.

    `draws` is (2, B, M), uniform in [0, 1), for lengths and starts.
    """
    # At least 1 frame as limit, as in AlgoPerf, also for very short utterances.
    length_BM = (longest_B1 * draws[0]).floor().minimum((max_ratio * extent_B1).floor().clamp_min(1))
    start_BM = (draws[1] * (extent_B1 - length_BM + 1)).floor()
    position = torch.arange(size, dtype=start_BM.dtype, device=start_BM.device)[:, None]
    start, end = start_BM[:, None, :], (start_BM + length_BM)[:, None, :]
    return ((position >= start) & (position < end)).any(dim=2)
