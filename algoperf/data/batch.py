"""Batches whose values are arrays, or tuples, named tuples and dictionaries of arrays."""

from collections.abc import Callable, Iterator
from typing import Any

from algoperf.families import DataFile


def map_arrays(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same structure with `function` of every array.

    >>> map_arrays(len, {"inputs": ([1, 2], [3, 4])})
    {'inputs': (2, 2)}
    """
    if isinstance(tree, dict):
        return {key: map_arrays(function, value) for key, value in tree.items()}
    if isinstance(tree, tuple):
        values = [map_arrays(function, value) for value in tree]
        return type(tree)(*values) if hasattr(tree, "_fields") else tuple(values)
    return function(tree)


def arrays(tree: Any) -> Iterator[Any]:
    """Every array, in the order of keys and fields."""
    if isinstance(tree, (dict, tuple)):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from arrays(value)
    else:
        yield tree


def shard_options(data_module: DataFile, num_devices: int) -> dict[str, int]:
    """Keywords for `train_stream` and `eval_batches` of a family whose batches are cut into whole parts by itself.

    Examples of different sizes (graphs) cannot be dealt out by rows. A family with `SHARDED = True` makes each array
    of a batch as `num_shards` parts of one size, one after the other, so that a part is what one device gets.
    """
    return {"num_shards": num_devices} if data_module.SHARDED else {}
