"""The graph network of AlgoPerf in PyTorch: the function, initialisers and order of products of the Flax model.

Parameter names are AlgoPerf's: `node_embedder`, `edge_embedder`, `graph_network.<step>.update_{edge,node,global}_fn`
with `dense_<layer>` and `norm_<layer>`, and `decoder`. Sums over edges and nodes are PyTorch's own `index_add`: on a
CPU they take a fiftieth of a training step, so a graph library would have nothing to gain.
"""

# Shapes: N nodes, E directed edges, G graphs, H hidden width

from typing import Any, NamedTuple

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from algoperf.layers.torch_dropout import dropout
from algoperf.layers.torch_initializers import lecun_normal_
from algoperf.losses import torch_losses
from algoperf.workload import WorkloadSpec
from workloads.ogbg.graphs import GraphsTuple
from workloads.ogbg.settings import LAYER_NORM_EPSILON, NUM_EDGE_FEATURES, NUM_NODE_FEATURES, check_model

ACTIVATIONS = {"relu": F.relu, "gelu": lambda x: F.gelu(x, approximate="tanh"), "silu": F.silu}


class Affine(NamedTuple):
    """The output of a linear layer on `features` in factored form: callers only need its products with a matrix."""

    features: Tensor
    weight: Tensor
    bias: Tensor


def product(x: Tensor | Affine, weight: Tensor) -> Tensor:
    """x @ weight.T, where `weight` may be some columns of a layer's weight."""
    if isinstance(x, Affine):
        # (weight @ x.weight) first: there are 9 or 3 features, but one row per node or edge.
        return F.linear(x.features, weight @ x.weight, weight @ x.bias)
    return F.linear(x, weight)


class Mlp(nn.Module):
    """Linear, LayerNorm, activation, dropout for each hidden width, on a concatenation of parts of given widths."""

    dense_0: nn.Linear

    def __init__(self, widths: tuple[int, ...], hidden_dims: tuple[int, ...], activation_fn_name: str):
        super().__init__()
        # `widths`: columns that each part of the concatenated input has in the first layer's weight.
        self._widths, self._num_layers = widths, len(hidden_dims)
        self._activation = ACTIVATIONS[activation_fn_name]
        fan_in = sum(widths)
        for layer, features in enumerate(hidden_dims):
            self.add_module(f"dense_{layer}", nn.Linear(fan_in, features))
            self.add_module(f"norm_{layer}", nn.LayerNorm(features, LAYER_NORM_EPSILON))
            fan_in = features

    def parts(self) -> tuple[Tensor, ...]:
        """The first layer's weight for each part of its input."""
        return self.dense_0.weight.split(self._widths, dim=1)

    @property
    def bias(self) -> Tensor:
        """Bias of the first linear layer."""
        return self.dense_0.bias

    def forward(self, x: Tensor, dropout_rate: float) -> Tensor:
        """From the result of the first linear layer to the output of the MLP."""
        for layer in range(self._num_layers):
            if layer:
                x = self.get_submodule(f"dense_{layer}")(x)
            x = self._activation(self.get_submodule(f"norm_{layer}")(x))
            x = dropout(x, dropout_rate, self.training)
        return x


class Connections(NamedTuple):
    """Which nodes the edges join; int64, which PyTorch's `index_add` takes without a copy."""

    senders: Tensor
    receivers: Tensor
    graph_of_node: Tensor
    num_graphs: int


def segment_sum(x: Tensor, segments: Tensor, num_segments: int) -> Tensor:
    """(num_segments, H): for each segment the sum of the rows of `x` that belong to it."""
    return x.new_zeros(num_segments, x.shape[1]).index_add(0, segments, x)


class MessagePassing(nn.Module):
    """One step of Battaglia et al. 2018 (https://arxiv.org/abs/1806.01261), algorithm 1: edges, nodes, globals.

    Args:
      width: features of a node or edge at the start of the step.
      global_width: features of a graph's globals at the start of the step.
      hidden_dims, activation_fn_name: settings of the three MLPs.
    """

    def __init__(self, width: int, global_width: int, hidden_dims: tuple[int, ...], activation_fn_name: str):
        super().__init__()
        new = hidden_dims[-1]
        mlp = (hidden_dims, activation_fn_name)
        self.update_edge_fn = Mlp((width, width, width, global_width), *mlp)
        self.update_node_fn = Mlp((width, new, new, global_width), *mlp)
        self.update_global_fn = Mlp((new, new, global_width), *mlp)

    def forward(
        self,
        nodes: Tensor | Affine,
        edges: Tensor | Affine,
        globals_GH: Tensor | None,
        connections: Connections,
        dropout_rate: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """New nodes, edges and globals; globals of None count as zeros."""
        senders_E, receivers_E, graph_of_node_N, num_graphs = connections
        edge, sender, receiver, edge_global = self.update_edge_fn.parts()
        node, sent, received, node_global = self.update_node_fn.parts()
        node_sum, edge_sum, own_global = self.update_global_fn.parts()

        def to_nodes(weight: Tensor, bias: Tensor) -> Tensor:
            if globals_GH is None:
                return bias
            return F.linear(globals_GH, weight, bias).index_select(0, graph_of_node_N)

        # An edge gets its graph's globals through its sender, which is in the same graph. Sums of products are made
        # in
        # place: linear layers do not need their results for the backward pass.
        sender_NH = product(nodes, sender).add_(to_nodes(edge_global, self.update_edge_fn.bias))
        edges_EH = product(edges, edge).add_(sender_NH.index_select(0, senders_E))
        edges_EH.add_(product(nodes, receiver).index_select(0, receivers_E))
        edges_EH = self.update_edge_fn(edges_EH, dropout_rate)

        num_nodes = len(graph_of_node_N)
        sent_NH = segment_sum(edges_EH, senders_E, num_nodes)
        received_NH = segment_sum(edges_EH, receivers_E, num_nodes)
        nodes_NH = product(nodes, node).add_(to_nodes(node_global, self.update_node_fn.bias))
        nodes_NH = torch.addmm(torch.addmm(nodes_NH, sent_NH, sent.t()), received_NH, received.t())
        nodes_NH = self.update_node_fn(nodes_NH, dropout_rate)

        # Summing over the nodes' sent messages sums over the edges: each edge of a graph has its sender in that
        # graph.
        edges_GH = segment_sum(sent_NH, graph_of_node_N, num_graphs)
        nodes_GH = segment_sum(nodes_NH, graph_of_node_N, num_graphs)
        new_GH = F.linear(nodes_GH, node_sum, self.update_global_fn.bias) + F.linear(edges_GH, edge_sum)
        if globals_GH is not None:
            new_GH = new_GH + F.linear(globals_GH, own_global)
        return nodes_NH, edges_EH, self.update_global_fn(new_GH, dropout_rate)


class GraphNetwork(nn.Module):
    """See README.md; one row of logits for each graph of the batch, padding included."""

    def __init__(self, spec: WorkloadSpec):
        super().__init__()
        model = spec.model
        self.node_embedder = nn.Linear(NUM_NODE_FEATURES, model.latent_dim)
        self.edge_embedder = nn.Linear(NUM_EDGE_FEATURES, model.latent_dim)
        hidden_dims, new_width = tuple(model.hidden_dims), model.hidden_dims[-1]
        widths = [(model.latent_dim, model.num_outputs)]
        widths += [(new_width, new_width)] * (model.num_message_passing_steps - 1)
        self.graph_network = nn.ModuleList(
            MessagePassing(*width, hidden_dims, model.activation_fn_name) for width in widths
        )
        self.decoder = nn.Linear(new_width, model.num_outputs)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                # Flax's default initialisers, which AlgoPerf's JAX model uses; PyTorch's own would be
                # uniform.
                lecun_normal_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, graph: GraphsTuple, *, dropout_rate: float) -> Tensor:
        """
        Args:
          graph: the batch as one disconnected graph.
          dropout_rate: of every hidden layer, when training.

        Returns:
          (G, num_outputs) logits.
        """
        num_nodes, num_graphs = len(graph.nodes), len(graph.n_node)
        connections = Connections(
            graph.senders.long(),
            graph.receivers.long(),
            # With `output_size`, PyTorch need not wait for the device to learn the length of the result.
            torch.repeat_interleave(graph.n_node.long(), output_size=num_nodes),
            num_graphs,
        )
        nodes = Affine(graph.nodes, self.node_embedder.weight, self.node_embedder.bias)
        edges = Affine(graph.edges, self.edge_embedder.weight, self.edge_embedder.bias)
        globals_GH = None
        for step in self.graph_network:
            nodes, edges, globals_GH = step(nodes, edges, globals_GH, connections, dropout_rate)
        return self.decoder(globals_GH)


def make_model(spec: WorkloadSpec) -> GraphNetwork:
    check_model(spec, ACTIVATIONS)
    return GraphNetwork(spec)


def call_args(batch: dict[str, Any], train: bool) -> dict[str, GraphsTuple]:
    del train
    return {"graph": batch["inputs"]}


def arrange(batch: dict[str, Any]) -> dict[str, Any]:
    """The batch with node indices that count from this process's first node.

    In a distributed run a process gets its part of every array, in which senders and receivers still count over the
    nodes of all processes.
    """
    if not (dist.is_available() and dist.is_initialized()):
        return batch
    graph = batch["inputs"]
    first_node = dist.get_rank() * len(graph.nodes)
    local = graph._replace(senders=graph.senders - first_node, receivers=graph.receivers - first_node)
    return {**batch, "inputs": local}


def eval_outputs(model: GraphNetwork, batch: dict[str, Any], spec: WorkloadSpec) -> dict[str, Tensor]:
    """`logits` and `loss` in nats, both (G, num_outputs); the loss covers missing labels, which metrics leave out."""
    del spec
    logits = model(batch["inputs"], dropout_rate=0.0)
    loss = torch_losses.sigmoid_cross_entropy(batch["targets"], logits)
    return {"logits": logits, "loss": loss["per_example"]}
