"""Parts of both speech models in Flax: from audio to subsampled features, and normalisations that ignore padding.

Shapes: B batch, L samples, T frames, F mel bins, C channels, D features
"""

from collections.abc import Callable

import flax.linen as nn
import jax
import jax.numpy as jnp

from algoperf.layers.jax_conv import Conv
from workloads.librispeech.frontend_jax import log_mel
from workloads.librispeech.spec_augment_jax import spec_augment

XAVIER = nn.initializers.xavier_uniform()


class SpeechFrontEnd(nn.Module):
    """Log-mel features of audio, with SpecAugment in training; it has no parameters.

    Args:
      use_specaug: whether features are masked in training; the other arguments are those of `spec_augment`.
    """

    use_specaug: bool
    freq_mask_count: int
    freq_mask_max_bins: int
    time_mask_count: int
    time_mask_max_ratio: float

    @nn.compact
    def __call__(
        self, audio_BL: jax.Array, paddings_BL: jax.Array, *, train: bool
    ) -> tuple[jax.Array, jax.Array]:
        """(features (B, T, 80), paddings (B, T)); masks are drawn from the rng stream 'dropout'."""
        features_BTF, paddings_BT = log_mel(audio_BL, paddings_BL)
        if train and self.use_specaug:
            features_BTF = spec_augment(
                self.make_rng("dropout"),
                features_BTF,
                paddings_BT,
                freq_mask_count=self.freq_mask_count,
                freq_mask_max_bins=self.freq_mask_max_bins,
                time_mask_count=self.time_mask_count,
                time_mask_max_ratio=self.time_mask_max_ratio,
            )
        return features_BTF, paddings_BT


class Subsample(nn.Module):
    """Two convolutions with stride 2 in time and frequency, and a dense layer; a quarter of the frames remains.

    Args:
      encoder_dim: output features D.
      channels: channels of both convolutions.
      activation: activation after each convolution.
    """

    encoder_dim: int
    channels: int
    activation: Callable[[jax.Array], jax.Array]

    @nn.compact
    def __call__(self, x_BTF: jax.Array, paddings_BT: jax.Array) -> tuple[jax.Array, jax.Array]:
        """(features (B, ceil(ceil(T / 2) / 2), D), their paddings); without dropout."""
        x_BTFC = x_BTF[..., None]
        for index in range(2):
            conv = Conv(self.channels, (3, 3), strides=2, kernel_init=XAVIER, name=f"Conv_{index}")
            x_BTFC = self.activation(conv(x_BTFC))
            paddings_BT = paddings_BT[:, ::2]
            # Padded frames become 0 after each convolution, so that the next one does not read its bias from
            # them.
            x_BTFC *= 1 - paddings_BT[:, :, None, None]
        batch, num_frames = paddings_BT.shape
        flat = x_BTFC.reshape(batch, num_frames, -1)  # The channel is the fastest axis.
        return nn.Dense(self.encoder_dim, kernel_init=XAVIER, name="Dense_0")(flat), paddings_BT


class LayerNorm(nn.Module):
    """Layer norm with scale 1 + `scale`, as in AlgoPerf, so that both parameters start at 0."""

    epsilon: float = 1e-6

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        scale_D = self.param("scale", nn.initializers.zeros, x.shape[-1:])
        bias_D = self.param("bias", nn.initializers.zeros, x.shape[-1:])
        centred = x - x.mean(axis=-1, keepdims=True)
        variance = jnp.square(centred).mean(axis=-1, keepdims=True)
        return centred * jax.lax.rsqrt(variance + self.epsilon) * (1 + scale_D) + bias_D


class BatchNorm(nn.Module):
    """Batch norm over real frames, with scale 1 + `scale`; padded frames become 0.

    The running mean and variance, (D,) each, are in the collection 'batch_stats'. The variance is the biased one.

    Args:
      momentum: weight of the old running statistics in an update.
      epsilon: added to the variance.
    """

    momentum: float = 0.999
    epsilon: float = 1e-3

    @nn.compact
    def __call__(self, x_BTD: jax.Array, paddings_BT: jax.Array, *, train: bool) -> jax.Array:
        width = x_BTD.shape[-1:]
        scale_D = self.param("scale", nn.initializers.zeros, width)
        bias_D = self.param("bias", nn.initializers.zeros, width)
        running_mean = self.variable("batch_stats", "mean", jnp.zeros, width)
        running_var = self.variable("batch_stats", "var", jnp.ones, width)
        is_real_BT1 = 1 - paddings_BT[:, :, None]
        if train:
            # The number of real frames of the global batch; at least 1 in a batch of padding alone.
            count = jnp.maximum(is_real_BT1.sum(), 1)
            mean_D = (x_BTD * is_real_BT1).sum(axis=(0, 1)) / count
            centred_BTD = (x_BTD - mean_D) * is_real_BT1
            var_D = jnp.square(centred_BTD).sum(axis=(0, 1)) / count
            if not self.is_initializing():
                for running, batch in ((running_mean, mean_D), (running_var, var_D)):
                    running.value = self.momentum * running.value + (1 - self.momentum) * batch
        else:
            mean_D, var_D = running_mean.value, running_var.value
            centred_BTD = (x_BTD - mean_D) * is_real_BT1
        return centred_BTD * ((1 + scale_D) * jax.lax.rsqrt(var_D + self.epsilon)) + bias_D * is_real_BT1
