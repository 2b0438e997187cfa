"""Two convolutions and two dense layers in Flax."""

# Shapes: B batch, H height, W width, C channels, D features

import flax.linen as nn
import jax
import numpy as np

from algoperf.jax_utils import Dropout
from algoperf.workload import WorkloadSpec


class DigitsNet(nn.Module):
    """Convolutional classifier of 8 x 8 images; `__call__` gives logits of shape (B, num_classes)."""

    channels: tuple[int, ...]
    hidden: int
    num_classes: int
    use_batch_norm: bool

    @nn.compact
    def __call__(self, inputs: jax.Array, *, train: bool, dropout_rate: float | jax.Array) -> jax.Array:
        x_BHWC = inputs
        for features in self.channels:
            # Padding 1 on every side in both frameworks; 'SAME' pads in the same way for odd windows without
            # a stride.
            x_BHWC = nn.Conv(features, (3, 3), padding=1)(x_BHWC)
            if self.use_batch_norm:
                x_BHWC = nn.BatchNorm(use_running_average=not train, momentum=0.9, epsilon=1e-5)(x_BHWC)
            x_BHWC = nn.max_pool(nn.relu(x_BHWC), (2, 2), strides=(2, 2))
        x_BD = x_BHWC.reshape(len(x_BHWC), -1)
        x_BD = nn.relu(nn.Dense(self.hidden)(x_BD))
        x_BD = Dropout()(x_BD, rate=dropout_rate, train=train)
        return nn.Dense(self.num_classes)(x_BD)


def make_model(spec: WorkloadSpec) -> DigitsNet:
    config = spec.model
    return DigitsNet(config.channels, config.hidden, config.num_classes, config.use_batch_norm)


def example_batch(spec: WorkloadSpec) -> dict[str, np.ndarray]:
    return {"inputs": np.zeros((1, 8, 8, 1), np.float32)}
