"""Parts of both speech models in PyTorch: from audio to subsampled features, and norms that ignore padding.

Shapes: B batch, L samples, T frames, F mel bins, C channels, D features
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from algoperf.layers.torch_batch_norm import SumOverProcesses
from workloads.librispeech import mel
from workloads.librispeech.frontend_torch import LogMel
from workloads.librispeech.spec_augment_torch import spec_augment


class SpeechFrontEnd(nn.Module):
    """Log-mel features of audio, with SpecAugment in training; it has no parameters.

    Args:
      use_specaug: whether features are masked in training; the other arguments are those of `spec_augment`.
    """

    def __init__(
        self,
        use_specaug: bool,
        freq_mask_count: int,
        freq_mask_max_bins: int,
        time_mask_count: int,
        time_mask_max_ratio: float,
    ):
        super().__init__()
        self.use_specaug = use_specaug
        self.masks: dict[str, Any] = {
            "freq_mask_count": freq_mask_count,
            "freq_mask_max_bins": freq_mask_max_bins,
            "time_mask_count": time_mask_count,
            "time_mask_max_ratio": time_mask_max_ratio,
        }
        self.log_mel = LogMel()

    def forward(self, audio_BL: Tensor, paddings_BL: Tensor) -> tuple[Tensor, Tensor]:
        """(features (B, T, 80), paddings (B, T))."""
        features_BTF, paddings_BT = self.log_mel(audio_BL, paddings_BL)
        if self.training and self.use_specaug:
            features_BTF = spec_augment(features_BTF, paddings_BT, **self.masks)
        return features_BTF, paddings_BT


class Linear(nn.Linear):
    """`nn.Linear` with the initialisation of both speech models."""

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.zeros_(self.bias)


class Conv2d(nn.Conv2d):
    """3 x 3 convolution with stride 2 and JAX's 'SAME' padding, which puts an odd zero after the input."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__(in_channels, out_channels, kernel_size=3, stride=2)

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, x_BCTF: Tensor) -> Tensor:
        # 'SAME' pads an odd size with one zero at each end, an even size only at the end.
        num_frames, num_bins = x_BCTF.shape[2:]
        return super().forward(F.pad(x_BCTF, (num_bins % 2, 1, num_frames % 2, 1)))


def num_subsampled(size: int) -> int:
    """Size of an axis after the two convolutions.

    >>> num_subsampled(1998), num_subsampled(80)
    (500, 20)
    """
    return -(-size // 4)


class Subsample(nn.Module):
    """Two convolutions with stride 2 in time and frequency, and a dense layer; a quarter of the frames remains.

    Args:
      encoder_dim: output features D.
      channels: channels of both convolutions.
      activation: activation after each convolution.
    """

    def __init__(self, encoder_dim: int, channels: int, activation: Callable[[Tensor], Tensor]):
        super().__init__()
        self.activation = activation
        self.conv1 = Conv2d(1, channels)
        self.conv2 = Conv2d(channels, channels)
        self.linear = Linear(num_subsampled(mel.NUM_BINS) * channels, encoder_dim)

    def forward(self, x_BTF: Tensor, paddings_BT: Tensor) -> tuple[Tensor, Tensor]:
        """(features (B, ceil(ceil(T / 2) / 2), D), their paddings); without dropout."""
        x_BCTF = x_BTF[:, None]
        for conv in (self.conv1, self.conv2):
            paddings_BT = paddings_BT[:, ::2]
            # Padded frames become 0 after each convolution, so that the next one does not read its bias from
            # them.
            x_BCTF = self.activation(conv(x_BCTF)) * (1 - paddings_BT)[:, None, :, None]
        # The channel is the fastest axis, as in JAX, so that the same weights give the same features.
        flat = x_BCTF.permute(0, 2, 3, 1).flatten(2)
        return self.linear(flat), paddings_BT


class LayerNorm(nn.Module):
    """Layer norm with scale 1 + `scale`, as in AlgoPerf, so that both parameters start at 0."""

    def __init__(self, dim: int, epsilon: float = 1e-6):
        super().__init__()
        self.epsilon = epsilon
        self.scale = nn.Parameter(torch.zeros(dim))
        self.bias = nn.Parameter(torch.zeros(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.scale.shape, 1 + self.scale, self.bias, self.epsilon)


class BatchNorm(nn.Module):
    """Batch norm over real frames, with scale 1 + `scale`; padded frames become 0.

    The variance is the biased one; in a distributed run the statistics are those of the global batch.

    Args:
      dim: features D.
      momentum: weight of the new batch in the running statistics.
      epsilon: added to the variance.
    """

    running_mean: Tensor
    running_var: Tensor

    def __init__(self, dim: int, momentum: float = 0.001, epsilon: float = 1e-3):
        super().__init__()
        self.momentum = momentum
        self.epsilon = epsilon
        self.scale = nn.Parameter(torch.zeros(dim))
        self.bias = nn.Parameter(torch.zeros(dim))
        self.register_buffer("running_mean", torch.zeros(dim))
        self.register_buffer("running_var", torch.ones(dim))

    def forward(self, x_BTD: Tensor, paddings_BT: Tensor) -> Tensor:
        is_real_BT1 = (1 - paddings_BT)[:, :, None]
        if self.training:
            # At least 1: a batch of padding alone then has statistics of 0 instead of NaN.
            count = _global_sum(is_real_BT1.sum()).clamp_min(1)
            mean_D = _global_sum((x_BTD * is_real_BT1).sum(dim=(0, 1))) / count
            centred_BTD = (x_BTD - mean_D) * is_real_BT1
            var_D = _global_sum(centred_BTD.square().sum(dim=(0, 1))) / count
            with torch.no_grad():
                self.running_mean.lerp_(mean_D, self.momentum)
                # The biased variance, as in Flax; PyTorch's own batch norm would store the unbiased one.
                self.running_var.lerp_(var_D, self.momentum)
        else:
            mean_D, var_D = self.running_mean, self.running_var
            centred_BTD = (x_BTD - mean_D) * is_real_BT1
        return centred_BTD * ((1 + self.scale) * torch.rsqrt(var_D + self.epsilon)) + self.bias * is_real_BT1


def _global_sum(share: Tensor) -> Tensor:
    """The sum over all processes of a distributed run."""
    if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
        return SumOverProcesses.apply(share)
    return share
