"""DLRM-small in PyTorch: the function, initialisers and order of layers of the Flax model.

Linear layers have AlgoPerf's names, `bot_mlp.{0,2,4}` and `top_mlp.{0,2,4,6,9}`, in all variants; layer norms
are called `norm_0`, `norm_1`, ...
"""

# Shapes: B batch, C dense features, F feature vectors (27), G categorical features (26), D embedding width,
#   H hidden width, P pairs of feature vectors (378)

import torch
from torch import Tensor, nn

from algoperf.layers.torch_dropout import dropout
from algoperf.workload import WorkloadSpec
from workloads.criteo1tb.interaction import NUM_CATEGORICAL, check_model, upper_triangle

LAYER_NORM_EPSILON = 1e-6


class Mlp(nn.Module):
    """Linear layers with ReLU and optional LayerNorm, and optionally a last linear layer without them.

    Args:
      fan_in: width of the input.
      hidden_dims: widths of the layers with ReLU.
      num_logits: width of a last linear layer without ReLU; None for no such layer.
      use_layer_norm: whether a LayerNorm follows each ReLU.
      is_residual: whether all hidden layers except the first add their input.
    """

    def __init__(
        self,
        fan_in: int,
        hidden_dims: tuple[int, ...],
        num_logits: int | None,
        use_layer_norm: bool,
        is_residual: bool,
    ):
        super().__init__()
        self._is_residual, self._use_layer_norm = is_residual, use_layer_norm
        self._hidden = [str(2 * index) for index in range(len(hidden_dims))]
        for index, features in enumerate(hidden_dims):
            self.add_module(self._hidden[index], nn.Linear(fan_in, features))
            if use_layer_norm:
                self.add_module(f"norm_{index}", nn.LayerNorm(features, LAYER_NORM_EPSILON))
            fan_in = features
        self._output = None
        if num_logits is not None:
            # One number is skipped: in AlgoPerf's nn.Sequential that is the dropout.
            self._output = str(2 * len(hidden_dims) + 1)
            self.add_module(self._output, nn.Linear(fan_in, num_logits))

    def linears(self) -> list[nn.Linear]:
        """The linear layers, in the order of the computation."""
        return [module for module in self.children() if isinstance(module, nn.Linear)]

    def forward(self, x: Tensor, dropout_rate: float = 0.0) -> Tensor:
        """(B, fan_in) -> (B, last width). Dropout acts on the last hidden layer, before a residual sum."""
        for index, name in enumerate(self._hidden):
            hidden_BH = torch.relu(self.get_submodule(name)(x))
            if self._use_layer_norm:
                hidden_BH = self.get_submodule(f"norm_{index}")(hidden_BH)
            if self._output is not None and index == len(self._hidden) - 1:
                hidden_BH = dropout(hidden_BH, dropout_rate, self.training)
            x = x + hidden_BH if self._is_residual and index else hidden_BH
        return x if self._output is None else self.get_submodule(self._output)(x)


def dot_interaction(vectors_BFD: Tensor, columns_P: Tensor) -> Tensor:
    """(B, P) dot products of each vector with itself and those behind it, row by row."""
    products_BFF = torch.bmm(vectors_BFD, vectors_BFD.transpose(1, 2))
    return products_BFF.flatten(1).index_select(1, columns_P)


class Dlrm(nn.Module):
    """See README.md; `use_resnet` gives the variant without dot products."""

    def __init__(self, spec: WorkloadSpec):
        super().__init__()
        model = spec.model
        self._num_dense, self._vocab_size = model.num_dense_features, model.vocab_size
        self._use_resnet, self._use_layer_norm = model.use_resnet, model.use_layer_norm
        dims, embed_dim = model.mlp_bottom_dims, model.embed_dim
        self.bot_mlp = Mlp(self._num_dense, dims, None, model.use_layer_norm, model.use_resnet)
        # An empty table, because the constructor would first draw 4 million rows from a normal distribution.
        table = torch.empty(model.vocab_size, embed_dim)
        self.embedding_table = nn.Embedding(model.vocab_size, embed_dim, _weight=table)
        if model.use_layer_norm:
            self.embed_ln = nn.LayerNorm(embed_dim, LAYER_NORM_EPSILON)
        columns_P = torch.from_numpy(upper_triangle(1 + NUM_CATEGORICAL))
        # A buffer, to move with the module; not persistent, because checkpoints need no constants.
        self.interaction_columns: Tensor
        self.register_buffer("interaction_columns", columns_P, persistent=False)
        top_in = dims[-1] + (NUM_CATEGORICAL * embed_dim if model.use_resnet else len(columns_P))
        *hidden_dims, num_logits = model.mlp_top_dims
        self.top_mlp = Mlp(top_in, tuple(hidden_dims), num_logits, model.use_layer_norm, model.use_resnet)
        multiplier = model.embedding_init_multiplier
        self._initialise(
            model.vocab_size**-0.5 if multiplier is None else multiplier, model.output_bias_stddev
        )

    @torch.no_grad()
    def _initialise(self, embedding_factor: float, output_bias_stddev: float) -> None:
        for linear in self.bot_mlp.linears():
            nn.init.xavier_uniform_(linear.weight)
        for linear in self.top_mlp.linears():
            nn.init.normal_(linear.weight, std=(2 / (linear.in_features + linear.out_features)) ** 0.5)
        for linear in (*self.bot_mlp.linears(), *self.top_mlp.linears()):
            nn.init.normal_(linear.bias, std=linear.out_features**-0.5)
        # The output has one feature, so its bias was just drawn from N(0, 1).
        self.top_mlp.linears()[-1].bias.mul_(output_bias_stddev)
        nn.init.uniform_(self.embedding_table.weight, 0.0, embedding_factor)

    def forward(self, inputs: Tensor, *, dropout_rate: float) -> Tensor:
        """
        Args:
          inputs: (B, 39) float32: dense features, then hash buckets as numbers.
          dropout_rate: rate after the last hidden layer, in training.

        Returns:
          (B, 1) logits.
        """
        bottom_BD = self.bot_mlp(inputs[:, : self._num_dense])
        # One table for all features: buckets of different features share rows. Buckets arrive as float32, so
        # those above 2**24 are rounded, as in AlgoPerf, whose targets were set with it.
        rows_BG = inputs[:, self._num_dense :].to(torch.int32) % self._vocab_size
        embedded_BGD = self.embedding_table(rows_BG)
        if self._use_layer_norm:
            embedded_BGD = self.embed_ln(embedded_BGD)
        if self._use_resnet:
            top = torch.cat([bottom_BD, embedded_BGD.flatten(1)], dim=1)
        else:
            vectors_BFD = torch.cat([bottom_BD[:, None], embedded_BGD], dim=1)
            top = torch.cat([bottom_BD, dot_interaction(vectors_BFD, self.interaction_columns)], dim=1)
        return self.top_mlp(top, dropout_rate)


def make_model(spec: WorkloadSpec) -> Dlrm:
    check_model(spec)
    return Dlrm(spec)
