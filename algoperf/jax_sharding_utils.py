"""Shardings over all devices along one mesh axis, 'batch': the names that public JAX submissions import."""

import functools
from typing import TypeVar

import jax
from jax.sharding import Mesh, NamedSharding, PartitionSpec

Tree = TypeVar("Tree")


@functools.cache
def get_mesh() -> Mesh:
    """A mesh of all devices with one axis, 'batch'."""
    return Mesh(jax.devices(), ("batch",))


@functools.cache
def get_replicate_sharding() -> NamedSharding:
    """The sharding that puts a full copy on every device."""
    return NamedSharding(get_mesh(), PartitionSpec())


@functools.cache
def get_batch_dim_sharding() -> NamedSharding:
    """The sharding that splits the first axis over the devices."""
    return NamedSharding(get_mesh(), PartitionSpec("batch"))


def shard_along_batch_dim(tree: Tree) -> Tree:
    """`tree` with the first axis of every leaf split over the devices; their number must divide its size."""
    return jax.device_put(tree, get_batch_dim_sharding())


def replicate(tree: Tree) -> Tree:
    """`tree` with a full copy of every leaf on every device."""
    return jax.device_put(tree, get_replicate_sharding())


def display_shard_info(array: jax.Array) -> None:
    """Prints which rows of `array` are on which device."""
    for shard in array.addressable_shards:
        print(f"{shard.device}: index {shard.index}, shape {shard.data.shape}")
