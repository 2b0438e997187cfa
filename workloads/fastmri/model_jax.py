"""The U-Net of fastMRI in Flax."""

# Shapes: B batch, H height, W width, C channels, O output channels

import functools
from collections.abc import Callable
from typing import cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from algoperf.jax_utils import Dropout
from algoperf.layers.jax_conv import Conv
from algoperf.losses.jax_losses import mean_absolute_error
from algoperf.workload import WorkloadSpec
from workloads.fastmri.ssim import ssim

# Epsilons are AlgoPerf's: PyTorch's default of instance norm, Flax's default of layer norm.
INSTANCE_NORM_EPSILON = 1e-5
LAYER_NORM_EPSILON = 1e-6

Activation = Callable[[jax.Array], jax.Array]


def leaky_relu(x: jax.Array) -> jax.Array:
    return jnp.where(x > 0, x, 0.2 * x)


def identity(x: jax.Array) -> jax.Array:
    return x


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def normalize(x: jax.Array, axes: tuple[int, ...], epsilon: float, activation: Activation) -> jax.Array:
    """activation((x - mean) / sqrt(variance + epsilon)), with biased statistics over `axes`.

    The variance is the mean of squared deviations, which is more accurate in float32 than E[x^2] - E[x]^2. The
    gradient is written by hand: on a CPU it takes a quarter of the time of JAX's, and it only needs the array `x`.

    Source: Ulyanov et al. 2016, https://arxiv.org/abs/1607.08022.
    """
    return _normalize(x, axes, epsilon, activation)[0]


def _normalize(x: jax.Array, axes: tuple[int, ...], epsilon: float, activation: Activation):
    mean = x.mean(axes, keepdims=True)
    scale = lax.rsqrt(jnp.square(x - mean).mean(axes, keepdims=True) + epsilon)
    return activation((x - mean) * scale), (x, mean, scale)


def _normalize_backward(axes: tuple[int, ...], epsilon: float, activation: Activation, kept, grad: jax.Array):
    del epsilon
    x, mean, scale = kept
    normalized = (x - mean) * scale
    # The normalised values are computed again: cheaper than keeping them in memory from the forward pass.
    (grad,) = jax.vjp(activation, normalized)[1](grad)
    along = (grad * normalized).mean(axes, keepdims=True)
    # Both subtracted terms come from mean and variance depending on x.
    return ((grad - grad.mean(axes, keepdims=True) - normalized * along) * scale,)


normalize.defvjp(_normalize, _normalize_backward)


class LayerNorm(nn.Module):
    """Layer norm over height, width and channels together, with scale and bias per channel."""

    @nn.compact
    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        shape = (x_BHWC.shape[-1],)
        scale = self.param("scale", nn.initializers.ones_init(), shape)
        bias = self.param("bias", nn.initializers.zeros_init(), shape)
        return normalize(x_BHWC, (1, 2, 3), LAYER_NORM_EPSILON, identity) * scale + bias


class ConvBlock(nn.Module):
    """Twice: 3 x 3 convolution, norm, activation, dropout of whole channels."""

    features: int
    activation: Activation
    use_layer_norm: bool

    @nn.compact
    def __call__(self, x_BHWC: jax.Array, dropout_rate: float | jax.Array, train: bool) -> jax.Array:
        for _ in range(2):
            # Flax names the layers 'Conv_0' and 'Conv_1', which are AlgoPerf's names.
            x_BHWC = Conv(self.features, (3, 3), padding=1, use_bias=False)(x_BHWC)
            if self.use_layer_norm:
                x_BHWC = self.activation(LayerNorm()(x_BHWC))
            else:
                x_BHWC = normalize(x_BHWC, (1, 2), INSTANCE_NORM_EPSILON, self.activation)
            # Channel dropout, as in the fastMRI code. AlgoPerf's JAX model ignores the rate, which is a
            # defect (README.md).
            x_BHWC = Dropout(broadcast_dims=(1, 2))(x_BHWC, dropout_rate, train=train)
        return x_BHWC


class ConvTranspose(nn.Module):
    """2 x 2 transposed convolution with stride 2. Windows do not overlap, so it is one matrix product per pixel."""

    features: int

    @nn.compact
    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        batch, height, width, channels = x_BHWC.shape
        shape = (2, 2, channels, self.features)
        # As in `flax.linen.ConvTranspose`, the kernel is rotated by 180 degrees relative to PyTorch's.
        kernel_HWCO = self.param("kernel", nn.initializers.lecun_normal(), shape)
        matrix = kernel_HWCO[::-1, ::-1].transpose(2, 0, 1, 3).reshape(channels, -1)
        pixels = (x_BHWC.reshape(-1, channels) @ matrix).reshape(batch, height, width, 2, 2, self.features)
        return pixels.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * height, 2 * width, self.features)


class TransposeConvBlock(nn.Module):
    """Transposed convolution, instance norm, activation; no dropout."""

    features: int
    activation: Activation

    @nn.compact
    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        x_BHWC = ConvTranspose(self.features)(x_BHWC)
        return normalize(x_BHWC, (1, 2), INSTANCE_NORM_EPSILON, self.activation)


class UNet(nn.Module):
    """U-Net from image to image; `__call__` maps (B, H, W) to (B, H, W).

    Source: Ronneberger et al. 2015, https://arxiv.org/abs/1505.04597; Zbontar et al. 2018,
    https://arxiv.org/abs/1811.08839.

    Args:
      num_pool_layers: number of times that the resolution is halved.
      num_channels: channels after the first block; doubled at each halving.
      use_tanh: whether to use tanh instead of leaky ReLU (slope 0.2).
      use_layer_norm: whether `ConvBlock` uses layer norm instead of instance norm.
    """

    num_pool_layers: int
    num_channels: int
    use_tanh: bool
    use_layer_norm: bool

    @nn.compact
    def __call__(self, inputs: jax.Array, *, train: bool, dropout_rate: float | jax.Array) -> jax.Array:
        activation = jnp.tanh if self.use_tanh else leaky_relu
        skips = []
        x_BHWC, channels = inputs[..., None], self.num_channels
        for _ in range(self.num_pool_layers):
            x_BHWC = ConvBlock(channels, activation, self.use_layer_norm)(x_BHWC, dropout_rate, train)
            skips.append(x_BHWC)
            x_BHWC, channels = average_pool(x_BHWC), 2 * channels
        x_BHWC = ConvBlock(channels, activation, self.use_layer_norm)(x_BHWC, dropout_rate, train)
        for skip_BHWC in reversed(skips):
            channels //= 2
            x_BHWC = TransposeConvBlock(channels, activation)(x_BHWC)
            x_BHWC = jnp.concatenate([pad_like(x_BHWC, skip_BHWC), skip_BHWC], axis=-1)
            x_BHWC = ConvBlock(channels, activation, self.use_layer_norm)(x_BHWC, dropout_rate, train)
        return Conv(1, (1, 1))(x_BHWC)[..., 0]


def average_pool(x_BHWC: jax.Array) -> jax.Array:
    """Means of 2 x 2 pixels; an odd last row or column is dropped."""
    batch, height, width, channels = x_BHWC.shape
    x_BHWC = x_BHWC[:, : height // 2 * 2, : width // 2 * 2]
    return x_BHWC.reshape(batch, height // 2, 2, width // 2, 2, channels).mean((2, 4))


def pad_like(x_BHWC: jax.Array, other_BHWC: jax.Array) -> jax.Array:
    """Pads by reflection where pooling has dropped an odd last row or column."""
    missing = [b - a for a, b in zip(x_BHWC.shape[1:3], other_BHWC.shape[1:3], strict=True)]
    if not any(missing):
        return x_BHWC
    return jnp.pad(x_BHWC, ((0, 0), (0, missing[0]), (0, missing[1]), (0, 0)), mode="reflect")


def make_model(spec: WorkloadSpec) -> UNet:
    config = spec.model
    channels = config.num_channels // config.channel_divisor
    return UNet(config.num_pool_layers, channels, config.use_tanh, config.use_layer_norm)


def example_batch(spec: WorkloadSpec) -> dict[str, np.ndarray]:
    return {"inputs": np.zeros((1, spec.data.image_size, spec.data.image_size), np.float32)}


def eval_outputs(model: UNet, variables: dict, batch: dict, spec: WorkloadSpec) -> dict[str, jax.Array]:
    """`ssim` and `loss` of each slice."""
    del spec
    output = cast(jax.Array, model.apply(variables, batch["inputs"], train=False, dropout_rate=0.0))
    scales = (batch[key] for key in ("mean", "std", "volume_max"))
    # In the clipped, normalised units of training; SSIM below is in the original units.
    loss = mean_absolute_error(batch["targets"], output)["per_example"]
    return {"ssim": ssim(output, batch["targets"], *scales), "loss": loss}
