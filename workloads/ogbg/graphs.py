"""The container for a batch of graphs that both frameworks use."""

from typing import Any, NamedTuple


class GraphsTuple(NamedTuple):
    """Several molecules as one disconnected graph, in jraph's field names and order, so a JAX model may pass
    it to jraph functions as `jraph.GraphsTuple(*graphs)` and PyTorch needs no jraph.

    `globals` is an empty dictionary: molecules have no features of their own, and a tree without leaves
    passes through `jax.tree.map` and the copy to a device unchanged.
    """

    nodes: Any
    """(nodes, 9) float32, the atom codes of OGB; 0 in padding."""
    edges: Any
    """(edges, 3) float32, the bond codes of OGB, once per direction; 0 in padding."""
    receivers: Any
    """(edges,) int32, index of the node that a directed edge points at."""
    senders: Any
    """(edges,) int32, index of the node that a directed edge starts from."""
    globals: Any
    """Always {}."""
    n_node: Any
    """(graphs,) int32, nodes per graph; padding graphs included, so it sums to the number of rows of `nodes`."""
    n_edge: Any
    """(graphs,) int32, directed edges per graph."""
