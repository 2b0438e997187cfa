"""Packs molecules into batches of one fixed shape, within budgets of graphs, nodes and edges.

Shapes: B graphs of a shard at most, N and M its budgets of nodes and directed edges, S shards, T tasks.
"""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np

from algoperf.data.machine_code import compiled
from algoperf.spec import UsageError
from workloads.ogbg import preparation
from workloads.ogbg.graphs import GraphsTuple
from workloads.ogbg.settings import NUM_EDGE_FEATURES, NUM_NODE_FEATURES

_jit = compiled()


@dataclasses.dataclass(frozen=True)
class Budget:
    """How much one shard of a batch can hold without the padding."""

    num_graphs: int
    num_nodes: int
    num_edges: int
    """Directed edges; a bond has two."""


class Molecules:
    """All molecules of a data folder as memory-mapped arrays, indexed by the molecule's number in the release."""

    def __init__(self, folder: Path):
        self.nodes, self.bonds, self.bond_ends, self.labels = (
            preparation.load(folder, name) for name in ("nodes", "bonds", "bond_ends", "labels")
        )
        self.node_counts, self.bond_counts = (
            preparation.load(folder, name).astype(np.int64) for name in ("node_counts", "bond_counts")
        )
        self.first_node, self.first_bond = (
            np.cumsum(counts) - counts for counts in (self.node_counts, self.bond_counts)
        )


class Batcher:
    """Packs molecules into shards and shards into batches.

    Args:
      molecules: the source of the graphs.
      budget: how much one shard holds.
      num_shards: parts of a batch, one per device.
    """

    def __init__(self, molecules: Molecules, budget: Budget, num_shards: int):
        self._molecules, self.budget, self._num_shards = molecules, budget, num_shards

    def check_fit(self, chosen: np.ndarray, per_graph: Budget) -> None:
        """Raises UsageError if one of the molecules `chosen` is larger than the budget.

        Args:
          chosen: (n,) numbers of molecules.
          per_graph: budget per graph of the batch size; the error computes the smallest batch size from it.
        """
        nodes, edges = self._molecules.node_counts[chosen], 2 * self._molecules.bond_counts[chosen]
        too_large = np.flatnonzero((nodes > self.budget.num_nodes) | (edges > self.budget.num_edges))
        if len(too_large):
            needed = max(
                -(-int(nodes.max()) // per_graph.num_nodes), -(-int(edges.max()) // per_graph.num_edges)
            )
            worst = too_large[0]
            raise UsageError(
                f"Molecule {chosen[worst]:,} has {nodes[worst]} atoms and {edges[worst]} directed edges; a batch of "
                f"{self.budget.num_graphs} graphs per device has room for {self.budget.num_nodes} and "
                f"{self.budget.num_edges}. The smallest global batch size that works on {self._num_shards} "
                f"device(s) is {needed * self._num_shards}."
            )

    def count_that_fit(self, candidates: np.ndarray) -> int:
        """How many of `candidates`, from the first on, one shard can take within all three budgets."""
        candidates = candidates[: self.budget.num_graphs]
        nodes = np.cumsum(self._molecules.node_counts[candidates])
        bonds = np.cumsum(self._molecules.bond_counts[candidates])
        return min(
            int(np.searchsorted(nodes, self.budget.num_nodes, side="right")),
            int(np.searchsorted(2 * bonds, self.budget.num_edges, side="right")),
        )

    def make(self, shards: list[np.ndarray]) -> dict[str, Any]:
        """Builds one batch.

        Args:
          shards: the molecules' numbers for each shard, within the budgets; missing shards become all padding.

        Returns:
          `inputs`: GraphsTuple with nodes [S (N + 1), 9], edges [S M, 3], n_node and n_edge [S (B + 1)];
          `targets` and `weights`: [S (B + 1), T] float32. Each array is S equal parts, one after the other, and node
          numbers count through all parts. In each part the first padding graph owns the unused nodes and edges
          (features 0; edges from and to its first node); further padding graphs are empty.
        """
        one, parts = self.budget, self._num_shards
        # One more graph and node than the budget: padding edges always need a padding node, as in jraph's
        # `pad_with_graphs`.
        num_graphs, num_nodes = one.num_graphs + 1, one.num_nodes + 1
        num_tasks = self._molecules.labels.shape[1]
        nodes = np.empty((parts, num_nodes, NUM_NODE_FEATURES), np.float32)
        edges = np.empty((parts, one.num_edges, NUM_EDGE_FEATURES), np.float32)
        senders, receivers = (np.empty((parts, one.num_edges), np.int32) for _ in range(2))
        n_node, n_edge = (np.empty((parts, num_graphs), np.int32) for _ in range(2))
        targets, weights = (np.empty((parts, num_graphs, num_tasks), np.float32) for _ in range(2))
        molecules = self._molecules
        nothing = np.empty(0, np.int64)
        for part in range(parts):
            _fill_shard(
                shards[part].astype(np.int64) if part < len(shards) else nothing,
                part * num_nodes,
                molecules.nodes.reshape(-1),
                molecules.bonds.reshape(-1),
                molecules.bond_ends,
                molecules.labels,
                molecules.first_node,
                molecules.node_counts,
                molecules.first_bond,
                molecules.bond_counts,
                nodes[part].reshape(-1),
                edges[part].reshape(-1),
                senders[part],
                receivers[part],
                n_node[part],
                n_edge[part],
                targets[part],
                weights[part],
            )
        return {
            "inputs": GraphsTuple(
                # Parts one after the other in one array, so that a backend splits the first axis evenly over
                # devices.
                nodes=nodes.reshape(-1, NUM_NODE_FEATURES),
                edges=edges.reshape(-1, NUM_EDGE_FEATURES),
                receivers=receivers.reshape(-1),
                senders=senders.reshape(-1),
                globals={},
                n_node=n_node.reshape(-1),
                n_edge=n_edge.reshape(-1),
            ),
            "targets": targets.reshape(-1, num_tasks),
            "weights": weights.reshape(-1, num_tasks),
        }


@_jit
def _fill_shard(
    chosen,
    node_offset,
    codes,
    bond_codes,
    bond_ends,
    labels,
    first_node,
    node_counts,
    first_bond,
    bond_counts,
    nodes,
    edges,
    senders,
    receivers,
    n_node,
    n_edge,
    targets,
    weights,
):
    """Writes every element of one shard; feature arrays are flat, so that one loop copies all features of a graph."""
    # The output arrays are uninitialised (`np.empty`), so every element must be written, padding included.
    node = edge = 0
    for row in range(len(chosen)):
        graph = chosen[row]
        num_nodes, num_bonds = node_counts[graph], bond_counts[graph]
        source, place = NUM_NODE_FEATURES * first_node[graph], NUM_NODE_FEATURES * node
        for index in range(NUM_NODE_FEATURES * num_nodes):
            nodes[place + index] = codes[source + index]
        source, place = NUM_EDGE_FEATURES * first_bond[graph], NUM_EDGE_FEATURES * edge
        back = place + NUM_EDGE_FEATURES * num_bonds
        for index in range(NUM_EDGE_FEATURES * num_bonds):
            edges[place + index] = bond_codes[source + index]
            edges[back + index] = bond_codes[source + index]
        # A bond is stored once and becomes two edges: first all forward edges of a molecule, then all
        # reversed ones, in AlgoPerf's order.
        for index in range(num_bonds):
            start = node_offset + node + bond_ends[first_bond[graph] + index, 0]
            end = node_offset + node + bond_ends[first_bond[graph] + index, 1]
            senders[edge + index] = receivers[edge + num_bonds + index] = start
            receivers[edge + index] = senders[edge + num_bonds + index] = end
        for task in range(labels.shape[1]):
            label = labels[graph, task]
            # A missing label is -1: target 0 with weight 0.
            targets[row, task] = label > 0
            weights[row, task] = label >= 0
        n_node[row], n_edge[row] = num_nodes, 2 * num_bonds
        node += num_nodes
        edge += 2 * num_bonds
    nodes[NUM_NODE_FEATURES * node :] = 0
    edges[NUM_EDGE_FEATURES * edge :] = 0
    # Padding edges join the first padding node to itself, so no real node receives their messages.
    senders[edge:] = node_offset + node
    receivers[edge:] = node_offset + node
    padding = len(chosen)
    n_node[padding:] = 0
    n_edge[padding:] = 0
    n_node[padding] = len(nodes) // NUM_NODE_FEATURES - node
    n_edge[padding] = len(senders) - edge
    targets[padding:] = 0
    weights[padding:] = 0
