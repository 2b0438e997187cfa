"""The decoder-only Transformer of the FineWeb-Edu workload in PyTorch.

Shapes: B batch, T position, D width, H heads, K width of one head, F half of it, M width of the MLP, V vocabulary
"""

from typing import Any, TypeAlias

import ml_collections
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from algoperf.workload import WorkloadSpec
from workloads.finewebedu_lm import positions
from workloads.finewebedu_lm.cross_entropy_torch import loss as loss
from workloads.finewebedu_lm.cross_entropy_torch import token_losses
from workloads.finewebedu_lm.settings import (
    EPSILON,
    EVAL_CHUNK,
    INITIAL_STD,
    initial_query_scale,
    residual_std,
)

Config: TypeAlias = ml_collections.FrozenConfigDict


def compute_dtype(name: str, device: torch.device) -> torch.dtype:
    """The type of activations; 'auto' is bfloat16 on accelerators and float32 on CPUs."""
    if name == "auto":
        name = "float32" if device.type == "cpu" else "bfloat16"
    return torch.bfloat16 if name == "bfloat16" else torch.float32


class Dense(nn.Module):
    """A matrix without bias, (features, inputs), that computes in the type of its input."""

    def __init__(self, num_inputs: int, num_features: int, std: float):
        super().__init__()
        self.weight = nn.Parameter(torch.empty(num_features, num_inputs))
        nn.init.normal_(self.weight, std=std)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.to(x.dtype))


class Norm(nn.Module):
    """Root mean square normalisation, computed in float32 (https://arxiv.org/abs/1910.07467)."""

    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))

    def forward(self, x_BTD: Tensor) -> Tensor:
        return F.rms_norm(x_BTD.float(), self.weight.shape, self.weight, EPSILON).to(x_BTD.dtype)


def rotated(x_BTHK: Tensor, cos_T1F: Tensor, sin_T1F: Tensor) -> Tensor:
    """Pairs (2i, 2i + 1) of a head turned by their angles, float32; first all first halves of pairs, then all second.

    Queries and keys are both put into that order, which changes neither their products nor their lengths.
    """
    first, second = x_BTHK[..., 0::2].float(), x_BTHK[..., 1::2].float()
    return torch.cat(
        [first * cos_T1F - second * sin_T1F, first * sin_T1F + second * cos_T1F],
        dim=-1,
    )


def of_length_1(x_BTHK: Tensor) -> Tensor:
    """Divided by the Euclidean norm over the head's width."""
    return x_BTHK / (torch.linalg.vector_norm(x_BTHK, dim=-1, keepdim=True) + EPSILON)


class Attention(nn.Module):
    """Causal attention with rotary positions (https://arxiv.org/abs/2104.09864) and normalised queries and keys."""

    def __init__(self, config: Config):
        super().__init__()
        width = config.emb_dim
        self.num_heads = config.num_heads
        # Three matrices: rules that treat a matrix as a whole (Muon, Shampoo) then make the same update as in JAX.
        self.q_proj = Dense(width, width, INITIAL_STD)
        self.k_proj = Dense(width, width, INITIAL_STD)
        self.v_proj = Dense(width, width, INITIAL_STD)
        self.out_proj = Dense(width, width, residual_std(config.num_layers))
        self.scale = None
        if config.qk_norm:
            self.scale = nn.Parameter(torch.full((1,), initial_query_scale(config.seq_len)))

    def forward(self, x_BTD: Tensor, cos_T1F: Tensor, sin_T1F: Tensor) -> Tensor:
        q_BTHK, k_BTHK, v_BTHK = (
            project(x_BTD).unflatten(2, (self.num_heads, -1))
            for project in (self.q_proj, self.k_proj, self.v_proj)
        )
        q_BTHK, k_BTHK = (rotated(x, cos_T1F, sin_T1F) for x in (q_BTHK, k_BTHK))
        scale = q_BTHK.shape[-1] ** -0.5
        if self.scale is not None:
            q_BTHK, k_BTHK, scale = of_length_1(q_BTHK) * self.scale, of_length_1(k_BTHK), 1.0
        q_BHTK, k_BHTK, v_BHTK = (x.to(x_BTD.dtype).transpose(1, 2) for x in (q_BTHK, k_BTHK, v_BTHK))
        y_BHTK = F.scaled_dot_product_attention(q_BHTK, k_BHTK, v_BHTK, is_causal=True, scale=scale)
        return self.out_proj(y_BHTK.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """A gated linear unit (https://arxiv.org/abs/2002.05202), or squared ReLU (https://arxiv.org/abs/2109.08668)."""

    def __init__(self, config: Config):
        super().__init__()
        self.is_gated = config.mlp == "glu"
        num_hidden = 2 * config.mlp_dim if self.is_gated else config.mlp_dim
        self.hidden = Dense(config.emb_dim, num_hidden, INITIAL_STD)
        self.out = Dense(config.mlp_dim, config.emb_dim, residual_std(config.num_layers))

    def forward(self, x_BTD: Tensor) -> Tensor:
        y = self.hidden(x_BTD)
        return self.out(F.glu(y) if self.is_gated else F.relu(y).square())


class Layer(nn.Module):
    def __init__(self, config: Config):
        super().__init__()
        self.is_pre_norm = config.norm == "pre"
        self.attn = Attention(config)
        self.mlp = Mlp(config)
        self.norm_attn = Norm(config.emb_dim)
        self.norm_mlp = Norm(config.emb_dim)

    def forward(self, x_BTD: Tensor, cos_T1F: Tensor, sin_T1F: Tensor) -> Tensor:
        if self.is_pre_norm:
            x_BTD = x_BTD + self.attn(self.norm_attn(x_BTD), cos_T1F, sin_T1F)
            return x_BTD + self.mlp(self.norm_mlp(x_BTD))
        x_BTD = self.norm_attn(x_BTD + self.attn(x_BTD, cos_T1F, sin_T1F))
        return self.norm_mlp(x_BTD + self.mlp(x_BTD))


class LanguageModel(nn.Module):
    """Token numbers (B, T) -> logits of the next token (B, T, V)."""

    def __init__(self, config: Config):
        super().__init__()
        self.compute_dtype: str = config.compute_dtype
        self.shared_embedding = nn.Embedding(config.vocab_size, config.emb_dim)
        nn.init.normal_(self.shared_embedding.weight, std=INITIAL_STD)
        # Any, as `nn.ModuleList` does not say of which class its modules are.
        self.layers: Any = nn.ModuleList(Layer(config) for _ in range(config.num_layers))
        self.norm = Norm(config.emb_dim) if config.norm == "pre" else nn.Identity()
        self.output = None
        if not config.tied_embeddings:
            self.output = Dense(config.emb_dim, config.vocab_size, INITIAL_STD)
        cos_TF, sin_TF = positions.table(
            config.seq_len, config.emb_dim // config.num_heads, config.rope_theta
        )
        self.cos_T1F: Tensor
        self.sin_T1F: Tensor
        # Not in the state: they are no parameters, and follow from the settings.
        self.register_buffer("cos_T1F", torch.from_numpy(cos_TF)[:, None], persistent=False)
        self.register_buffer("sin_T1F", torch.from_numpy(sin_TF)[:, None], persistent=False)

    def hidden(self, inputs_BT: Tensor) -> Tensor:
        """What the logits are made of, (B, T, D)."""
        dtype = compute_dtype(self.compute_dtype, inputs_BT.device)
        x_BTD = self.shared_embedding(inputs_BT).to(dtype)
        cos_T1F, sin_T1F = self.cos_T1F[: inputs_BT.shape[1]], self.sin_T1F[: inputs_BT.shape[1]]
        for layer in self.layers:
            x_BTD = layer(x_BTD, cos_T1F, sin_T1F)
        return self.norm(x_BTD)

    def logits(self, x_BTD: Tensor) -> Tensor:
        if self.output is not None:
            return self.output(x_BTD)
        return F.linear(x_BTD, self.shared_embedding.weight.to(x_BTD.dtype))

    def forward(self, inputs: Tensor, *, dropout_rate: float) -> Tensor:
        del dropout_rate  # There is no dropout.
        return self.logits(self.hidden(inputs))


def make_model(spec: WorkloadSpec) -> LanguageModel:
    return LanguageModel(spec.model)


def eval_outputs(model: LanguageModel, batch: dict[str, Tensor], spec: WorkloadSpec) -> dict[str, Tensor]:
    """`loss` (B,): cross entropy in nats, summed over the tokens of a row."""
    del spec
    x_BTD = model.hidden(batch["inputs"])
    total_B = x_BTD.new_zeros(len(x_BTD), dtype=torch.float32)
    # Logits are made for a part of the positions at a time, because those of all may not fit.
    for start in range(0, x_BTD.shape[1], EVAL_CHUNK):
        part = slice(start, start + EVAL_CHUNK)
        losses_BT = token_losses(model.logits(x_BTD[:, part]), batch["targets"][:, part])
        total_B += losses_BT.where(batch["weights"][:, part] > 0, 0.0).sum(dim=1)
    return {"loss": total_B}
