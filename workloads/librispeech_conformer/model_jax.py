"""The Conformer in Flax.

Shapes: B batch, L samples, T frame (query), S frame (key), D width, H heads, K width of one head, V vocabulary
"""

from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from algoperf.jax_utils import Dropout
from algoperf.workload import WorkloadSpec
from workloads.librispeech.interface_jax import call_args, eval_outputs, example_batch
from workloads.librispeech.layers_jax import XAVIER, BatchNorm, LayerNorm, SpeechFrontEnd, Subsample
from workloads.librispeech_conformer.position_encoding import position_table

__all__ = ["call_args", "eval_outputs", "example_batch", "make_model"]

# softplus(0) = log 2: with this factor, queries are multiplied by 1 while `scale` is 0, its initial value.
QUERY_SCALE_UNIT = 1 / np.log(2)


def activation(config: ml_collections.FrozenConfigDict) -> Callable[[jax.Array], jax.Array]:
    return jax.nn.gelu if config.use_gelu else jax.nn.swish


def dense(features: int, name: str) -> nn.Dense:
    return nn.Dense(features, kernel_init=XAVIER, name=name)


class FeedForwardModule(nn.Module):
    """Two dense layers; padded frames become 0."""

    config: ml_collections.FrozenConfigDict

    @nn.compact
    def __call__(
        self, x_BTD: jax.Array, paddings_BT: jax.Array, train: bool, dropout_rate: float | jax.Array
    ) -> jax.Array:
        config = self.config
        y = LayerNorm(name="LayerNorm_0")(x_BTD)
        y = activation(config)(dense(config.feed_forward_expansion * config.encoder_dim, "Dense_0")(y))
        y_BTD = dense(config.encoder_dim, "Dense_1")(y) * (1 - paddings_BT[:, :, None])
        return Dropout()(y_BTD, dropout_rate, train=train)


class SelfAttention(nn.Module):
    """Multi-head attention to the real frames, with a learnt scale of the queries that all heads share."""

    config: ml_collections.FrozenConfigDict

    @nn.compact
    def __call__(self, x_BTD: jax.Array, paddings_BT: jax.Array) -> jax.Array:
        width, num_heads = self.config.encoder_dim, self.config.num_attention_heads
        heads = (num_heads, width // num_heads)
        q_BTHK, k_BSHK, v_BSHK = (
            nn.DenseGeneral(heads, kernel_init=XAVIER, name=name)(x_BTD) for name in ("query", "key", "value")
        )
        # softplus keeps the scale positive; one value per feature of a head, as in Lingvo.
        scale_K = self.param("scale", nn.initializers.zeros, heads[1:])
        q_BTHK *= jax.nn.softplus(scale_K) * (QUERY_SCALE_UNIT * heads[1] ** -0.5)
        logits_BHTS = jnp.einsum("bthk,bshk->bhts", q_BTHK, k_BSHK)
        # The mask is finite: in a row of padding alone, attention is then uniform instead of NaN.
        hidden = jnp.finfo(logits_BHTS.dtype).min
        logits_BHTS = jnp.where(paddings_BT[:, None, None, :] > 0, hidden, logits_BHTS)
        y_BTHK = jnp.einsum("bhts,bshk->bthk", jax.nn.softmax(logits_BHTS), v_BSHK)
        # AlgoPerf's "temperature" multiplies the output of attention, not its logits.
        y_BTHK *= self.config.attention_temperature
        return nn.DenseGeneral(width, axis=(-2, -1), kernel_init=XAVIER, name="out")(y_BTHK)


class MultiHeadedSelfAttention(nn.Module):
    config: ml_collections.FrozenConfigDict

    @nn.compact
    def __call__(
        self, x_BTD: jax.Array, paddings_BT: jax.Array, train: bool, dropout_rate: float | jax.Array
    ) -> jax.Array:
        y_BTD = LayerNorm(name="LayerNorm_0")(x_BTD)
        y_BTD = SelfAttention(self.config, name="SelfAttention_0")(y_BTD, paddings_BT)
        return Dropout()(y_BTD, dropout_rate, train=train)


class DepthwiseConv(nn.Module):
    """Depthwise convolution over frames with 'SAME' padding, without bias."""

    kernel_size: int

    @nn.compact
    def __call__(self, x_BTD: jax.Array) -> jax.Array:
        kernel = self.param("kernel", XAVIER, (self.kernel_size, 1, x_BTD.shape[2]))
        num_frames, before = x_BTD.shape[1], (self.kernel_size - 1) // 2
        padded = jnp.pad(x_BTD, ((0, 0), (before, self.kernel_size - 1 - before), (0, 0)))
        # A sum of shifted copies is one pass over memory, and much faster than XLA's grouped convolution on CPUs.
        shifted = (padded[:, i : i + num_frames] * kernel[i, 0] for i in range(self.kernel_size))
        return cast(jax.Array, sum(shifted))  # Of nothing it would be the number 0.


class ConvolutionBlock(nn.Module):
    """Gated linear unit, depthwise convolution, batch norm, dense layer."""

    config: ml_collections.FrozenConfigDict

    @nn.compact
    def __call__(
        self, x_BTD: jax.Array, paddings_BT: jax.Array, train: bool, dropout_rate: float | jax.Array
    ) -> jax.Array:
        config = self.config
        y = LayerNorm(name="LayerNorm_0")(x_BTD)
        # Two dense layers instead of one that is split: AlgoPerf's parameters.
        gate = jax.nn.sigmoid(dense(config.encoder_dim, "Dense_1")(y))
        y = dense(config.encoder_dim, "Dense_0")(y) * gate * (1 - paddings_BT[:, :, None])
        y = DepthwiseConv(config.conv_kernel_size, name="Conv_0")(y)
        y = BatchNorm(config.batch_norm_momentum, name="BatchNorm_0")(y, paddings_BT, train=train)
        y_BTD = dense(config.encoder_dim, "Dense_2")(activation(config)(y))
        return Dropout()(y_BTD, dropout_rate, train=train)


class ConformerBlock(nn.Module):
    """Attention and convolution between two feed-forward modules, each with weight 1/2 (Gulati et al. 2020)."""

    config: ml_collections.FrozenConfigDict

    @nn.compact
    def __call__(self, x_BTD: jax.Array, *rest: Any) -> jax.Array:
        """`rest` is (paddings_BT, train, dropout_rate)."""
        config = self.config
        # Half steps, as in equation 1 of Gulati et al. 2020 (https://arxiv.org/abs/2005.08100).
        x_BTD += 0.5 * FeedForwardModule(config, name="FeedForwardModule_0")(x_BTD, *rest)
        x_BTD += MultiHeadedSelfAttention(config, name="MultiHeadedSelfAttention_0")(x_BTD, *rest)
        x_BTD += ConvolutionBlock(config, name="ConvolutionBlock_0")(x_BTD, *rest)
        x_BTD += 0.5 * FeedForwardModule(config, name="FeedForwardModule_1")(x_BTD, *rest)
        return LayerNorm(name="LayerNorm_0")(x_BTD) if config.use_post_layer_norm else x_BTD


class Conformer(nn.Module):
    """Log-mel features, subsampling, Conformer blocks, dense layer.

    Args:
      config: the settings `MODEL` of workload.py.
    """

    config: ml_collections.FrozenConfigDict

    @nn.compact
    def __call__(
        self, audio: jax.Array, paddings: jax.Array, *, train: bool, dropout_rate: float | jax.Array = 0.0
    ) -> tuple[jax.Array, jax.Array]:
        """Audio (B, L) and its paddings (B, L) -> logits (B, T, V) and their paddings (B, T)."""
        config = self.config
        front_end = SpeechFrontEnd(
            config.use_specaug,
            config.freq_mask_count,
            config.freq_mask_max_bins,
            config.time_mask_count,
            config.time_mask_max_ratio,
        )
        x, paddings_BT = front_end(audio, paddings, train=train)
        subsample = Subsample(
            config.encoder_dim, config.subsampling_channels, jax.nn.relu, name="Subsample_0"
        )
        x_BTD, paddings_BT = subsample(x, paddings_BT)
        # The same encoding for all inputs, padded frames included: attention masks them anyway.
        x_BTD += position_table(*x_BTD.shape[1:])
        # Older submissions have a rate of its own for this one: see `algoperf.run.session`.
        x_BTD = Dropout()(x_BTD, config.get("aux_dropout_rate", dropout_rate), train=train)
        for index in range(config.num_encoder_layers):
            block = ConformerBlock(config, name=f"ConformerBlock_{index}")
            x_BTD = block(x_BTD, paddings_BT, train, dropout_rate)
        x_BTD = LayerNorm(name="LayerNorm_0")(x_BTD)
        return dense(config.vocab_size, "Dense_0")(x_BTD), paddings_BT


def make_model(spec: WorkloadSpec) -> Conformer:
    return Conformer(spec.model)
