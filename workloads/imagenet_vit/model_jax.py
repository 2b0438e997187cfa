"""The Vision Transformer in Flax.

Shapes: B batch, T tokens of an image, Q query tokens, N tokens of all images (B T), P side of a patch, D width,
H heads, K width of one head, M width of the hidden layer
"""

from typing import Any, TypeAlias

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from algoperf.jax_utils import Dropout
from algoperf.workload import WorkloadSpec
from workloads.imagenet_vit.position_encoding import position_table

Config: TypeAlias = ml_collections.FrozenConfigDict

xavier_uniform = nn.initializers.xavier_uniform()


def layer_norm(name: str) -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=1e-6, name=name)


class PatchEmbedding(nn.Module):
    """A convolution whose stride equals its window, computed as one matrix product.

    Args:
      width: output channels D.
      patch_size: P.
    """

    width: int
    patch_size: int

    @nn.compact
    def __call__(self, images: jax.Array) -> jax.Array:
        """Images (B, height, width, 3) -> (B, T, D); pixels after the last whole patch are dropped."""
        size = self.patch_size
        batch, height, width, channels = images.shape
        rows, columns = height // size, width // size
        kernel_shape = (size, size, channels, self.width)
        kernel = self.param("kernel", nn.initializers.lecun_normal(), kernel_shape)
        bias_D = self.param("bias", nn.initializers.zeros_init(), (self.width,))
        patches = images[:, : rows * size, : columns * size].reshape(
            batch, rows, size, columns, size, channels
        )
        patches = patches.transpose(0, 1, 3, 2, 4, 5).reshape(batch * rows * columns, -1)
        return (patches @ kernel.reshape(-1, self.width) + bias_D).reshape(batch, -1, self.width)


class MultiHeadDotProductAttention(nn.Module):
    """Multi-head attention with biases; kernels are (D, H, K) for query, key and value, (H, K, D) for the output.

    Args:
      num_heads: H.
    """

    num_heads: int

    @nn.compact
    def __call__(self, queries: jax.Array, x_ND: jax.Array, batch_size: int) -> jax.Array:
        """Queries (B Q, D) and tokens (B T, D) of `batch_size` images -> (B Q, D)."""
        width = x_ND.shape[-1]
        head_width = width // self.num_heads

        def heads(x: jax.Array, name: str) -> jax.Array:
            features = (self.num_heads, head_width)
            y_NHK = nn.DenseGeneral(features, kernel_init=xavier_uniform, name=name)(x)
            y_BHTK = y_NHK.reshape(batch_size, -1, *features).transpose(0, 2, 1, 3)
            return y_BHTK.reshape(batch_size * self.num_heads, -1, head_width)

        q, k, v = heads(queries, "query"), heads(x_ND, "key"), heads(x_ND, "value")
        # B and H form one batch axis: with two, XLA's products take a third longer on CPUs. There is no dropout of
        # attention probabilities, as in AlgoPerf's JAX model.
        probs = jax.nn.softmax(q * head_width**-0.5 @ k.transpose(0, 2, 1))
        y_BHQK = (probs @ v).reshape(batch_size, self.num_heads, -1, head_width)
        y = y_BHQK.transpose(0, 2, 1, 3).reshape(-1, self.num_heads, head_width)
        return nn.DenseGeneral(width, axis=(-2, -1), kernel_init=xavier_uniform, name="out")(y)


class MlpBlock(nn.Module):
    """Dense, GELU, dropout, dense. With `use_glu` hidden values are multiplied by a linear map of themselves.

    Args:
      mlp_dim: M.
      use_glu: whether there is a gate.
    """

    mlp_dim: int
    use_glu: bool = False

    @nn.compact
    def __call__(self, x_ND: jax.Array, train: bool, dropout_rate: Any) -> jax.Array:
        def dense(features: int, index: int) -> nn.Dense:
            # Tiny random biases are the original ViT's (Dosovitskiy et al. 2021).
            bias_init = nn.initializers.normal(1e-6)
            name = f"Dense_{index}"
            return nn.Dense(features, kernel_init=xavier_uniform, bias_init=bias_init, name=name)

        y_NM = jax.nn.gelu(dense(self.mlp_dim, 0)(x_ND), approximate=True)
        if self.use_glu:
            # The gate comes from the values after GELU, unlike Shazeer's GLU variants: the targets were set
            # with it.
            y_NM *= dense(self.mlp_dim, 1)(y_NM)
        y_NM = Dropout()(y_NM, dropout_rate, train=train)
        return dense(x_ND.shape[-1], 2 if self.use_glu else 1)(y_NM)


class EncoderBlock(nn.Module):
    """Attention and MLP, each with a residual connection and a LayerNorm, before the layer or after the sum."""

    config: Config

    @nn.compact
    def __call__(self, x_ND: jax.Array, batch_size: int, train: bool, dropout_rate: Any) -> jax.Array:
        config = self.config
        norms = layer_norm("LayerNorm_0"), layer_norm("LayerNorm_2")
        attention = MultiHeadDotProductAttention(config.num_heads, name="MultiHeadDotProductAttention_1")
        mlp = MlpBlock(config.mlp_dim, config.use_glu, name="MlpBlock_3")

        def attend(y: jax.Array) -> jax.Array:
            return Dropout()(attention(y, y, batch_size), dropout_rate, train=train)

        def think(y: jax.Array) -> jax.Array:
            return Dropout()(mlp(y, train, dropout_rate), dropout_rate, train=train)

        for norm, sublayer in zip(norms, (attend, think)):
            if config.use_post_layer_norm:
                x_ND = norm(x_ND + sublayer(x_ND))
            else:
                x_ND = x_ND + sublayer(norm(x_ND))
        return x_ND


class Encoder(nn.Module):
    """Encoder blocks and a last LayerNorm; blocks that end with a LayerNorm have none after them."""

    config: Config

    @nn.compact
    def __call__(self, x_ND: jax.Array, batch_size: int, train: bool, dropout_rate: Any) -> jax.Array:
        for index in range(self.config.depth):
            block = EncoderBlock(self.config, name=f"encoderblock_{index}")
            x_ND = block(x_ND, batch_size, train, dropout_rate)
        return x_ND if self.config.use_post_layer_norm else layer_norm("encoder_layernorm")(x_ND)


class MAPHead(nn.Module):
    """Attention pooling: a learned query attends to all tokens; then an MLP with a residual connection.

    Source: Zhai et al. 2022, "Scaling Vision Transformers", https://arxiv.org/abs/2106.04560, section 3.2.
    """

    config: Config

    @nn.compact
    def __call__(self, x_ND: jax.Array, batch_size: int) -> jax.Array:
        """Tokens (B T, D) -> (B, D)."""
        probe_11D = self.param("probe", xavier_uniform, (1, 1, x_ND.shape[-1]))
        probe_BD = jnp.broadcast_to(probe_11D[0], (batch_size, x_ND.shape[-1]))
        attention = MultiHeadDotProductAttention(self.config.num_heads, name="MultiHeadDotProductAttention_0")
        z_BD = attention(probe_BD, x_ND, batch_size)
        mlp = MlpBlock(self.config.mlp_dim, name="MlpBlock_0")
        return z_BD + mlp(layer_norm("LayerNorm_0")(z_BD), train=False, dropout_rate=0.0)


class VisionTransformer(nn.Module):
    """Patches to tokens, encoder, pooling (mean or attention), two dense layers."""

    config: Config

    @nn.compact
    def __call__(self, inputs: jax.Array, *, train: bool, dropout_rate: float | jax.Array = 0.0) -> jax.Array:
        """Logits (B, num_classes).

        Args:
          inputs: (B, height, width, 3).
          train: whether dropout applies; it needs the rng 'dropout'.
          dropout_rate: in [0, 1]; may be traced.
        """
        config = self.config
        x_BTD = PatchEmbedding(config.width, config.patch_size, name="conv_patch_extract")(inputs)
        batch_size, num_tokens, width = x_BTD.shape
        rows, columns = (side // config.patch_size for side in inputs.shape[1:3])
        x_BTD = Dropout()(x_BTD + position_table(rows, columns, width), dropout_rate, train=train)
        # From here on the tokens of all images are one axis: the gradient of a dense layer is then a plain matrix
        # product, for which XLA needs two thirds of the time or less on CPUs.
        x_ND = Encoder(config, name="Transformer")(x_BTD.reshape(-1, width), batch_size, train, dropout_rate)
        if config.use_map:
            x_BD = MAPHead(config, name="MAPHead_0")(x_ND, batch_size)
        else:
            x_BD = x_ND.reshape(batch_size, num_tokens, width).mean(axis=1)
        x_BD = jnp.tanh(nn.Dense(width, name="pre_logits")(x_BD))
        # A head of zeros: training starts from equal probabilities of all classes.
        return nn.Dense(config.num_classes, kernel_init=nn.initializers.zeros_init(), name="head")(x_BD)


def make_model(spec: WorkloadSpec) -> VisionTransformer:
    return VisionTransformer(spec.model)


def example_batch(spec: WorkloadSpec) -> dict[str, np.ndarray]:
    side = spec.data.crop_size
    return {"inputs": np.zeros((1, side, side, 3), np.float32)}
