"""Batches of molecules: packed by budgets, padded to one shape, sharded, in a shuffled order with exact positions."""

import dataclasses
import itertools
import json
import types

import numpy as np
import pytest
from raw_molecules import MINI, SMALL, plain_graphs, unpack

from algoperf import spec
from workloads.ogbg import data
from workloads.ogbg.batching import Batcher, Budget
from workloads.ogbg.graphs import GraphsTuple


@pytest.fixture(scope="session")
def plain(small_folder):
    return plain_graphs(small_folder)


def arrays(batch):
    inputs = {key: value for key, value in batch["inputs"]._asdict().items() if key != "globals"}
    return inputs | {key: batch[key] for key in ("targets", "weights")}


def assert_same(one, two):
    for key, value in arrays(one).items():
        np.testing.assert_array_equal(value, arrays(two)[key], err_msg=key)


def expected_counts(graphs, budget_graphs, per_graph_nodes=6, per_graph_edges=12):
    """How many of the first graphs one shard takes, one by one."""
    nodes = edges = 0
    for count, graph in enumerate(graphs):
        nodes, edges = nodes + len(graph.nodes), edges + len(graph.edges)
        if (
            count == budget_graphs
            or nodes > per_graph_nodes * budget_graphs
            or edges > per_graph_edges * budget_graphs
        ):
            return count
    return len(graphs)


# ---- one batch -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size", "num_shards"), [(8, 1), (8, 2), (12, 4)])
def test_batches_have_the_shapes_of_the_budgets(small_folder, batch_size, num_shards):
    per_shard = batch_size // num_shards
    batches = itertools.chain(
        itertools.islice(data.train_stream(SMALL, small_folder, 0, batch_size, num_shards=num_shards), 12),
        data.eval_batches(SMALL, small_folder, "validation", batch_size, num_shards=num_shards),
    )
    shapes = {
        "nodes": (num_shards * (6 * per_shard + 1), 9),
        "edges": (num_shards * 12 * per_shard, 3),
        "receivers": (num_shards * 12 * per_shard,),
        "senders": (num_shards * 12 * per_shard,),
        "n_node": (num_shards * (per_shard + 1),),
        "n_edge": (num_shards * (per_shard + 1),),
        "targets": (num_shards * (per_shard + 1), 5),
        "weights": (num_shards * (per_shard + 1), 5),
    }
    floats = {"nodes", "edges", "targets", "weights"}
    for batch in batches:
        assert isinstance(batch["inputs"], GraphsTuple)
        assert batch["inputs"].globals == {}
        for key, value in arrays(batch).items():
            assert value.shape == shapes[key], key
            assert value.dtype == (np.float32 if key in floats else np.int32), key
            assert value.flags.c_contiguous


def test_published_shapes_at_batch_size_512(small_folder):
    wide = dataclasses.replace(SMALL, data={"max_nodes_per_graph": 26, "max_edges_per_graph": 56})
    for num_shards, (nodes, edges, graphs) in {1: (13_313, 28_672, 513), 8: (13_320, 28_672, 520)}.items():
        batch = next(data.train_stream(wide, small_folder, 0, 512, num_shards=num_shards))
        assert (len(batch["inputs"].nodes), len(batch["inputs"].edges)) == (nodes, edges)
        assert len(batch["inputs"].n_node) == len(batch["targets"]) == graphs


@pytest.mark.parametrize("num_shards", [1, 2, 4])
def test_a_shard_takes_molecules_as_long_as_they_fit(small_folder, plain, num_shards):
    graphs, splits = plain
    order = [splits["test"][place] for place in range(17)]
    remaining = [graphs[number] for number in order]
    per_shard = 12 // num_shards
    for batch in data.eval_batches(SMALL, small_folder, "test", 12, num_shards=num_shards):
        for shard in unpack(batch, num_shards):
            wanted = remaining[: expected_counts(remaining, per_shard)]
            assert [graph.key() for graph in shard] == [graph.key() for graph in wanted]
            remaining = remaining[len(shard) :]
    assert not remaining


@pytest.mark.parametrize(
    ("budget", "count"),
    [
        (Budget(9, 12, 99), 3),  # 3 + 4 + 5 atoms are just enough room.
        (Budget(9, 11, 99), 2),
        (Budget(9, 99, 12), 3),  # Twice 1 + 2 + 3 bonds.
        (Budget(9, 99, 11), 2),
        (Budget(2, 99, 99), 2),
    ],
)
def test_a_shard_that_is_just_full_has_its_last_molecule(budget, count):
    sizes = types.SimpleNamespace(node_counts=np.array([3, 4, 5, 6]), bond_counts=np.array([1, 2, 3, 4]))
    assert Batcher(sizes, budget, 1).count_that_fit(np.arange(4)) == count


def test_every_budget_binds_somewhere(small_folder):
    # Otherwise the test above shows less than it seems to.
    reasons = set()
    for batch in itertools.islice(data.train_stream(SMALL, small_folder, 0, 6), 60):
        (shard,) = unpack(batch)
        nodes, edges = (sum(len(getattr(graph, name)) for graph in shard) for name in ("nodes", "edges"))
        reasons |= {"graphs"} if len(shard) == 6 else set()
        reasons |= {"nodes"} if nodes > 36 - 2 else set()
        reasons |= {"edges"} if edges > 72 - 4 else set()
    assert reasons == {"graphs", "nodes", "edges"}


def test_edges_stay_within_their_shard(small_folder):
    for batch in itertools.islice(data.train_stream(SMALL, small_folder, 1, 16, num_shards=4), 5):
        for name in ("senders", "receivers"):
            ends = getattr(batch["inputs"], name).reshape(4, -1)
            for part, values in enumerate(ends):
                assert (values // (6 * 4 + 1) == part).all()


# ---- training --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("num_shards", [1, 3])
def test_every_molecule_comes_once_per_epoch_and_epochs_have_no_seam(small_folder, plain, num_shards):
    graphs, splits = plain
    wanted = sorted(graphs[number].key() for number in splits["train"])
    stream = data.train_stream(SMALL, small_folder, 2, 12, num_shards=num_shards)
    seen = []
    while len(seen) < 3 * 60:
        shards = unpack(next(stream), num_shards)
        assert all(shards), "every shard of a training batch has molecules"
        seen += [graph.key() for shard in shards for graph in shard]
        assert stream.state() == {"next_graph": len(seen)}
    epochs = [seen[start : start + 60] for start in (0, 60, 120)]
    assert all(sorted(epoch) == wanted for epoch in epochs)
    assert epochs[0] != epochs[1]
    assert epochs[1] != epochs[2]


@pytest.mark.parametrize("num_shards", [1, 2])
def test_a_stream_continues_with_the_very_next_batch(small_folder, num_shards):
    whole = data.train_stream(SMALL, small_folder, 3, 10, num_shards=num_shards)
    states, batches = [], []
    for _ in range(20):
        states.append(json.loads(json.dumps(whole.state())))
        batches.append(next(whole))
    for index in (19, 0, 7, 6):  # Backward, too.
        again = data.train_stream(SMALL, small_folder, 3, 10, num_shards=num_shards)
        again.set_state(states[index])
        assert_same(next(again), batches[index])
        whole.set_state(states[index])
        assert_same(next(whole), batches[index])
    other = next(data.train_stream(SMALL, small_folder, 4, 10, num_shards=num_shards))
    assert not np.array_equal(other["inputs"].nodes, batches[0]["inputs"].nodes)


def test_a_batch_may_hold_more_molecules_than_there_are(small_folder):
    stream = data.train_stream(SMALL, small_folder, 5, 150)
    (first,), (second,) = unpack(next(stream)), unpack(next(stream))
    assert len(first) > 120
    assert len(second) > 120
    assert sorted(graph.key() for graph in first[:60]) == sorted(graph.key() for graph in first[60:120])


# ---- evaluation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("batch_size", "num_shards"), [(5, 1), (32, 1), (10, 2), (24, 3), (64, 8), (500, 1)])
def test_evaluation_sees_every_molecule_once_in_order(small_folder, plain, batch_size, num_shards):
    graphs, splits = plain
    for split in ("validation", "test"):
        batches = list(data.eval_batches(SMALL, small_folder, split, batch_size, num_shards=num_shards))
        seen = [graph for batch in batches for shard in unpack(batch, num_shards) for graph in shard]
        assert [graph.key() for graph in seen] == [graphs[number].key() for number in splits[split]]


def test_eval_train_is_a_fixed_evenly_spaced_part_of_training(small_folder, plain):
    graphs, splits = plain
    wanted = [graphs[splits["train"][place * 60 // 13]].key() for place in range(13)]
    for batch_size, num_shards in ((6, 1), (8, 2)):
        batches = data.eval_batches(SMALL, small_folder, "eval_train", batch_size, num_shards=num_shards)
        seen = [graph.key() for batch in batches for shard in unpack(batch, num_shards) for graph in shard]
        assert seen == wanted


# ---- refusals --------------------------------------------------------------------------------------------------------


def test_a_molecule_that_does_not_fit_is_named_with_the_batch_size_that_works(small_folder, plain):
    graphs, splits = plain
    nodes, edges = (
        max(len(getattr(graphs[number], name)) for number in splits["train"]) for name in ("nodes", "edges")
    )
    needed = max(-(-nodes // 6), -(-edges // 12))
    assert needed > 1
    with pytest.raises(
        spec.UsageError, match=rf"Molecule \d+ has .* works on 3 device\(s\) is {3 * needed}\."
    ):
        data.train_stream(SMALL, small_folder, 0, 3, num_shards=3)
    next(data.train_stream(SMALL, small_folder, 0, 3 * needed, num_shards=3))
    with pytest.raises(spec.UsageError, match=r"works on 1 device\(s\)"):
        data.eval_batches(SMALL, small_folder, "eval_train", 1)


def test_a_batch_needs_a_graph_per_device(small_folder):
    with pytest.raises(spec.UsageError, match="batch of 4 graphs is too small for 8 devices"):
        data.train_stream(SMALL, small_folder, 0, 4, num_shards=8)


def test_an_unknown_split_is_refused(small_folder):
    with pytest.raises(spec.UsageError, match="No evaluation split is called 'valid'"):
        data.eval_batches(SMALL, small_folder, "valid", 8)


def test_streams_need_prepared_data(tmp_path):
    for start in (
        lambda: data.train_stream(SMALL, tmp_path, 0, 8),
        lambda: data.eval_batches(SMALL, tmp_path, "test", 8),
        lambda: data.verify(SMALL, tmp_path),
    ):
        with pytest.raises(
            spec.UsageError, match=r"No prepared data for 'ogbg'.*dataset_setup.py --dataset=ogbg "
        ):
            start()


# ---- mini ------------------------------------------------------------------------------------------------------------


def test_every_mini_molecule_fits_into_a_batch_of_two(mini_folder):
    for split in ("eval_train", "validation", "test"):
        list(data.eval_batches(MINI, mini_folder, split, 2))
    assert data.SHARDED
