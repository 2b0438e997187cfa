"""Random graphs as files of OGB's layout, and a plain reading of them."""

import dataclasses
import gzip

import numpy as np

from algoperf import registry

SMALL = dataclasses.replace(
    registry.get("ogbg"),
    num_train_examples=60,
    num_eval_train_examples=13,
    num_validation_examples=21,
    num_test_examples=17,
    model={**registry.get("ogbg").model, "num_outputs": 5},
    data={"max_nodes_per_graph": 6, "max_edges_per_graph": 12},
)
"""The full-size workload with few and small molecules, so what is true of it is true of the real data."""

MINI = dataclasses.replace(
    registry.get("ogbg_mini"),
    num_train_examples=300,
    num_eval_train_examples=40,
    num_validation_examples=60,
    num_test_examples=50,
)

FILES = {
    "node_counts": "raw/num-node-list.csv.gz",
    "bond_counts": "raw/num-edge-list.csv.gz",
    "nodes": "raw/node-feat.csv.gz",
    "bonds": "raw/edge-feat.csv.gz",
    "bond_ends": "raw/edge.csv.gz",
    "labels": "raw/graph-label.csv.gz",
    "train": "split/scaffold/train.csv.gz",
    "validation": "split/scaffold/valid.csv.gz",
    "test": "split/scaffold/test.csv.gz",
}


def texts(seed=0, spec=SMALL):
    """Name of a file -> its lines, for random connected graphs of 1 to 9 atoms, some with two bonds more."""
    rng = np.random.default_rng(seed)
    sizes = (spec.num_train_examples, spec.num_validation_examples, spec.num_test_examples)
    found = {name: [] for name in FILES}
    for _ in range(sum(sizes)):
        num_atoms = int(rng.integers(1, 10))
        bonds = [(int(rng.integers(atom)), atom) for atom in range(1, num_atoms)]
        bonds += [tuple(rng.integers(num_atoms, size=2)) for _ in range(rng.integers(3))]
        found["node_counts"].append(f"{num_atoms}")
        found["bond_counts"].append(f"{len(bonds)}")
        found["bond_ends"] += [f"{a},{b}" for a, b in bonds]
        found["nodes"] += [",".join(map(str, row)) for row in rng.integers(0, 119, (num_atoms, 9))]
        found["bonds"] += [",".join(map(str, row)) for row in rng.integers(0, 5, (len(bonds), 3))]
        found["labels"].append(",".join(rng.choice(["0.0", "1.0", ""], spec.model.num_outputs)))
    order = rng.permutation(sum(sizes))
    for name, members in zip(
        ("train", "validation", "test"), np.split(order, np.cumsum(sizes)[:-1]), strict=True
    ):
        found[name] = [str(member) for member in members]
    return found


def write(folder, content):
    for name, lines in content.items():
        path = folder / "raw" / "pcba" / FILES[name]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress("".join(f"{line}\n" for line in lines).encode(), mtime=0))


@dataclasses.dataclass
class Graph:
    nodes: np.ndarray
    edges: np.ndarray
    senders: np.ndarray
    receivers: np.ndarray
    targets: np.ndarray
    weights: np.ndarray

    def key(self):
        return b"|".join(np.asarray(value, np.float32).tobytes() for value in dataclasses.astuple(self))


def plain_graphs(folder):
    """All molecules by the plain rules, and split -> their numbers, ascending."""
    lines = {
        name: gzip.decompress((folder / "raw" / "pcba" / file).read_bytes()).decode().splitlines()
        for name, file in FILES.items()
    }
    rows = {
        name: [[float(field) if field else np.nan for field in line.split(",")] for line in values]
        for name, values in lines.items()
    }
    graphs, node, bond = [], 0, 0
    for (num_atoms,), (num_bonds,), labels in zip(
        rows["node_counts"], rows["bond_counts"], rows["labels"], strict=True
    ):
        num_atoms, num_bonds, labels = int(num_atoms), int(num_bonds), np.array(labels)
        ends = np.array(rows["bond_ends"][bond : bond + num_bonds], int).reshape(-1, 2)
        features = np.array(rows["bonds"][bond : bond + num_bonds]).reshape(-1, 3)
        graphs.append(
            Graph(
                nodes=np.array(rows["nodes"][node : node + num_atoms]),
                edges=np.concatenate([features, features]),
                senders=np.concatenate([ends[:, 0], ends[:, 1]]),
                receivers=np.concatenate([ends[:, 1], ends[:, 0]]),
                targets=np.nan_to_num(labels),
                weights=1.0 - np.isnan(labels),
            )
        )
        node, bond = node + num_atoms, bond + num_bonds
    return graphs, {
        name: sorted(int(row[0]) for row in rows[name]) for name in ("train", "validation", "test")
    }


def unpack(batch, num_shards=1):
    """The graphs of a batch per shard, padding left out, after a look at the padding."""
    inputs = batch["inputs"]
    first_node = np.cumsum(inputs.n_node) - inputs.n_node
    first_edge = np.cumsum(inputs.n_edge) - inputs.n_edge
    assert inputs.n_node.sum() == len(inputs.nodes)
    assert inputs.n_edge.sum() == len(inputs.edges) == len(inputs.senders) == len(inputs.receivers)
    per_shard = len(inputs.n_node) // num_shards
    shards = []
    for start in range(0, len(inputs.n_node), per_shard):
        rows = range(start, start + per_shard)
        # The last graph with nodes is padding: there is always one node that no molecule has.
        padding = max(row for row in rows if inputs.n_node[row])
        assert not inputs.n_node[padding + 1 : rows.stop].any()
        assert not inputs.n_edge[padding + 1 : rows.stop].any()
        assert not batch["weights"][padding : rows.stop].any()
        assert not batch["targets"][padding : rows.stop].any()
        found = []
        for row in range(start, padding + 1):
            nodes = slice(first_node[row], first_node[row] + inputs.n_node[row])
            edges = slice(first_edge[row], first_edge[row] + inputs.n_edge[row])
            found.append(
                Graph(
                    inputs.nodes[nodes],
                    inputs.edges[edges],
                    inputs.senders[edges] - first_node[row],
                    inputs.receivers[edges] - first_node[row],
                    batch["targets"][row],
                    batch["weights"][row],
                )
            )
        last = found.pop()
        assert not last.nodes.any()
        assert not last.edges.any()
        assert not last.senders.any()
        assert not last.receivers.any()
        shards.append(found)
    return shards
