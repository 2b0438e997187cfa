"""Two convolutions and two dense layers in PyTorch, with the initialisers of the Flax model."""

# Shapes: B batch, H height, W width, C channels, D features

import torch
import torch.nn.functional as F
from torch import nn

from algoperf.layers.torch_batch_norm import BatchNorm2d
from algoperf.layers.torch_initializers import lecun_normal_
from algoperf.workload import WorkloadSpec


class DigitsNet(nn.Module):
    """Convolutional classifier of 8 x 8 images (B, 8, 8, 1), channels last; returns logits (B, num_classes)."""

    def __init__(self, channels: tuple[int, ...], hidden: int, num_classes: int, use_batch_norm: bool):
        super().__init__()
        sizes = (1, *channels)
        self.convs = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in zip(sizes, sizes[1:]))
        norm = BatchNorm2d if use_batch_norm else nn.Identity
        self.bns = nn.ModuleList(norm(features) for features in channels)
        width = 8 // 2 ** len(channels)
        self.hidden = nn.Linear(channels[-1] * width * width, hidden)
        self.output = nn.Linear(hidden, num_classes)
        for layer in (*self.convs, self.hidden, self.output):
            # Flax's default initialisers, so that both frameworks start from the same distribution.
            lecun_normal_(layer.weight)
            nn.init.zeros_(layer.bias)

    def forward(self, inputs: torch.Tensor, *, dropout_rate: float) -> torch.Tensor:
        x_BCHW = inputs.permute(0, 3, 1, 2)
        for conv, bn in zip(self.convs, self.bns):
            x_BCHW = F.max_pool2d(F.relu(bn(conv(x_BCHW))), 2)
        # Flattened with channels last, as in JAX, so that the same weights give the same logits.
        x_BD = x_BCHW.permute(0, 2, 3, 1).flatten(1)
        x_BD = F.relu(self.hidden(x_BD))
        x_BD = F.dropout(x_BD, dropout_rate, self.training)
        return self.output(x_BD)


def make_model(spec: WorkloadSpec) -> DigitsNet:
    config = spec.model
    return DigitsNet(config.channels, config.hidden, config.num_classes, config.use_batch_norm)
