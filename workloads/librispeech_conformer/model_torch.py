"""The Conformer in PyTorch.

Shapes: B batch, L samples, T frame (query), S frame (key), D width, H heads, K width of one head, V vocabulary
"""

import math
from collections.abc import Callable

import ml_collections
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algoperf.layers.torch_dropout import dropout
from algoperf.workload import WorkloadSpec
from workloads.librispeech import mel
from workloads.librispeech.interface_torch import call_args, eval_outputs
from workloads.librispeech.layers_torch import (
    BatchNorm,
    LayerNorm,
    Linear,
    SpeechFrontEnd,
    Subsample,
    num_subsampled,
)
from workloads.librispeech_conformer.position_encoding import position_table

__all__ = ["call_args", "eval_outputs", "make_model"]

# softplus(0) = log 2: with this factor, queries are multiplied by 1 while `scale` is 0, its initial value.
QUERY_SCALE_UNIT = 1 / math.log(2)


def activation(config: ml_collections.FrozenConfigDict) -> Callable[[Tensor], Tensor]:
    return nn.GELU(approximate="tanh") if config.use_gelu else nn.SiLU()


class FeedForwardModule(nn.Module):
    """Two dense layers; padded frames become 0."""

    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        width = config.encoder_dim
        self.ln = LayerNorm(width)
        self.linear1 = Linear(width, config.feed_forward_expansion * width)
        self.activation = activation(config)
        self.linear2 = Linear(config.feed_forward_expansion * width, width)

    def forward(self, x_BTD: Tensor, paddings_BT: Tensor, dropout_rate: float) -> Tensor:
        y_BTD = self.linear2(self.activation(self.linear1(self.ln(x_BTD))))
        return dropout(y_BTD * (1 - paddings_BT)[:, :, None], dropout_rate, self.training)


class SelfAttention(nn.Module):
    """Multi-head attention to the real frames, with a learnt scale of the queries that all heads share."""

    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        width = config.encoder_dim
        self.num_heads = config.num_attention_heads
        self.temperature = config.attention_temperature
        self.in_proj_weight = nn.Parameter(torch.empty(3 * width, width))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * width))
        # Each projection by itself, as in JAX: Xavier of the whole matrix would be sqrt(1/2) as large.
        for projection in self.in_proj_weight.chunk(3):
            nn.init.xavier_uniform_(projection)
        self.scale = nn.Parameter(torch.zeros(width // self.num_heads))
        self.out_proj = Linear(width, width)

    def forward(self, x_BTD: Tensor, paddings_BT: Tensor) -> Tensor:
        projected = F.linear(x_BTD, self.in_proj_weight, self.in_proj_bias)
        q_BHTK, k_BHSK, v_BHSK = projected.unflatten(2, (3, self.num_heads, -1)).permute(2, 0, 3, 1, 4)
        q_BHTK = q_BHTK * (F.softplus(self.scale) * QUERY_SCALE_UNIT)
        # The mask is finite: in a row of padding alone, attention is then uniform instead of NaN.
        hidden = torch.finfo(x_BTD.dtype).min
        mask_B11S = torch.zeros_like(paddings_BT).masked_fill(paddings_BT > 0, hidden)[:, None, None, :]
        y_BHTK = F.scaled_dot_product_attention(q_BHTK, k_BHSK, v_BHSK, attn_mask=mask_B11S)
        return self.out_proj(y_BHTK.transpose(1, 2).flatten(2) * self.temperature)


class MultiHeadedSelfAttention(nn.Module):
    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        self.ln = LayerNorm(config.encoder_dim)
        self.self_attention = SelfAttention(config)

    def forward(self, x_BTD: Tensor, paddings_BT: Tensor, dropout_rate: float) -> Tensor:
        return dropout(self.self_attention(self.ln(x_BTD), paddings_BT), dropout_rate, self.training)


class DepthwiseConv(nn.Conv1d):
    """Depthwise convolution over frames with 'SAME' padding, without bias."""

    def __init__(self, width: int, kernel_size: int):
        super().__init__(width, width, kernel_size, padding="same", groups=width, bias=False)

    def reset_parameters(self) -> None:
        # Xavier uniform as in Flax, which counts the outputs of all groups in the fan-out.
        width, _, kernel_size = self.weight.shape
        bound = math.sqrt(6 / (kernel_size + kernel_size * width))
        nn.init.uniform_(self.weight, -bound, bound)

    def forward(self, x_BTD: Tensor) -> Tensor:
        return super().forward(x_BTD.transpose(1, 2)).transpose(1, 2)


class ConvolutionBlock(nn.Module):
    """Gated linear unit, depthwise convolution, batch norm, dense layer."""

    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        width = config.encoder_dim
        self.ln = LayerNorm(width)
        self.lin1 = Linear(width, width)
        self.lin2 = Linear(width, width)
        self.conv1 = DepthwiseConv(width, config.conv_kernel_size)
        self.bn = BatchNorm(width, momentum=1 - config.batch_norm_momentum)
        self.activation = activation(config)
        self.lin3 = Linear(width, width)

    def forward(self, x_BTD: Tensor, paddings_BT: Tensor, dropout_rate: float) -> Tensor:
        y = self.ln(x_BTD)
        y = self.lin1(y) * self.lin2(y).sigmoid() * (1 - paddings_BT)[:, :, None]
        y = self.activation(self.bn(self.conv1(y), paddings_BT))
        return dropout(self.lin3(y), dropout_rate, self.training)


class ConformerBlock(nn.Module):
    """Attention and convolution between two feed-forward modules, each with weight 1/2 (Gulati et al. 2020)."""

    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        self.ff1 = FeedForwardModule(config)
        self.mhsa = MultiHeadedSelfAttention(config)
        self.conv = ConvolutionBlock(config)
        self.ff2 = FeedForwardModule(config)
        self.ln = LayerNorm(config.encoder_dim) if config.use_post_layer_norm else None

    def forward(self, x_BTD: Tensor, paddings_BT: Tensor, dropout_rate: float) -> Tensor:
        rest = paddings_BT, dropout_rate
        x_BTD = x_BTD + 0.5 * self.ff1(x_BTD, *rest)
        x_BTD = x_BTD + self.mhsa(x_BTD, *rest)
        x_BTD = x_BTD + self.conv(x_BTD, *rest)
        x_BTD = x_BTD + 0.5 * self.ff2(x_BTD, *rest)
        return x_BTD if self.ln is None else self.ln(x_BTD)


class Conformer(nn.Module):
    """Log-mel features, subsampling, Conformer blocks, dense layer.

    Args:
      config: the settings `MODEL` of workload.py.
      max_audio_samples: length of the longest audio, for the table of positions.
    """

    def __init__(self, config: ml_collections.FrozenConfigDict, max_audio_samples: int):
        super().__init__()
        width = config.encoder_dim
        self.aux_dropout_rate: float | None = config.get("aux_dropout_rate")
        self.front_end = SpeechFrontEnd(
            config.use_specaug,
            config.freq_mask_count,
            config.freq_mask_max_bins,
            config.time_mask_count,
            config.time_mask_max_ratio,
        )
        self.subsample = Subsample(width, config.subsampling_channels, F.relu)
        positions = position_table(num_subsampled(mel.num_frames(max_audio_samples)), width)
        self.positions_TD: Tensor
        self.register_buffer("positions_TD", torch.tensor(positions), persistent=False)
        self.conformers = nn.ModuleList(ConformerBlock(config) for _ in range(config.num_encoder_layers))
        self.ln = LayerNorm(width)
        self.lin = Linear(width, config.vocab_size)

    def forward(self, audio: Tensor, paddings: Tensor, *, dropout_rate: float = 0.0) -> tuple[Tensor, Tensor]:
        """Audio (B, L) and its paddings (B, L) -> logits (B, T, V) and their paddings (B, T)."""
        x, paddings_BT = self.front_end(audio, paddings)
        x_BTD, paddings_BT = self.subsample(x, paddings_BT)
        # Older submissions have a rate of its own for this one: see `algoperf.run.session`.
        rate = dropout_rate if self.aux_dropout_rate is None else self.aux_dropout_rate
        x_BTD = dropout(x_BTD + self.positions_TD[: x_BTD.shape[1]], rate, self.training)
        for block in self.conformers:
            x_BTD = block(x_BTD, paddings_BT, dropout_rate)
        return self.lin(self.ln(x_BTD)), paddings_BT


def make_model(spec: WorkloadSpec) -> Conformer:
    return Conformer(spec.model, spec.data.max_audio_samples)
