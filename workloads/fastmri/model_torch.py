"""The U-Net of fastMRI in PyTorch; the same function and initial distribution as the Flax one.

Channels come first in memory as well: on a CPU that layout is faster here, mainly in instance norm and pooling.
"""

# Shapes: B batch, C channels, H height, W width

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algoperf.layers.torch_dropout import dropout
from algoperf.layers.torch_initializers import lecun_normal_
from algoperf.losses.torch_losses import mean_absolute_error
from algoperf.workload import WorkloadSpec
from workloads.fastmri.ssim import ssim

INSTANCE_NORM_EPSILON = 1e-5
LAYER_NORM_EPSILON = 1e-6


def instance_norm(x_BCHW: Tensor) -> Tensor:
    """Zero mean and unit (biased) variance in each channel of each image."""
    # One group per channel is instance norm; group_norm takes a quarter less time than F.instance_norm on a CPU.
    return F.group_norm(x_BCHW, x_BCHW.shape[1], eps=INSTANCE_NORM_EPSILON)


def channel_dropout(x_BCHW: Tensor, rate: float, training: bool) -> Tensor:
    """Sets whole channels to 0 with probability `rate` and divides the others by 1 - rate, when training."""
    if not training or rate == 0:
        return x_BCHW
    # A mask per channel: `dropout` is the fast one for CPUs, while F.dropout2d draws serially there.
    return x_BCHW * dropout(x_BCHW.new_ones(*x_BCHW.shape[:2], 1, 1), rate, training)


class Activation(nn.Module):
    """tanh, or leaky ReLU with slope 0.2."""

    def __init__(self, use_tanh: bool):
        super().__init__()
        self.use_tanh = use_tanh

    def forward(self, x: Tensor) -> Tensor:
        # In place is safe: norms keep their input for the backward pass, not their output.
        return x.tanh_() if self.use_tanh else F.leaky_relu_(x, 0.2)


class ConvBlock(nn.Module):
    """Twice: 3 x 3 convolution, norm, activation, dropout of whole channels."""

    def __init__(self, inputs: int, features: int, use_tanh: bool, use_layer_norm: bool):
        super().__init__()
        # The convolutions have AlgoPerf's names. AlgoPerf has its norms in the same list; here their name contains
        # "norm", by which `algoperf.param_utils` recognises their type.
        convs = {
            "0": nn.Conv2d(inputs, features, 3, padding=1, bias=False),
            "4": nn.Conv2d(features, features, 3, padding=1, bias=False),
        }
        self.conv_layers = nn.ModuleDict(convs)
        for conv in convs.values():
            lecun_normal_(conv.weight, fan_in=conv.weight[0].numel())
        self.norm_layers = None
        if use_layer_norm:
            # One group normalises height, width and channels together; scale and bias are per channel.
            norms = (nn.GroupNorm(1, features, eps=LAYER_NORM_EPSILON) for _ in self.conv_layers)
            self.norm_layers = nn.ModuleList(norms)
        self.activation = Activation(use_tanh)

    def forward(self, x_BCHW: Tensor, dropout_rate: float) -> Tensor:
        for index, conv in enumerate(self.conv_layers.values()):
            x_BCHW = conv(x_BCHW)
            x_BCHW = self.norm_layers[index](x_BCHW) if self.norm_layers else instance_norm(x_BCHW)
            x_BCHW = channel_dropout(self.activation(x_BCHW), dropout_rate, self.training)
        return x_BCHW


class TransposeConvBlock(nn.Module):
    """2 x 2 transposed convolution with stride 2, instance norm, activation; no dropout."""

    def __init__(self, inputs: int, features: int, use_tanh: bool):
        super().__init__()
        conv = nn.ConvTranspose2d(inputs, features, 2, stride=2, bias=False)
        self.layers = nn.ModuleList([conv])
        # Flax counts the window in the fan-in, 2 x 2 x inputs, although each output pixel sees only one input
        # pixel.
        lecun_normal_(conv.weight, fan_in=4 * inputs)
        self.activation = Activation(use_tanh)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        return self.activation(instance_norm(self.layers[0](x_BCHW)))


class UNet(nn.Module):
    """U-Net from (B, H, W) to (B, H, W); arguments and sources as in `model_jax.UNet`."""

    def __init__(self, num_pool_layers: int, num_channels: int, use_tanh: bool, use_layer_norm: bool):
        super().__init__()
        sizes = [num_channels * 2**level for level in range(num_pool_layers + 1)]
        options = {"use_tanh": use_tanh, "use_layer_norm": use_layer_norm}
        self.down_sample_layers = nn.ModuleList(
            ConvBlock(inputs, features, **options) for inputs, features in zip([1, *sizes], sizes[:-1])
        )
        self.conv = ConvBlock(sizes[-2], sizes[-1], **options)
        upwards = [(2 * features, features) for features in reversed(sizes[:-1])]
        self.up_transpose_conv = nn.ModuleList(
            TransposeConvBlock(inputs, features, use_tanh) for inputs, features in upwards
        )
        blocks = [ConvBlock(inputs, features, **options) for inputs, features in upwards]
        head = nn.Conv2d(num_channels, 1, 1)
        lecun_normal_(head.weight, fan_in=num_channels)
        assert head.bias is not None
        nn.init.zeros_(head.bias)
        # AlgoPerf's names: the head is in one list with the last block.
        self.up_conv = nn.ModuleList([*blocks[:-1], nn.ModuleList([blocks[-1], head])])

    def forward(self, inputs: Tensor, *, dropout_rate: float) -> Tensor:
        x_BCHW = inputs[:, None]
        skips = []
        for block in self.down_sample_layers:
            skips.append(block(x_BCHW, dropout_rate))
            x_BCHW = F.avg_pool2d(skips[-1], 2)
        x_BCHW = self.conv(x_BCHW, dropout_rate)
        end = self.up_conv[-1]
        assert isinstance(end, nn.ModuleList)
        last, head = end
        for up, block in zip(self.up_transpose_conv, [*self.up_conv[:-1], last], strict=True):
            skip_BCHW = skips.pop()
            x_BCHW = torch.cat([pad_like(up(x_BCHW), skip_BCHW), skip_BCHW], dim=1)
            x_BCHW = block(x_BCHW, dropout_rate)
        return head(x_BCHW)[:, 0]


def pad_like(x_BCHW: Tensor, other_BCHW: Tensor) -> Tensor:
    """Pads by reflection where pooling has dropped an odd last row or column."""
    rows, columns = (b - a for a, b in zip(x_BCHW.shape[2:], other_BCHW.shape[2:], strict=True))
    return F.pad(x_BCHW, (0, columns, 0, rows), "reflect") if rows or columns else x_BCHW


def make_model(spec: WorkloadSpec) -> UNet:
    config = spec.model
    channels = config.num_channels // config.channel_divisor
    return UNet(config.num_pool_layers, channels, config.use_tanh, config.use_layer_norm)


def eval_outputs(model: UNet, batch: dict[str, Tensor], spec: WorkloadSpec) -> dict[str, Tensor]:
    """`ssim` and `loss` of each slice."""
    del spec
    output = model(batch["inputs"], dropout_rate=0.0)
    scales = (batch[key] for key in ("mean", "std", "volume_max"))
    loss = mean_absolute_error(batch["targets"], output)["per_example"]
    return {"ssim": ssim(output, batch["targets"], *scales), "loss": loss}
