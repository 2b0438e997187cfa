"""Batches with tuples and named tuples: on the device, over processes and devices, and in the evaluator's cache."""

from typing import NamedTuple

import numpy as np
import pytest
from harness import FRAMEWORKS, shared_workload

from algoperf import registry
from algoperf.backends.base import rows_of_process
from algoperf.data import batch as batches


class Graph(NamedTuple):
    nodes: np.ndarray
    globals: dict


def nested():
    return {
        "inputs": Graph(np.arange(8.0, dtype=np.float32).reshape(4, 2), {}),
        "targets": (np.arange(4, dtype=np.int32), np.ones((4, 3), np.float32)),
    }


def test_every_array_is_found_in_the_order_of_keys_and_fields():
    assert [array.shape for array in batches.arrays(nested())] == [(4, 2), (4,), (4, 3)]


def test_a_process_gets_its_rows_of_every_array():
    whole, shares = nested(), [rows_of_process(nested(), index, 2) for index in range(2)]
    assert type(shares[1]["inputs"]) is Graph
    for array, *parts in zip(*map(batches.arrays, (whole, *shares)), strict=True):
        np.testing.assert_array_equal(np.concatenate(parts), array)


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_the_structure_is_the_same_on_the_device(framework):
    on_device = shared_workload(registry.get("digits"), framework).backend.to_device(nested())
    assert type(on_device["inputs"]) is Graph
    assert on_device["inputs"].globals == {}
    assert type(on_device["targets"]) is tuple
    for found, wanted in zip(batches.arrays(on_device), batches.arrays(nested()), strict=True):
        assert type(found) is not np.ndarray
        np.testing.assert_array_equal(np.asarray(found), wanted)


def test_only_families_that_cut_their_batches_themselves_are_told_the_number_of_devices():
    class Cuts:
        SHARDED = True

    class Rows:
        SHARDED = False  # As `families.DataFile` has it by default.

    assert batches.shard_options(Cuts, 8) == {"num_shards": 8}
    assert batches.shard_options(Rows, 8) == {}
