"""The graph network of AlgoPerf in Flax and jraph: messages along bonds, sums per atom, sums per molecule.

Each update is an MLP on a concatenation, for example of an edge, its two nodes and the globals of its graph. The
concatenation is never made: its product with a kernel is a sum of products with blocks of the kernel's rows, and a
product with nodes is made once per node and then carried to the edges. That halves the multiplications of a step.

Parameter names are AlgoPerf's: `node_embedding`, `edge_embedding`; `Dense_i` and `LayerNorm_i`, counted step by step
in the order edge, node, global; the last Dense gives the logits.
"""

# Shapes: N nodes, E directed edges, G graphs, H hidden width

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import flax.linen as nn
import jax
import jax.numpy as jnp
import jraph
import numpy as np
from jax.nn import initializers

from algoperf.jax_utils import Dropout
from algoperf.losses import jax_losses
from algoperf.workload import WorkloadSpec
from workloads.ogbg.graphs import GraphsTuple
from workloads.ogbg.settings import LAYER_NORM_EPSILON, NUM_EDGE_FEATURES, NUM_NODE_FEATURES, check_model

ACTIVATIONS: dict[str, Callable[[jax.Array], jax.Array]] = {
    "relu": nn.relu,
    "gelu": functools.partial(nn.gelu, approximate=True),
    "silu": nn.silu,
}


class Affine(NamedTuple):
    """The rows `features @ kernel + bias` in factored form: callers only need their products with a matrix."""

    features: jax.Array
    kernel: jax.Array
    bias: jax.Array

    def __matmul__(self, matrix: jax.Array) -> jax.Array:
        # (kernel @ matrix) first: the kernel has 9 or 3 rows, one per feature, while `features` has one per node or
        # edge.
        return self.features @ (self.kernel @ matrix) + self.bias @ matrix


class Dense(nn.Module):
    """A linear layer on a concatenation, which returns the kernel's rows for each part, then the bias."""

    features: int

    @nn.compact
    def __call__(self, *widths: int) -> list[jax.Array]:
        # Drawn as one kernel and split afterwards: the variance 1 / fan-in refers to the whole concatenation.
        kernel = self.param("kernel", initializers.lecun_normal(), (sum(widths), self.features))
        bias = self.param("bias", initializers.zeros, (self.features,))
        return [*jnp.split(kernel, np.cumsum(widths)[:-1]), bias]


@dataclasses.dataclass(frozen=True)
class Mlp:
    """Linear, LayerNorm, activation, dropout for each hidden width; the caller computes the first linear layer."""

    kernels: list[jax.Array]
    """Kernels of the first linear layer, one for each part of its input."""
    bias: jax.Array
    finish: Callable[[jax.Array], jax.Array]
    """From the result of the first linear layer to the output of the MLP."""


class NodeTerms(NamedTuple):
    """Terms (N, H) that a node adds to first linear layers: of edges it sends, of edges it receives, of its own."""

    sent: jax.Array
    received: jax.Array
    own: jax.Array


def pass_messages(
    graph: GraphsTuple,
    graph_of_node_N: jax.Array,
    nodes: jax.Array | Affine,
    edges: jax.Array | Affine,
    globals_GH: jax.Array | None,
    mlps: tuple[Mlp, Mlp, Mlp],
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """One step of Battaglia et al. 2018 (https://arxiv.org/abs/1806.01261), algorithm 1: edges, nodes, globals.

    `globals_GH` of None counts as zeros.
    """
    edge_mlp, node_mlp, global_mlp = mlps
    edge, sender, receiver, edge_global = edge_mlp.kernels
    node, sent, received, node_global = node_mlp.kernels
    node_sum, edge_sum, own_global = global_mlp.kernels

    def to_nodes(kernel: jax.Array, bias: jax.Array) -> jax.Array:
        return bias if globals_GH is None else (globals_GH @ kernel + bias)[graph_of_node_N]

    def update_edge(edge_terms, sender_terms: NodeTerms, receiver_terms: NodeTerms, _):
        return edge_mlp.finish(edge_terms + sender_terms.sent + receiver_terms.received)

    def update_node(terms: NodeTerms, sent_NH, received_NH, _):
        return node_mlp.finish(terms.own + sent_NH @ sent + received_NH @ received), sent_NH

    terms = NodeTerms(
        # An edge gets the globals by way of its sender, which is in the same graph.
        sent=nodes @ sender + to_nodes(edge_global, edge_mlp.bias),
        received=nodes @ receiver,
        own=nodes @ node + to_nodes(node_global, node_mlp.bias),
    )
    network = jraph.GraphNetwork(update_edge, update_node)
    updated = network(jraph.GraphsTuple(*graph)._replace(nodes=terms, edges=edges @ edge, globals=None))
    # The edges of a graph are those that its nodes send.
    sums = (jraph.segment_sum(x, graph_of_node_N, len(graph.n_node)) for x in updated.nodes)
    nodes_GH, edges_GH = sums
    first = nodes_GH @ node_sum + edges_GH @ edge_sum + global_mlp.bias
    if globals_GH is not None:
        first += globals_GH @ own_global
    return updated.nodes[0], updated.edges, global_mlp.finish(first)


class GraphNetwork(nn.Module):
    """See README.md; one row of logits for each graph of the batch, padding included."""

    latent_dim: int
    hidden_dims: tuple[int, ...]
    num_message_passing_steps: int
    activation_fn_name: str
    num_outputs: int

    @nn.compact
    def __call__(self, graph: GraphsTuple, *, train: bool, dropout_rate: float | jax.Array) -> jax.Array:
        """
        Args:
          graph: the batch as one disconnected graph.
          train: whether dropout is on.
          dropout_rate: of every hidden layer; may be traced.

        Returns:
          (G, num_outputs) logits.
        """
        num_graphs, num_nodes = graph.n_node.shape[0], graph.nodes.shape[0]
        graph_of_node_N = jnp.repeat(jnp.arange(num_graphs), graph.n_node, total_repeat_length=num_nodes)
        nodes: jax.Array | Affine = Affine(
            graph.nodes, *Dense(self.latent_dim, name="node_embedding")(NUM_NODE_FEATURES)
        )
        edges: jax.Array | Affine = Affine(
            graph.edges, *Dense(self.latent_dim, name="edge_embedding")(NUM_EDGE_FEATURES)
        )
        globals_GH = None
        width, global_width, new_width = self.latent_dim, self.num_outputs, self.hidden_dims[-1]
        mlp = functools.partial(self._mlp, train=train, dropout_rate=dropout_rate)
        for step in range(self.num_message_passing_steps):
            mlps = (
                mlp(3 * step, (width, width, width, global_width)),
                mlp(3 * step + 1, (width, new_width, new_width, global_width)),
                mlp(3 * step + 2, (new_width, new_width, global_width)),
            )
            nodes, edges, globals_GH = pass_messages(graph, graph_of_node_N, nodes, edges, globals_GH, mlps)
            width = global_width = new_width
        num_dense = 3 * self.num_message_passing_steps * len(self.hidden_dims)
        kernel, bias = Dense(self.num_outputs, name=f"Dense_{num_dense}")(new_width)
        assert globals_GH is not None, "There is a step of message passing at least."
        return globals_GH @ kernel + bias

    def _mlp(self, index: int, widths: tuple[int, ...], train: bool, dropout_rate: float | jax.Array) -> Mlp:
        start = index * len(self.hidden_dims)
        *kernels, bias = Dense(self.hidden_dims[0], name=f"Dense_{start}")(*widths)

        def finish(x: jax.Array) -> jax.Array:
            for layer, features in enumerate(self.hidden_dims, start):
                if layer > start:
                    kernel, layer_bias = Dense(features, name=f"Dense_{layer}")(x.shape[-1])
                    x = x @ kernel + layer_bias
                x = nn.LayerNorm(epsilon=LAYER_NORM_EPSILON, name=f"LayerNorm_{layer}")(x)
                x = ACTIVATIONS[self.activation_fn_name](x)
                x = Dropout(name=f"Dropout_{layer}")(x, rate=dropout_rate, train=train)
            return x

        return Mlp(kernels, bias, finish)


def make_model(spec: WorkloadSpec) -> GraphNetwork:
    check_model(spec, ACTIVATIONS)
    return GraphNetwork(**spec.model)


def example_batch(spec: WorkloadSpec) -> dict[str, Any]:
    """Two graphs of one node and two edges each."""
    del spec
    ends = np.repeat(np.arange(2, dtype=np.int32), 2)
    counts = np.ones(2, np.int32)
    nodes, edges = np.zeros((2, NUM_NODE_FEATURES), np.float32), np.zeros((4, NUM_EDGE_FEATURES), np.float32)
    return {"inputs": GraphsTuple(nodes, edges, ends, ends, {}, counts, 2 * counts)}


def call_args(batch: dict[str, Any], train: bool) -> dict[str, GraphsTuple]:
    del train
    return {"graph": batch["inputs"]}


def split_over_devices(batch: dict[str, Any], num_devices: int) -> dict[str, Any]:
    """A batch of `num_devices` shards with a leading axis for devices, each with node indices of its own.

    Args:
      batch: arrays of `num_devices` equal parts one after the other; node indices count over the whole batch.
      num_devices: number of shards.

    Returns:
      The batch with arrays of shape (num_devices, rows / num_devices, ...).
    """
    graph = batch["inputs"]
    nodes_per_device = len(graph.nodes) // num_devices
    first_node = nodes_per_device * np.arange(num_devices, dtype=graph.senders.dtype)[:, None]

    def split(array: Any) -> Any:
        return array.reshape(num_devices, -1, *array.shape[1:])

    split_batch = jax.tree.map(split, batch)
    graph = split_batch["inputs"]
    local = graph._replace(senders=graph.senders - first_node, receivers=graph.receivers - first_node)
    return {**split_batch, "inputs": local}


def eval_outputs(
    model: GraphNetwork, variables: Any, batch: dict[str, Any], spec: WorkloadSpec
) -> dict[str, jax.Array]:
    """`logits` and `loss`, both (G, num_outputs); the loss is per label, in nats, of missing labels too."""
    del spec
    logits = cast(jax.Array, model.apply(variables, batch["inputs"], train=False, dropout_rate=0.0))
    loss = jax_losses.sigmoid_cross_entropy(batch["targets"], logits)
    return {"logits": logits, "loss": loss["per_example"]}
