"""The DeepSpeech model of the LibriSpeech workload in Flax.

Shapes: B batch, L samples, T frames (after subsampling), D features, V vocabulary
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections

from algoperf.jax_utils import Dropout
from algoperf.workload import WorkloadSpec
from workloads.librispeech.interface_jax import call_args, eval_outputs, example_batch
from workloads.librispeech.layers_jax import XAVIER, BatchNorm, LayerNorm, SpeechFrontEnd, Subsample
from workloads.librispeech_deepspeech.lstm_jax import BiLSTM

__all__ = ["call_args", "eval_outputs", "example_batch", "make_model"]


def activation(config: ml_collections.FrozenConfigDict) -> Callable[[jax.Array], jax.Array]:
    return jnp.tanh if config.use_tanh else jax.nn.relu


class BatchRNN(nn.Module):
    """A normalised bidirectional LSTM."""

    config: ml_collections.FrozenConfigDict

    @nn.compact
    def __call__(self, x_BTD: jax.Array, paddings_BT: jax.Array, train: bool) -> jax.Array:
        x_BTD = _normalize(self.config, x_BTD, paddings_BT, train)
        # Half of the width in each direction: their concatenation has the width that the residual sum needs.
        return BiLSTM(self.config.encoder_dim // 2)(x_BTD, paddings_BT)


class FeedForwardModule(nn.Module):
    """A normalised dense layer, 0 on padded frames."""

    config: ml_collections.FrozenConfigDict

    @nn.compact
    def __call__(self, x_BTD: jax.Array, paddings_BT: jax.Array, train: bool, dropout_rate: Any) -> jax.Array:
        x_BTD = _normalize(self.config, x_BTD, paddings_BT, train)
        x_BTD = nn.Dense(self.config.encoder_dim, kernel_init=XAVIER)(x_BTD)
        # The bias would make padded frames non-zero, and the next layers would carry that on.
        x_BTD = activation(self.config)(x_BTD) * (1 - paddings_BT[:, :, None])
        return Dropout()(x_BTD, dropout_rate, train=train)


def _normalize(
    config: ml_collections.FrozenConfigDict, x_BTD: jax.Array, paddings_BT: jax.Array, train: bool
) -> jax.Array:
    """Applies a batch norm or layer norm, which becomes a layer of the calling module."""
    if config.layernorm_everywhere:
        return LayerNorm()(x_BTD)
    return BatchNorm(momentum=config.batch_norm_momentum)(x_BTD, paddings_BT, train=train)


class DeepSpeech(nn.Module):
    """Convolutions, bidirectional LSTMs, dense layers; logits of tokens for each 40 ms of speech."""

    config: ml_collections.FrozenConfigDict

    @nn.compact
    def __call__(
        self, audio: jax.Array, paddings: jax.Array, *, train: bool, dropout_rate: float | jax.Array
    ) -> tuple[jax.Array, jax.Array]:
        """Logits (B, T, V), and the paddings (B, T) of their frames.

        Args:
          audio: (B, L) samples in the range of 16-bit integers, as floats.
          paddings: (B, L), 1.0 where a sample is padding, else 0.0; real samples come first.
          train: whether SpecAugment and dropout apply (both use the rng 'dropout'), and batch norm uses the statistics
            of the batch.
          dropout_rate: in [0, 1]; may be traced.
        """
        config = self.config
        front_end = SpeechFrontEnd(
            config.use_specaug,
            config.freq_mask_count,
            config.freq_mask_max_bins,
            config.time_mask_count,
            config.time_mask_max_ratio,
        )
        features, frame_paddings = front_end(audio, paddings, train=train)
        subsample = Subsample(config.encoder_dim, config.subsampling_channels, activation(config))
        x_BTD, paddings_BT = subsample(features, frame_paddings)
        # Older submissions have a rate of its own for this one: see `algoperf.run.session`.
        x_BTD = Dropout()(x_BTD, config.get("aux_dropout_rate", dropout_rate), train=train)
        for _ in range(config.num_lstm_layers):
            # No dropout after LSTMs, as in AlgoPerf: only after the subsampling and in the dense layers.
            y_BTD = BatchRNN(config)(x_BTD, paddings_BT, train)
            x_BTD = x_BTD + y_BTD if config.enable_residual_connections else y_BTD
        for _ in range(config.num_ffn_layers):
            y_BTD = FeedForwardModule(config)(x_BTD, paddings_BT, train, dropout_rate)
            x_BTD = x_BTD + y_BTD if config.enable_residual_connections else y_BTD
        if config.enable_decoder_layer_norm:
            x_BTD = LayerNorm()(x_BTD)
        return nn.Dense(config.vocab_size, kernel_init=XAVIER)(x_BTD), paddings_BT


def make_model(spec: WorkloadSpec) -> DeepSpeech:
    return DeepSpeech(spec.model)
