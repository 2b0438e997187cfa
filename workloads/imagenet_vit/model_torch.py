"""The Vision Transformer in PyTorch.

Shapes: B batch, T tokens, Q query tokens, P side of a patch, D width, H heads, K width of one head,
M width of the hidden layer
"""

from typing import Any, TypeAlias

import ml_collections
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algoperf.layers.torch_dropout import dropout
from algoperf.layers.torch_initializers import lecun_normal_
from algoperf.workload import WorkloadSpec
from workloads.imagenet_vit.position_encoding import position_table

Config: TypeAlias = ml_collections.FrozenConfigDict


# eps: Flax's default, which AlgoPerf's JAX model uses; PyTorch's default is 1e-5.
def layer_norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-6)


class PatchEmbedding(nn.Conv2d):
    """A convolution whose stride equals its window, computed as one matrix product.

    Args:
      width: output channels D.
      patch_size: P.
    """

    def __init__(self, width: int, patch_size: int):
        super().__init__(3, width, patch_size, patch_size)

    def reset_parameters(self) -> None:
        lecun_normal_(self.weight)
        assert self.bias is not None
        nn.init.zeros_(self.bias)

    def forward(self, images: Tensor) -> Tensor:
        """Images (B, 3, height, width) -> (B, T, D); pixels after the last whole patch are dropped."""
        size = self.kernel_size[0]
        batch, channels, height, width = images.shape
        rows, columns = height // size, width // size
        patches = images[:, :, : rows * size, : columns * size]
        patches = patches.reshape(batch, channels, rows, size, columns, size).permute(0, 2, 4, 1, 3, 5)
        return F.linear(patches.reshape(batch, rows * columns, -1), self.weight.flatten(1), self.bias)


class Projection(nn.Linear):
    """A projection of attention, with Xavier uniform kernel and bias 0."""

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        nn.init.zeros_(self.bias)


class Dense(nn.Linear):
    """A layer of the MLP, with Xavier uniform kernel and tiny random bias."""

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        nn.init.normal_(self.bias, std=1e-6)


class Attention(nn.Module):
    """Multi-head attention with biases."""

    def __init__(self, width: int, num_heads: int):
        super().__init__()
        self.num_heads = num_heads
        # Not nn.MultiheadAttention: its fused matrix starts up to sqrt(4/3) smaller (README.md).
        self.query = Projection(width, width)
        self.key = Projection(width, width)
        self.value = Projection(width, width)
        self.out = Projection(width, width)

    def _split_heads(self, x_BTD: Tensor) -> Tensor:
        return x_BTD.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

    def forward(self, queries_BQD: Tensor, x_BTD: Tensor) -> Tensor:
        y_BHQK = F.scaled_dot_product_attention(
            self._split_heads(self.query(queries_BQD)),
            self._split_heads(self.key(x_BTD)),
            self._split_heads(self.value(x_BTD)),
        )
        return self.out(y_BHQK.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """Dense, GELU, dropout, dense. With `use_glu` hidden values are multiplied by a linear map of themselves."""

    def __init__(self, width: int, mlp_dim: int, use_glu: bool = False):
        super().__init__()
        self.linear1 = Dense(width, mlp_dim)
        self.glu_linear = Dense(mlp_dim, mlp_dim) if use_glu else None
        self.linear2 = Dense(mlp_dim, width)

    def forward(self, x_BTD: Tensor, dropout_rate: float) -> Tensor:
        y_BTM = F.gelu(self.linear1(x_BTD), approximate="tanh")
        if self.glu_linear is not None:
            # The gate comes from the values after GELU, unlike Shazeer's GLU variants: the targets were set
            # with it.
            y_BTM = y_BTM * self.glu_linear(y_BTM)
        return self.linear2(dropout(y_BTM, dropout_rate, self.training))


class EncoderBlock(nn.Module):
    """Attention and MLP, each with a residual connection and a LayerNorm, before the layer or after the sum."""

    def __init__(self, config: Config):
        super().__init__()
        self.use_post_layer_norm = config.use_post_layer_norm
        self.layer_norm0 = layer_norm(config.width)
        self.self_attention1 = Attention(config.width, config.num_heads)
        self.layer_norm2 = layer_norm(config.width)
        self.mlp3 = Mlp(config.width, config.mlp_dim, config.use_glu)

    def forward(self, x_BTD: Tensor, dropout_rate: float) -> Tensor:
        y = x_BTD if self.use_post_layer_norm else self.layer_norm0(x_BTD)
        y = dropout(self.self_attention1(y, y), dropout_rate, self.training)
        x_BTD = self.layer_norm0(x_BTD + y) if self.use_post_layer_norm else x_BTD + y
        y = x_BTD if self.use_post_layer_norm else self.layer_norm2(x_BTD)
        y = dropout(self.mlp3(y, dropout_rate), dropout_rate, self.training)
        return self.layer_norm2(x_BTD + y) if self.use_post_layer_norm else x_BTD + y


class Encoder(nn.Module):
    """Encoder blocks and a last LayerNorm; blocks that end with a LayerNorm have none after them."""

    def __init__(self, config: Config):
        super().__init__()
        self.net = nn.ModuleList(EncoderBlock(config) for _ in range(config.depth))
        self.encoder_norm = None if config.use_post_layer_norm else layer_norm(config.width)

    def forward(self, x_BTD: Tensor, dropout_rate: float) -> Tensor:
        for block in self.net:
            x_BTD = block(x_BTD, dropout_rate)
        return x_BTD if self.encoder_norm is None else self.encoder_norm(x_BTD)


class MAPHead(nn.Module):
    """Attention pooling: a learned query attends to all tokens; then an MLP with a residual connection.

    Source: Zhai et al. 2022, "Scaling Vision Transformers", https://arxiv.org/abs/2106.04560, section 3.2.
    """

    def __init__(self, config: Config):
        super().__init__()
        # Xavier's bound for a (1, D) matrix, as in Flax; PyTorch would count D inputs and D outputs for (1, 1, D).
        bound = (6 / (1 + config.width)) ** 0.5
        self.probe = nn.Parameter(torch.empty(1, 1, config.width).uniform_(-bound, bound))
        self.attention = Attention(config.width, config.num_heads)
        self.layer_norm = layer_norm(config.width)
        self.mlp = Mlp(config.width, config.mlp_dim)

    def forward(self, x_BTD: Tensor) -> Tensor:
        z_B1D = self.attention(self.probe.expand(x_BTD.shape[0], -1, -1), x_BTD)
        return (z_B1D + self.mlp(self.layer_norm(z_B1D), 0.0))[:, 0]


class VisionTransformer(nn.Module):
    """Patches to tokens, encoder, pooling (mean or attention), two dense layers.

    Args:
      config: the model's configuration.
      image_size: side of the images.
    """

    def __init__(self, config: Config, image_size: int):
        super().__init__()
        self.conv_patch_extract = PatchEmbedding(config.width, config.patch_size)
        side = image_size // config.patch_size
        table_TD = torch.from_numpy(position_table(side, side, config.width).copy())
        # Not persistent: a constant, so state dicts and weights converted from JAX do not hold it.
        self.register_buffer("position_table_TD", table_TD, persistent=False)
        self.encoder = Encoder(config)
        self.map = MAPHead(config) if config.use_map else None
        self.pre_logits = nn.Linear(config.width, config.width)
        self.head = nn.Linear(config.width, config.num_classes)
        lecun_normal_(self.pre_logits.weight)
        for zero in (self.pre_logits.bias, self.head.weight, self.head.bias):
            # A head of zeros: the first logits are equal for all classes, as in AlgoPerf.
            nn.init.zeros_(zero)

    def forward(self, inputs: Tensor, *, dropout_rate: float = 0.0) -> Tensor:
        """Logits (B, num_classes).

        Args:
          inputs: (B, 3, image_size, image_size).
          dropout_rate: in [0, 1]; used in training mode.
        """
        x_BTD = self.conv_patch_extract(inputs) + self.position_table_TD
        x_BTD = dropout(x_BTD, dropout_rate, self.training)
        x_BTD = self.encoder(x_BTD, dropout_rate)
        x_BD = x_BTD.mean(dim=1) if self.map is None else self.map(x_BTD)
        return self.head(torch.tanh(self.pre_logits(x_BD)))


def make_model(spec: WorkloadSpec) -> VisionTransformer:
    return VisionTransformer(spec.model, spec.data.crop_size)


def arrange(batch: dict[str, Any]) -> dict[str, Any]:
    """Images as (B, 3, height, width): a view with channels last in memory."""
    return {**batch, "inputs": batch["inputs"].permute(0, 3, 1, 2)}
