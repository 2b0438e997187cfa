"""The Transformer of the WMT workload in Flax.

Shapes: B batch, S source position, T target position, L either, Q query, M key ("memory"),
D width, H heads, K width of one head, V vocabulary, G beams, P decoding position
"""

from collections.abc import Callable
from typing import Any, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import ml_collections
import numpy as np

from algoperf.jax_utils import Dropout
from algoperf.workload import WorkloadSpec
from workloads.wmt.beam_search_jax import beam_search
from workloads.wmt.interface import call_args as call_args
from workloads.wmt.position_encoding import position_table

KeysValues = tuple[jax.Array, jax.Array]
"""Keys and values of one attention, each (B, H, M, K)."""
Decoded = tuple[jax.Array, list[KeysValues]]
"""Logits of the next token, and the cache with this position."""

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {"relu": jax.nn.relu, "tanh": jnp.tanh}

xavier_uniform = nn.initializers.xavier_uniform()


# epsilon: Flax's default, which AlgoPerf's JAX model uses; PyTorch's default is 1e-5.
def layer_norm() -> nn.LayerNorm:
    return nn.LayerNorm(epsilon=1e-6)


class Attention(nn.Module):
    """Multi-head attention without biases; an `aux_dropout_rate` (older submissions) replaces the call's rate."""

    config: ml_collections.FrozenConfigDict

    def setup(self) -> None:
        width, num_heads = self.config.emb_dim, self.config.num_heads
        heads = (num_heads, width // num_heads)
        # DenseGeneral draws its kernel as one (D, H K) matrix, so Xavier's fans are those of the whole projection.
        self.query = nn.DenseGeneral(heads, use_bias=False, kernel_init=xavier_uniform)
        self.key = nn.DenseGeneral(heads, use_bias=False, kernel_init=xavier_uniform)
        self.value = nn.DenseGeneral(heads, use_bias=False, kernel_init=xavier_uniform)
        self.out = nn.DenseGeneral(width, axis=(-2, -1), use_bias=False, kernel_init=xavier_uniform)
        self.dropout = Dropout()

    def keys_values(self, x_BMD: jax.Array) -> KeysValues:
        """Keys and values (B, H, M, K): the layout of the batched products, so that a cache is never transposed."""
        k_BMHK, v_BMHK = self.key(x_BMD), self.value(x_BMD)
        return k_BMHK.transpose(0, 2, 1, 3), v_BMHK.transpose(0, 2, 1, 3)

    def __call__(
        self, x_BQD: jax.Array, keys_values: KeysValues, mask_B1QM: jax.Array, train: bool, dropout_rate: Any
    ) -> jax.Array:
        """Attention; a query whose mask is all False attends to every key equally: only padding queries do."""
        k_BHMK, v_BHMK = keys_values
        # Equation 1 of the paper, with 1 / sqrt(K) applied to the queries, which are smaller than the logits.
        q_BQHK = self.query(x_BQD) * (self.config.attention_temp * k_BHMK.shape[-1] ** -0.5)
        logits_BHQM = jnp.einsum("bqhk,bhmk->bhqm", q_BQHK, k_BHMK)
        # The lowest float instead of -inf: softmax of a row of -inf is NaN.
        logits_BHQM = jnp.where(mask_B1QM, logits_BHQM, jnp.finfo(logits_BHQM.dtype).min)
        rate = self.config.get("aux_dropout_rate", dropout_rate)
        probs_BHQM = self.dropout(jax.nn.softmax(logits_BHQM), rate, train=train)
        return self.out(jnp.einsum("bhqm,bhmk->bqhk", probs_BHQM, v_BHMK))


class Mlp(nn.Module):
    """Two dense layers; with `glu` the hidden layer is multiplied by a third (https://arxiv.org/abs/2002.05202)."""

    config: ml_collections.FrozenConfigDict

    @nn.compact
    def __call__(self, x_BLD: jax.Array, train: bool, dropout_rate: Any) -> jax.Array:
        def dense(features: int, name: str) -> nn.Dense:
            bias_init = nn.initializers.normal(1e-6)
            return nn.Dense(features, kernel_init=xavier_uniform, bias_init=bias_init, name=name)

        y = ACTIVATIONS[self.config.activation](dense(self.config.mlp_dim, "hidden")(x_BLD))
        if self.config.glu:
            y = y * dense(self.config.mlp_dim, "gate")(x_BLD)
        y = Dropout()(y, dropout_rate, train=train)
        y_BLD = dense(self.config.emb_dim, "output")(y)
        return Dropout()(y_BLD, dropout_rate, train=train)


def add_sublayer(
    x: jax.Array, sublayer: Callable[[jax.Array], jax.Array], norm: nn.LayerNorm, pre_ln: bool
) -> jax.Array:
    """A residual connection, normalised before the sublayer (pre-LN) or after the sum (post-LN)."""
    return x + sublayer(norm(x)) if pre_ln else norm(x + sublayer(x))


class EncoderBlock(nn.Module):
    config: ml_collections.FrozenConfigDict

    def setup(self) -> None:
        self.self_attention = Attention(self.config)
        self.mlp = Mlp(self.config)
        self.layernorm_self_attention = layer_norm()
        self.layernorm_mlp = layer_norm()
        self.dropout = Dropout()

    def __call__(self, x_BSD: jax.Array, mask_B1SS: jax.Array, train: bool, dropout_rate: Any) -> jax.Array:
        def self_attention(y: jax.Array) -> jax.Array:
            keys_values = self.self_attention.keys_values(y)
            y = self.self_attention(y, keys_values, mask_B1SS, train, dropout_rate)
            return self.dropout(y, dropout_rate, train=train)

        def mlp(y: jax.Array) -> jax.Array:
            return self.mlp(y, train, dropout_rate)

        x_BSD = add_sublayer(x_BSD, self_attention, self.layernorm_self_attention, self.config.pre_ln)
        return add_sublayer(x_BSD, mlp, self.layernorm_mlp, self.config.pre_ln)


class DecoderBlock(nn.Module):
    """Used for teacher forcing (queries are target positions) and for decoding (queries are beams)."""

    config: ml_collections.FrozenConfigDict

    def setup(self) -> None:
        self.self_attention = Attention(self.config)
        self.cross_attention = Attention(self.config)
        self.mlp = Mlp(self.config)
        self.layernorm_self_attention = layer_norm()
        self.layernorm_cross_attention = layer_norm()
        self.layernorm_mlp = layer_norm()
        self.dropout = Dropout()

    def cross_keys_values(self, encoded_BSD: jax.Array) -> KeysValues:
        return self.cross_attention.keys_values(encoded_BSD)

    def __call__(
        self,
        x_BQD: jax.Array,
        cross_keys_values: KeysValues,
        self_mask_B1QM: jax.Array,
        cross_mask_B1QS: jax.Array,
        train: bool,
        dropout_rate: Any,
        remember: Callable[[KeysValues], KeysValues] = lambda keys_values: keys_values,
    ) -> jax.Array:
        """`remember` maps this call's keys and values to those that its queries attend to, for a cache."""

        def self_attention(y: jax.Array) -> jax.Array:
            keys_values = remember(self.self_attention.keys_values(y))
            y = self.self_attention(y, keys_values, self_mask_B1QM, train, dropout_rate)
            return self.dropout(y, dropout_rate, train=train)

        def cross_attention(y: jax.Array) -> jax.Array:
            y = self.cross_attention(y, cross_keys_values, cross_mask_B1QS, train, dropout_rate)
            return self.dropout(y, dropout_rate, train=train)

        def mlp(y: jax.Array) -> jax.Array:
            return self.mlp(y, train, dropout_rate)

        pre_ln = self.config.pre_ln
        x_BQD = add_sublayer(x_BQD, self_attention, self.layernorm_self_attention, pre_ln)
        x_BQD = add_sublayer(x_BQD, cross_attention, self.layernorm_cross_attention, pre_ln)
        return add_sublayer(x_BQD, mlp, self.layernorm_mlp, pre_ln)


class Encoder(nn.Module):
    config: ml_collections.FrozenConfigDict

    def setup(self) -> None:
        self.encoderblock = [EncoderBlock(self.config) for _ in range(self.config.num_layers)]
        if self.config.pre_ln:
            self.encoder_layernorm = layer_norm()

    def __call__(self, x_BSD: jax.Array, mask_B1SS: jax.Array, train: bool, dropout_rate: Any) -> jax.Array:
        for block in self.encoderblock:
            x_BSD = block(x_BSD, mask_B1SS, train, dropout_rate)
        return self.encoder_layernorm(x_BSD) if self.config.pre_ln else x_BSD


class Decoder(nn.Module):
    config: ml_collections.FrozenConfigDict

    def setup(self) -> None:
        self.encoderdecoderblock = [DecoderBlock(self.config) for _ in range(self.config.num_layers)]
        if self.config.pre_ln:
            self.encoderdecoder_layernorm = layer_norm()

    def cross_keys_values(self, encoded_BSD: jax.Array) -> list[KeysValues]:
        return [block.cross_keys_values(encoded_BSD) for block in self.encoderdecoderblock]

    def __call__(
        self,
        x_BTD: jax.Array,
        encoded_BSD: jax.Array,
        self_mask_B1TT: jax.Array,
        cross_mask_B1TS: jax.Array,
        train: bool,
        dropout_rate: Any,
    ) -> jax.Array:
        for block in self.encoderdecoderblock:
            cross = block.cross_keys_values(encoded_BSD)
            x_BTD = block(x_BTD, cross, self_mask_B1TT, cross_mask_B1TS, train, dropout_rate)
        return self._normalize(x_BTD)

    def step(
        self,
        x_BGD: jax.Array,
        position: jax.Array,
        cross: list[KeysValues],
        cross_mask_B11S: jax.Array,
        visible_BGPG: jax.Array,
        cache: list[KeysValues],
    ) -> tuple[jax.Array, list[KeysValues]]:
        """One token for each beam; see `beam_search_jax` for `visible_BGPG`.

        A cache entry is (B, H, M, K), where M counts positions and, within each, beams. Written and read in one
        shape, it is updated in place.
        """
        num_beams = x_BGD.shape[1]
        self_mask_B1GM = jax.lax.collapse(visible_BGPG, 2)[:, None]
        new_cache = []

        def remember(layer: int) -> Callable[[KeysValues], KeysValues]:
            def write(new: KeysValues) -> KeysValues:
                # Slot (p, g) of the cache is row p * G + g, so one slice holds all beams of a position.
                start = position * num_beams
                keys, values = (
                    jax.lax.dynamic_update_slice_in_dim(old_BHMK, new_BHGK, start, axis=2)
                    for old_BHMK, new_BHGK in zip(cache[layer], new)
                )
                new_cache.append((keys, values))
                return keys, values

            return write

        for layer, block in enumerate(self.encoderdecoderblock):
            x_BGD = block(x_BGD, cross[layer], self_mask_B1GM, cross_mask_B11S, False, 0.0, remember(layer))
        return self._normalize(x_BGD), new_cache

    def _normalize(self, x: jax.Array) -> jax.Array:
        return self.encoderdecoder_layernorm(x) if self.config.pre_ln else x


def _same_segment(queries_BQ: jax.Array | None, keys_BM: jax.Array | None) -> jax.Array | bool:
    if queries_BQ is None or keys_BM is None:
        return True
    return queries_BQ[:, None, :, None] == keys_BM[:, None, None, :]


def _both(queries_BQ: jax.Array, keys_BM: jax.Array) -> jax.Array:
    return queries_BQ[:, None, :, None] & keys_BM[:, None, None, :]


class Transformer(nn.Module):
    """Transformer (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762) with one matrix for embeddings and output.

    Token 0 is padding. Packed rows hold several sentence pairs: positions restart with each, and segment ids
    keep attention within a pair. As in AlgoPerf, the shift to the right ignores segments: a pair's first decoder
    input is the last target token of the pair before it.
    """

    config: ml_collections.FrozenConfigDict

    def setup(self) -> None:
        config = self.config
        self.shared_embedding = nn.Embed(
            config.vocab_size, config.emb_dim, embedding_init=nn.initializers.normal(1.0)
        )
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        self.inputs_dropout = Dropout()
        self.targets_dropout = Dropout()

    def __call__(
        self,
        inputs: jax.Array,
        targets: jax.Array,
        inputs_position: jax.Array | None = None,
        targets_position: jax.Array | None = None,
        inputs_segmentation: jax.Array | None = None,
        targets_segmentation: jax.Array | None = None,
        *,
        train: bool,
        dropout_rate: float | jax.Array,
    ) -> jax.Array:
        """Logits (B, T, V) of each target token given the tokens before it.

        Args:
          inputs: (B, S) source tokens; 0 is padding.
          targets: (B, T) target tokens, not shifted; 0 is padding.
          inputs_position, targets_position: index of each token in its sentence; by default its column.
          inputs_segmentation, targets_segmentation: number of the sentence pair in its row, for each token.
          train: whether dropout applies; it needs the rng 'dropout'.
          dropout_rate: in [0, 1]; may be traced.
        """
        x_BSD, x_BTD = self.embed(inputs, targets, inputs_position, targets_position)
        encoded_BSD = self.encode(x_BSD, inputs, inputs_segmentation, train, dropout_rate)
        segments = (inputs_segmentation, targets_segmentation)
        return self.decode(x_BTD, encoded_BSD, inputs, targets, *segments, train, dropout_rate)

    def embed(
        self,
        inputs_BS: jax.Array,
        targets_BT: jax.Array,
        position_BS: jax.Array | None = None,
        position_BT: jax.Array | None = None,
    ) -> tuple[jax.Array, jax.Array]:
        """Inputs of encoder and decoder: embedded source tokens, and for each target token its predecessor."""
        previous_BT = jnp.pad(targets_BT, ((0, 0), (1, 0)))[:, :-1]
        # One look-up for both: its gradient is as large as the table and is then computed once instead of twice.
        x = self.shared_embedding(jnp.concatenate([inputs_BS, previous_BT], axis=1))
        x_BSD, x_BTD = jnp.split(x, [inputs_BS.shape[1]], axis=1)
        return x_BSD + self._encoding(x_BSD, position_BS), x_BTD + self._encoding(x_BTD, position_BT)

    def _encoding(self, x_BLD: jax.Array, position_BL: jax.Array | None) -> jax.Array:
        table_PD = self._position_table()
        return table_PD[: x_BLD.shape[1]] if position_BL is None else table_PD[position_BL]

    def encode(
        self,
        x_BSD: jax.Array,
        inputs_BS: jax.Array,
        segment_BS: jax.Array | None = None,
        train: bool = False,
        dropout_rate: Any = 0.0,
    ) -> jax.Array:
        x_BSD = self.inputs_dropout(x_BSD, dropout_rate, train=train)
        real_BS = inputs_BS > 0
        # Token 0 is `<unk>` and padding alike, as in AlgoPerf, so unknown words are masked, too.
        mask_B1SS = _both(real_BS, real_BS) & _same_segment(segment_BS, segment_BS)
        return self.encoder(x_BSD, mask_B1SS, train, dropout_rate)

    def decode(
        self,
        x_BTD: jax.Array,
        encoded_BSD: jax.Array,
        inputs_BS: jax.Array,
        targets_BT: jax.Array,
        segment_BS: jax.Array | None = None,
        segment_BT: jax.Array | None = None,
        train: bool = False,
        dropout_rate: Any = 0.0,
    ) -> jax.Array:
        x_BTD = self.targets_dropout(x_BTD, dropout_rate, train=train)
        real_BS, real_BT = inputs_BS > 0, targets_BT > 0
        # NumPy, not jnp: a constant of the compiled program.
        causal_TT = np.tri(targets_BT.shape[1], dtype=bool)
        self_mask_B1TT = _both(real_BT, real_BT) & causal_TT & _same_segment(segment_BT, segment_BT)
        cross_mask_B1TS = _both(real_BT, real_BS) & _same_segment(segment_BT, segment_BS)
        return self._logits(
            self.decoder(x_BTD, encoded_BSD, self_mask_B1TT, cross_mask_B1TS, train, dropout_rate)
        )

    def cross_keys_values(self, encoded_BSD: jax.Array) -> list[KeysValues]:
        return self.decoder.cross_keys_values(encoded_BSD)

    def decode_step(
        self,
        tokens_BG: jax.Array,
        position: jax.Array,
        visible_BGPG: jax.Array,
        cache: list[KeysValues],
        cross: list[KeysValues],
        inputs_BS: jax.Array,
    ) -> tuple[jax.Array, list[KeysValues]]:
        """Logits (B, G, V) of the token after `tokens_BG`, and the cache with this position written."""
        x_BGD = self.shared_embedding(tokens_BG) + self._position_table()[position]
        cross_mask_B11S = (inputs_BS > 0)[:, None, None, :]
        x_BGD, cache = self.decoder.step(x_BGD, position, cross, cross_mask_B11S, visible_BGPG, cache)
        return self._logits(x_BGD), cache

    def _position_table(self) -> jax.Array:
        return jnp.asarray(position_table(self.config.max_len, self.config.emb_dim))

    def _logits(self, x_BLD: jax.Array) -> jax.Array:
        # Logits are divided by sqrt(D), as in AlgoPerf. Scaling x is the same and cheaper, because D is smaller
        # than V.
        return self.shared_embedding.attend(x_BLD * x_BLD.shape[-1] ** -0.5)


def make_model(spec: WorkloadSpec) -> Transformer:
    return Transformer(spec.model)


def example_batch(spec: WorkloadSpec) -> dict[str, np.ndarray]:
    # Ones, because 0 is padding.
    tokens = np.ones((1, spec.model.max_len), np.int32)
    return {"inputs": tokens, "targets": tokens}


def eval_outputs(
    model: Transformer, variables: dict[str, Any], batch: dict[str, jax.Array], spec: WorkloadSpec
) -> dict[str, jax.Array]:
    """Per row: summed token cross entropy `loss`, number of `correct` tokens, and the translation `hypotheses`.

    Args:
      batch: `inputs` and `targets`, not packed, and optionally `weights`, all (B, max_len).

    Returns:
      `loss` (B,) in nats, without label smoothing; `correct` (B,); `hypotheses` (B, max_len) int32.
    """
    inputs_BS, targets_BT = batch["inputs"], batch["targets"]
    x_BSD, x_BTD = model.apply(variables, inputs_BS, targets_BT, method="embed")
    encoded_BSD = cast(jax.Array, model.apply(variables, x_BSD, inputs_BS, method="encode"))
    logits = model.apply(variables, x_BTD, encoded_BSD, inputs_BS, targets_BT, method="decode")
    logits_BTV = cast(jax.Array, logits)
    # `weights` are 1 where a target is above 0, so targets themselves can stand in for them.
    is_counted_BT = batch.get("weights", targets_BT) > 0
    log_probs_BTV = jax.nn.log_softmax(logits_BTV)
    loss_BT = -jnp.take_along_axis(log_probs_BTV, targets_BT[..., None], axis=-1)[..., 0]
    is_correct_BT = jnp.argmax(logits_BTV, axis=-1) == targets_BT
    return {
        "loss": jnp.where(is_counted_BT, loss_BT, 0).sum(axis=1),
        "correct": (is_correct_BT & is_counted_BT).sum(axis=1),
        "hypotheses": translate(model, variables, inputs_BS, encoded_BSD, spec),
    }


def translate(
    model: Transformer,
    variables: dict[str, Any],
    inputs_BS: jax.Array,
    encoded_BSD: jax.Array,
    spec: WorkloadSpec,
) -> jax.Array:
    """(B, max_len) int32: the best translation that beam search finds, without start token, padded with 0."""
    config = spec.model
    cross = model.apply(variables, encoded_BSD, method="cross_keys_values")

    def decode_step(
        tokens_BG: jax.Array, position: jax.Array, visible_BGPG: jax.Array, cache: list[KeysValues]
    ) -> Decoded:
        args = (tokens_BG, position, visible_BGPG, cache, cross, inputs_BS)
        return cast(Decoded, model.apply(variables, *args, method="decode_step"))

    batch_size, num_heads = inputs_BS.shape[0], config.num_heads
    shape = (batch_size, num_heads, config.max_len * config.beam_size, config.emb_dim // num_heads)
    # Zeros, because masked slots take part in the product: probability 0 times an uninitialised NaN would be
    # NaN.
    empty_BHMK = jnp.zeros(shape, encoded_BSD.dtype)
    return beam_search(
        decode_step,
        cache=[(empty_BHMK, empty_BHMK)] * config.num_layers,
        batch_size=batch_size,
        beam_size=config.beam_size,
        max_len=config.max_len,
        alpha=config.beam_alpha,
    )
