"""ResNet v1.5 in Flax: bottleneck blocks with the stride in the 3 x 3 convolution.

Shapes: B batch, H height, W width, C channels, D features
"""

from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import numpy as np

from algoperf.layers.jax_conv import Conv
from algoperf.workload import WorkloadSpec
from workloads.imagenet_resnet.max_pool_jax import max_pool_3x3
from workloads.imagenet_resnet.settings import model_arguments

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": jax.nn.relu,
    "silu": jax.nn.silu,
    # The tanh form in both frameworks, as in AlgoPerf.
    "gelu": lambda x: jax.nn.gelu(x, approximate=True),
}


def conv(features: int, window: int, stride: int = 1, *, name: str, padding: Any = "SAME") -> Conv:
    """A convolution without bias, because the batch norm after it has one."""
    size = (window, window)
    return Conv(features, size, strides=stride, padding=padding, use_bias=False, name=name)


def batch_norm(train: bool, *, name: str, scale: float = 1.0) -> nn.BatchNorm:
    scale_init = nn.initializers.constant(scale)
    return nn.BatchNorm(
        use_running_average=not train, momentum=0.9, epsilon=1e-5, scale_init=scale_init, name=name
    )


class BottleneckResNetBlock(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions, and a shortcut.

    Args:
      features: channels of the inner convolutions; the output has four times as many.
      stride: stride of the 3 x 3 convolution and of the shortcut.
      act: activation function.
      bn_init_scale: initial scale of the last normalisation of the residual branch.
    """

    features: int
    stride: int
    act: Callable[[jax.Array], jax.Array]
    bn_init_scale: float

    @nn.compact
    def __call__(self, x_BHWC: jax.Array, train: bool) -> jax.Array:
        y = conv(self.features, 1, name="Conv_0")(x_BHWC)
        y = self.act(batch_norm(train, name="BatchNorm_0")(y))
        # The stride is here and not in the first convolution as in He et al. 2015: this makes it "v1.5".
        y = conv(self.features, 3, self.stride, name="Conv_1")(y)
        y = self.act(batch_norm(train, name="BatchNorm_1")(y))
        y = conv(4 * self.features, 1, name="Conv_2")(y)
        # A scale of 0 makes every block start as its shortcut (Goyal et al. 2017); large_bn_init starts it at
        # 8.
        y = batch_norm(train, name="BatchNorm_2", scale=self.bn_init_scale)(y)
        shortcut = x_BHWC
        if shortcut.shape != y.shape:
            shortcut = conv(4 * self.features, 1, self.stride, name="Conv_proj")(x_BHWC)
            shortcut = batch_norm(train, name="BatchNorm_proj")(shortcut)
        return self.act(shortcut + y)


class ResNet(nn.Module):
    """Stem, stages of bottleneck blocks, global average, dense layer.

    Args:
      stage_sizes: blocks per stage; every stage but the first halves height and width.
      num_filters: channels of the stem and inner channels of the first stage; doubled with every stage.
      num_classes: number of logits.
      activation: a key of `ACTIVATIONS`.
      bn_init_scale: initial scale of the last normalisation of each residual branch.
    """

    stage_sizes: Sequence[int]
    num_filters: int
    num_classes: int
    activation: str
    bn_init_scale: float

    @nn.compact
    def __call__(self, inputs: jax.Array, *, train: bool, dropout_rate: float | jax.Array = 0.0) -> jax.Array:
        """Logits (B, num_classes) of images (B, H, W, 3); there is no dropout in this model."""
        del dropout_rate
        act = ACTIVATIONS[self.activation]
        # Symmetric padding only here, as in AlgoPerf; the 3 x 3 convolutions have JAX's 'SAME'.
        x_BHWC = conv(self.num_filters, 7, 2, padding=3, name="Conv_init")(inputs)
        x_BHWC = max_pool_3x3(act(batch_norm(train, name="BatchNorm_init")(x_BHWC)))
        num_blocks = 0
        for stage, stage_size in enumerate(self.stage_sizes):
            for block in range(stage_size):
                stride = 2 if stage > 0 and block == 0 else 1
                x_BHWC = BottleneckResNetBlock(
                    self.num_filters * 2**stage,
                    stride,
                    act,
                    self.bn_init_scale,
                    name=f"BottleneckResNetBlock_{num_blocks}",
                )(x_BHWC, train)
                num_blocks += 1
        x_BD = x_BHWC.mean(axis=(1, 2))
        return nn.Dense(self.num_classes, kernel_init=nn.initializers.normal(0.01), name="Dense_0")(x_BD)


def make_model(spec: WorkloadSpec) -> ResNet:
    return ResNet(**model_arguments(spec.model))


def example_batch(spec: WorkloadSpec) -> dict[str, np.ndarray]:
    side = spec.data.crop_size
    return {"inputs": np.zeros((1, side, side, 3), np.float32)}
