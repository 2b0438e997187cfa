"""The Transformer of the WMT workload in PyTorch.

Shapes: B batch, S source position, T target position, L either, Q query, M key ("memory"),
D width, H heads, K width of one head, V vocabulary, G beams, P decoding position
"""

from collections.abc import Callable
from typing import Any

import ml_collections
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algoperf.layers.torch_dropout import dropout
from algoperf.workload import WorkloadSpec
from workloads.wmt.beam_search_torch import beam_search
from workloads.wmt.interface import call_args as call_args
from workloads.wmt.position_encoding import position_table

KeysValues = tuple[Tensor, Tensor]
"""Keys and values of one attention, each (B, H, M, K)."""

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {"relu": torch.relu, "tanh": torch.tanh}


class Linear(nn.Linear):
    """`nn.Linear` with this workload's initialisation."""

    def reset_parameters(self) -> None:
        nn.init.xavier_uniform_(self.weight)
        if self.bias is not None:
            nn.init.normal_(self.bias, std=1e-6)


# eps: Flax's default, which AlgoPerf's JAX model uses; PyTorch's default is 1e-5.
def layer_norm(width: int) -> nn.LayerNorm:
    return nn.LayerNorm(width, eps=1e-6)


class Attention(nn.Module):
    """Multi-head attention without biases.

    An `aux_dropout_rate` in its settings is that of the attention weights, whatever the rate of the call is; older
    submissions are given it (`algoperf.run.session`).
    """

    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        width = config.emb_dim
        self.num_heads = config.num_heads
        self.aux_dropout_rate: float | None = config.get("aux_dropout_rate")
        self.scale = config.attention_temp * (width // config.num_heads) ** -0.5
        # Three separate matrices: a fused one would get another initial range from Xavier, and rules that
        # treat a matrix as a whole (Muon, Shampoo) would make another update than in JAX.
        self.q_proj = Linear(width, width, bias=False)
        self.k_proj = Linear(width, width, bias=False)
        self.v_proj = Linear(width, width, bias=False)
        self.out_proj = Linear(width, width, bias=False)

    def _split_heads(self, x_BLD: Tensor) -> Tensor:
        return x_BLD.unflatten(2, (self.num_heads, -1)).transpose(1, 2)

    def keys_values(self, x_BMD: Tensor) -> KeysValues:
        return self._split_heads(self.k_proj(x_BMD)), self._split_heads(self.v_proj(x_BMD))

    def forward(
        self, x_BQD: Tensor, keys_values: KeysValues, mask_B1QM: Tensor, dropout_rate: float
    ) -> Tensor:
        """Attention with `mask_B1QM` added to the logits; see `additive_mask`."""
        if self.aux_dropout_rate is not None:
            dropout_rate = self.aux_dropout_rate
        k_BHMK, v_BHMK = keys_values
        q_BHQK = self._split_heads(self.q_proj(x_BQD))
        if self.training and x_BQD.device.type == "cpu":
            # PyTorch's fused attention for CPUs does not support dropout, and its fallback is slower than this.
            logits_BHQM = (q_BHQK * self.scale) @ k_BHMK.transpose(2, 3) + mask_B1QM
            y_BHQK = dropout(logits_BHQM.softmax(dim=-1), dropout_rate, self.training) @ v_BHMK
        else:
            rate = dropout_rate if self.training else 0.0
            y_BHQK = F.scaled_dot_product_attention(
                q_BHQK, k_BHMK, v_BHMK, attn_mask=mask_B1QM, dropout_p=rate, scale=self.scale
            )
        return self.out_proj(y_BHQK.transpose(1, 2).flatten(2))


def additive_mask(is_visible_B1QM: Tensor) -> Tensor:
    """0 where a query may see a key, else the lowest float.

    A finite number instead of minus infinity: a query that may see no key then attends to all keys equally instead of
    giving NaN; such queries are padding.
    """
    hidden = torch.finfo(torch.float32).min
    return torch.zeros(is_visible_B1QM.shape, device=is_visible_B1QM.device).masked_fill(
        ~is_visible_B1QM, hidden
    )


class Mlp(nn.Module):
    """Two dense layers; with `glu` the hidden layer is multiplied by a third (https://arxiv.org/abs/2002.05202)."""

    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        self.activation = ACTIVATIONS[config.activation]
        self.hidden = Linear(config.emb_dim, config.mlp_dim)
        self.gate = Linear(config.emb_dim, config.mlp_dim) if config.glu else None
        self.output = Linear(config.mlp_dim, config.emb_dim)

    def forward(self, x_BLD: Tensor, dropout_rate: float) -> Tensor:
        y = self.activation(self.hidden(x_BLD))
        if self.gate is not None:
            y = y * self.gate(x_BLD)
        y_BLD = self.output(dropout(y, dropout_rate, self.training))
        return dropout(y_BLD, dropout_rate, self.training)


def add_sublayer(x: Tensor, sublayer: Callable[[Tensor], Tensor], norm: nn.Module, pre_ln: bool) -> Tensor:
    """A residual connection, normalised before the sublayer (pre-LN) or after the sum (post-LN)."""
    return x + sublayer(norm(x)) if pre_ln else norm(x + sublayer(x))


class EncoderLayer(nn.Module):
    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        self.pre_ln = config.pre_ln
        self.self_attn = Attention(config)
        self.mlp = Mlp(config)
        self.norm_self_attn = layer_norm(config.emb_dim)
        self.norm_mlp = layer_norm(config.emb_dim)

    def forward(self, x_BSD: Tensor, mask_B1SS: Tensor, dropout_rate: float) -> Tensor:
        def self_attention(y: Tensor) -> Tensor:
            y = self.self_attn(y, self.self_attn.keys_values(y), mask_B1SS, dropout_rate)
            return dropout(y, dropout_rate, self.training)

        def mlp(y: Tensor) -> Tensor:
            return self.mlp(y, dropout_rate)

        x_BSD = add_sublayer(x_BSD, self_attention, self.norm_self_attn, self.pre_ln)
        return add_sublayer(x_BSD, mlp, self.norm_mlp, self.pre_ln)


class DecoderLayer(nn.Module):
    """Used for teacher forcing (queries are target positions) and for decoding (queries are beams)."""

    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        self.pre_ln = config.pre_ln
        self.self_attn = Attention(config)
        self.cross_attn = Attention(config)
        self.mlp = Mlp(config)
        self.norm_self_attn = layer_norm(config.emb_dim)
        self.norm_cross_attn = layer_norm(config.emb_dim)
        self.norm_mlp = layer_norm(config.emb_dim)

    def forward(
        self,
        x_BQD: Tensor,
        cross_keys_values: KeysValues,
        self_mask_B1QM: Tensor,
        cross_mask_B1QS: Tensor,
        dropout_rate: float,
        remember: Callable[[KeysValues], KeysValues] | None = None,
    ) -> Tensor:
        """`remember` maps this call's keys and values to those that its queries attend to, for a cache."""

        def self_attention(y: Tensor) -> Tensor:
            keys_values = self.self_attn.keys_values(y)
            if remember is not None:
                keys_values = remember(keys_values)
            y = self.self_attn(y, keys_values, self_mask_B1QM, dropout_rate)
            return dropout(y, dropout_rate, self.training)

        def cross_attention(y: Tensor) -> Tensor:
            y = self.cross_attn(y, cross_keys_values, cross_mask_B1QS, dropout_rate)
            return dropout(y, dropout_rate, self.training)

        def mlp(y: Tensor) -> Tensor:
            return self.mlp(y, dropout_rate)

        x_BQD = add_sublayer(x_BQD, self_attention, self.norm_self_attn, self.pre_ln)
        x_BQD = add_sublayer(x_BQD, cross_attention, self.norm_cross_attn, self.pre_ln)
        return add_sublayer(x_BQD, mlp, self.norm_mlp, self.pre_ln)


class Stack(nn.Module):
    """The layers and, with pre-LN, a normalisation after the last one; gives parameters AlgoPerf's names."""

    def __init__(self, config: ml_collections.FrozenConfigDict, layer: type[nn.Module]):
        super().__init__()
        # Any, as `nn.ModuleList` does not say of which class its modules are.
        self.layers: Any = nn.ModuleList(layer(config) for _ in range(config.num_layers))
        self.norm = layer_norm(config.emb_dim) if config.pre_ln else nn.Identity()


class Encoder(nn.Module):
    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        self.encoder = Stack(config, EncoderLayer)

    def forward(self, x_BSD: Tensor, mask_B1SS: Tensor, dropout_rate: float) -> Tensor:
        for layer in self.encoder.layers:
            x_BSD = layer(x_BSD, mask_B1SS, dropout_rate)
        return self.encoder.norm(x_BSD)


class Decoder(nn.Module):
    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        self.decoder = Stack(config, DecoderLayer)

    def cross_keys_values(self, encoded_BSD: Tensor) -> list[KeysValues]:
        return [layer.cross_attn.keys_values(encoded_BSD) for layer in self.decoder.layers]

    def forward(
        self,
        x_BTD: Tensor,
        encoded_BSD: Tensor,
        self_mask_B1TT: Tensor,
        cross_mask_B1TS: Tensor,
        dropout_rate: float,
    ) -> Tensor:
        for layer in self.decoder.layers:
            cross = layer.cross_attn.keys_values(encoded_BSD)
            x_BTD = layer(x_BTD, cross, self_mask_B1TT, cross_mask_B1TS, dropout_rate)
        return self.decoder.norm(x_BTD)

    def step(
        self,
        x_BGD: Tensor,
        position: int,
        cross: list[KeysValues],
        cross_mask_B11S: Tensor,
        visible_BGPG: Tensor,
        cache: list[KeysValues],
    ) -> Tensor:
        """One token for each beam; see `beam_search_torch` for `visible_BGPG`.

        A cache entry is (B, H, P, G, K); its row `position` is written in place.
        """
        # Unlike in JAX, shapes may change from step to step, so only the positions written so far are
        # attended to.
        num_positions = position + 1
        self_mask_B1GM = additive_mask(visible_BGPG[:, :, :num_positions].flatten(2)[:, None])

        def remember(layer_cache: KeysValues) -> Callable[[KeysValues], KeysValues]:
            def write_and_flatten(new: KeysValues) -> KeysValues:
                for old_BHPGK, new_BHGK in zip(layer_cache, new):
                    old_BHPGK[:, :, position] = new_BHGK
                keys, values = (x_BHPGK[:, :, :num_positions].flatten(2, 3) for x_BHPGK in layer_cache)
                return keys, values

            return write_and_flatten

        for layer, layer_cross, layer_cache in zip(self.decoder.layers, cross, cache):
            x_BGD = layer(x_BGD, layer_cross, self_mask_B1GM, cross_mask_B11S, 0.0, remember(layer_cache))
        return self.decoder.norm(x_BGD)


def _both(queries_BQ: Tensor, keys_BM: Tensor) -> Tensor:
    return queries_BQ[:, None, :, None] & keys_BM[:, None, None, :]


def _same_segment(queries_BQ: Tensor | None, keys_BM: Tensor | None) -> Tensor | bool:
    if queries_BQ is None or keys_BM is None:
        return True
    return queries_BQ[:, None, :, None] == keys_BM[:, None, None, :]


class Transformer(nn.Module):
    """Transformer (Vaswani et al. 2017, https://arxiv.org/abs/1706.03762) with one matrix for embeddings and output.

    Token 0 is padding. Packed rows hold several sentence pairs: positions restart with each, and segment ids
    keep attention within a pair. As in AlgoPerf, the shift to the right ignores segments: a pair's first decoder
    input is the last target token of the pair before it.
    """

    def __init__(self, config: ml_collections.FrozenConfigDict):
        super().__init__()
        self.shared_embedding = nn.Embedding(config.vocab_size, config.emb_dim)  # PyTorch's default: N(0, 1).
        self.encoder = Encoder(config)
        self.decoder = Decoder(config)
        table_PD = torch.from_numpy(position_table(config.max_len, config.emb_dim))
        # Not persistent: a constant, so state dicts and weights converted from JAX do not hold it.
        self.position_table_PD: Tensor
        self.register_buffer("position_table_PD", table_PD, persistent=False)

    def forward(
        self,
        inputs: Tensor,
        targets: Tensor,
        inputs_position: Tensor | None = None,
        targets_position: Tensor | None = None,
        inputs_segmentation: Tensor | None = None,
        targets_segmentation: Tensor | None = None,
        *,
        dropout_rate: float,
    ) -> Tensor:
        """Logits (B, T, V) of each target token given the tokens before it.

        Args:
          inputs: (B, S) source tokens; 0 is padding.
          targets: (B, T) target tokens, not shifted; 0 is padding.
          inputs_position, targets_position: index of each token in its sentence; by default its column.
          inputs_segmentation, targets_segmentation: number of the sentence pair in its row, for each token.
          dropout_rate: in [0, 1]; used in training mode.
        """
        x_BSD, x_BTD = self.embed(inputs, targets, inputs_position, targets_position)
        encoded_BSD = self.encode(x_BSD, inputs, inputs_segmentation, dropout_rate)
        segments = (inputs_segmentation, targets_segmentation)
        return self.decode(x_BTD, encoded_BSD, inputs, targets, *segments, dropout_rate)

    def embed(
        self,
        inputs_BS: Tensor,
        targets_BT: Tensor,
        position_BS: Tensor | None = None,
        position_BT: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Inputs of encoder and decoder: embedded source tokens, and for each target token its predecessor."""
        previous_BT = F.pad(targets_BT, (1, 0))[:, :-1]
        # One look-up for both: its gradient is as large as the table and is then computed once instead of twice.
        x = self.shared_embedding(torch.cat([inputs_BS, previous_BT], dim=1))
        x_BSD, x_BTD = x.split([inputs_BS.shape[1], targets_BT.shape[1]], dim=1)
        return x_BSD + self._encoding(x_BSD, position_BS), x_BTD + self._encoding(x_BTD, position_BT)

    def _encoding(self, x_BLD: Tensor, position_BL: Tensor | None) -> Tensor:
        table_PD = self.position_table_PD
        return table_PD[: x_BLD.shape[1]] if position_BL is None else table_PD[position_BL]

    def encode(
        self, x_BSD: Tensor, inputs_BS: Tensor, segment_BS: Tensor | None = None, dropout_rate: float = 0.0
    ) -> Tensor:
        x_BSD = dropout(x_BSD, dropout_rate, self.training)
        real_BS = inputs_BS > 0
        # Token 0 is `<unk>` and padding alike, as in AlgoPerf, so unknown words are masked, too.
        mask_B1SS = additive_mask(_both(real_BS, real_BS) & _same_segment(segment_BS, segment_BS))
        return self.encoder(x_BSD, mask_B1SS, dropout_rate)

    def decode(
        self,
        x_BTD: Tensor,
        encoded_BSD: Tensor,
        inputs_BS: Tensor,
        targets_BT: Tensor,
        segment_BS: Tensor | None = None,
        segment_BT: Tensor | None = None,
        dropout_rate: float = 0.0,
    ) -> Tensor:
        x_BTD = dropout(x_BTD, dropout_rate, self.training)
        real_BS, real_BT = inputs_BS > 0, targets_BT > 0
        length = targets_BT.shape[1]
        causal_TT = torch.ones(length, length, dtype=torch.bool, device=targets_BT.device).tril()
        self_mask_B1TT = additive_mask(
            _both(real_BT, real_BT) & causal_TT & _same_segment(segment_BT, segment_BT)
        )
        cross_mask_B1TS = additive_mask(_both(real_BT, real_BS) & _same_segment(segment_BT, segment_BS))
        return self._logits(self.decoder(x_BTD, encoded_BSD, self_mask_B1TT, cross_mask_B1TS, dropout_rate))

    def decode_step(
        self,
        tokens_BG: Tensor,
        position: int,
        visible_BGPG: Tensor,
        cache: list[KeysValues],
        cross: list[KeysValues],
        inputs_BS: Tensor,
    ) -> Tensor:
        """Logits (B, G, V) of the token after `tokens_BG`; writes this position of the cache."""
        x_BGD = self.shared_embedding(tokens_BG) + self.position_table_PD[position]
        cross_mask_B11S = additive_mask((inputs_BS > 0)[:, None, None, :])
        return self._logits(self.decoder.step(x_BGD, position, cross, cross_mask_B11S, visible_BGPG, cache))

    def _logits(self, x_BLD: Tensor) -> Tensor:
        # Logits are divided by sqrt(D), as in AlgoPerf. Scaling x is the same and cheaper, because D is smaller
        # than V.
        return F.linear(x_BLD * x_BLD.shape[-1] ** -0.5, self.shared_embedding.weight)


def make_model(spec: WorkloadSpec) -> Transformer:
    return Transformer(spec.model)


def eval_outputs(model: Transformer, batch: dict[str, Tensor], spec: WorkloadSpec) -> dict[str, Tensor]:
    """Per row: summed token cross entropy `loss`, number of `correct` tokens, and the translation `hypotheses`.

    Args:
      model: in evaluation mode.
      batch: `inputs` and `targets`, not packed, and optionally `weights`, all (B, max_len).

    Returns:
      `loss` (B,) in nats, without label smoothing; `correct` (B,); `hypotheses` (B, max_len) int32.
    """
    inputs_BS, targets_BT = batch["inputs"], batch["targets"]
    x_BSD, x_BTD = model.embed(inputs_BS, targets_BT)
    encoded_BSD = model.encode(x_BSD, inputs_BS)
    logits_BTV = model.decode(x_BTD, encoded_BSD, inputs_BS, targets_BT)
    is_counted_BT = batch.get("weights", targets_BT) > 0
    loss_BT = F.cross_entropy(logits_BTV.flatten(0, 1), targets_BT.flatten().long(), reduction="none")
    is_correct_BT = logits_BTV.argmax(dim=-1) == targets_BT
    return {
        "loss": loss_BT.view_as(targets_BT).where(is_counted_BT, 0).sum(dim=1),
        "correct": (is_correct_BT & is_counted_BT).sum(dim=1),
        "hypotheses": translate(model, inputs_BS, encoded_BSD, spec),
    }


def translate(model: Transformer, inputs_BS: Tensor, encoded_BSD: Tensor, spec: WorkloadSpec) -> Tensor:
    """(B, max_len) int32: the best translation that beam search finds, without start token, padded with 0."""
    config = spec.model
    cross = model.decoder.cross_keys_values(encoded_BSD)
    batch_size, num_heads = inputs_BS.shape[0], config.num_heads
    shape = (batch_size, num_heads, config.max_len, config.beam_size, config.emb_dim // num_heads)
    # Uninitialised memory is fine: `Decoder.step` only reads positions that were written.
    cache = [(encoded_BSD.new_empty(shape), encoded_BSD.new_empty(shape)) for _ in range(config.num_layers)]

    def decode_step(tokens_BG: Tensor, position: int, visible_BGPG: Tensor) -> Tensor:
        return model.decode_step(tokens_BG, position, visible_BGPG, cache, cross, inputs_BS)

    return beam_search(
        decode_step,
        batch_size=batch_size,
        beam_size=config.beam_size,
        max_len=config.max_len,
        alpha=config.beam_alpha,
        device=inputs_BS.device,
    )
