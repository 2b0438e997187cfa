"""ResNet v1.5 in PyTorch: bottleneck blocks with the stride in the 3 x 3 convolution.

Shapes: B batch, H height, W width, C channels, D features
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn

from algoperf.layers.torch_batch_norm import BatchNorm2d
from algoperf.layers.torch_initializers import lecun_normal_
from algoperf.workload import WorkloadSpec
from workloads.imagenet_resnet.settings import model_arguments

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "relu": F.relu,
    "silu": F.silu,
    "gelu": lambda x: F.gelu(x, approximate="tanh"),
}


class Conv2d(nn.Conv2d):
    """A convolution without bias, initialised and padded as in JAX.

    JAX's 'SAME' padding gives outputs of size ceil(size / stride) and puts an odd zero after the image: with stride 2
    and an even size, a window of 3 reads one row after the end and none before the start.
    """

    def __init__(
        self, in_channels: int, out_channels: int, window: int, stride: int = 1, padding: int | None = None
    ):
        """`padding` None stands for 'SAME'."""
        self.pads_by_size = padding is None and window > 1 and stride > 1
        if padding is None:
            padding = 0 if self.pads_by_size else window // 2
        super().__init__(in_channels, out_channels, window, stride, padding, bias=False)

    def reset_parameters(self) -> None:
        lecun_normal_(self.weight)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        if self.pads_by_size:
            (top, bottom), (left, right) = (self._same_padding(size) for size in x_BCHW.shape[2:])
            x_BCHW = F.pad(x_BCHW, (left, right, top, bottom))
        return super().forward(x_BCHW)

    def _same_padding(self, size: int) -> tuple[int, int]:
        window, stride = self.kernel_size[0], self.stride[0]
        total = max((-(-size // stride) - 1) * stride + window - size, 0)
        return total // 2, total - total // 2


class Shortcut(nn.Module):
    """The projection of the shortcut where output and input of a block differ in shape."""

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.conv = Conv2d(in_channels, out_channels, 1, stride)
        self.bn = BatchNorm2d(out_channels)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.bn(self.conv(x_BCHW))


class Bottleneck(nn.Module):
    """1 x 1, 3 x 3 and 1 x 1 convolutions, and a shortcut.

    Args:
      in_channels: channels of the input.
      features: channels of the inner convolutions; the output has four times as many.
      stride: stride of the 3 x 3 convolution and of the shortcut.
      act: activation function.
      bn_init_scale: initial scale of the last normalisation of the residual branch.
    """

    def __init__(
        self,
        in_channels: int,
        features: int,
        stride: int,
        act: Callable[[Tensor], Tensor],
        bn_init_scale: float,
    ):
        super().__init__()
        self.act = act
        self.conv1 = Conv2d(in_channels, features, 1)
        self.bn1 = BatchNorm2d(features)
        # The stride is here and not in the first convolution as in He et al. 2015: this makes it "v1.5".
        self.conv2 = Conv2d(features, features, 3, stride)
        self.bn2 = BatchNorm2d(features)
        self.conv3 = Conv2d(features, 4 * features, 1)
        self.bn3 = BatchNorm2d(4 * features)
        # A scale of 0 makes every block start as its shortcut (Goyal et al. 2017); large_bn_init starts it at
        # 8.
        nn.init.constant_(self.bn3.weight, bn_init_scale)
        is_projected = stride != 1 or in_channels != 4 * features
        self.downsample = Shortcut(in_channels, 4 * features, stride) if is_projected else None

    def forward(self, x_BCHW: Tensor) -> Tensor:
        y = self.act(self.bn1(self.conv1(x_BCHW)))
        y = self.act(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(y))
        shortcut = x_BCHW if self.downsample is None else self.downsample(x_BCHW)
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

    def __init__(
        self,
        stage_sizes: Sequence[int],
        num_filters: int,
        num_classes: int,
        activation: str,
        bn_init_scale: float,
    ):
        super().__init__()
        self.act = ACTIVATIONS[activation]
        self.conv1 = Conv2d(3, num_filters, 7, 2, padding=3)
        self.bn1 = BatchNorm2d(num_filters)
        self.num_stages = len(stage_sizes)
        channels = num_filters
        for stage, stage_size in enumerate(stage_sizes):
            features = num_filters * 2**stage
            blocks = []
            for block in range(stage_size):
                stride = 2 if stage > 0 and block == 0 else 1
                blocks.append(Bottleneck(channels, features, stride, self.act, bn_init_scale))
                channels = 4 * features
            self.add_module(f"layer{stage + 1}", nn.Sequential(*blocks))
        self.fc = nn.Linear(channels, num_classes)
        nn.init.normal_(self.fc.weight, std=0.01)
        nn.init.zeros_(self.fc.bias)

    def forward(self, inputs: Tensor, *, dropout_rate: float = 0.0) -> Tensor:
        """Logits (B, num_classes) of images (B, 3, H, W); there is no dropout in this model."""
        del dropout_rate
        x_BCHW = self.act(self.bn1(self.conv1(inputs)))
        x_BCHW = F.max_pool2d(x_BCHW, 3, 2, padding=1)
        for stage in range(self.num_stages):
            x_BCHW = getattr(self, f"layer{stage + 1}")(x_BCHW)
        return self.fc(x_BCHW.mean(dim=(2, 3)))


def make_model(spec: WorkloadSpec) -> ResNet:
    return ResNet(**model_arguments(spec.model))


def arrange(batch: dict[str, Any]) -> dict[str, Any]:
    """Images as (B, 3, H, W): a view with channels last in memory, which PyTorch's convolutions use without a copy."""
    return {**batch, "inputs": batch["inputs"].permute(0, 3, 1, 2)}
