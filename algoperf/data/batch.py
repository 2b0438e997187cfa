"""Batches whose values are arrays, or tuples, named tuples and dictionaries of arrays."""

from collections.abc import Callable, Iterator
from typing import Any

from algoperf.families import DataFile


def map_arrays(function: Callable[[Any], Any], tree: Any) -> Any:
    """The same structure, with `function` applied to every array.

    >>> map_arrays(len, {"inputs": ([1, 2], [3, 4])})
    {'inputs': (2, 2)}
    """
    if isinstance(tree, dict):
        return {key: map_arrays(function, value) for key, value in tree.items()}
    if isinstance(tree, tuple):
        values = [map_arrays(function, value) for value in tree]
        # The constructor of a named tuple takes the fields one by one, that of a tuple takes one iterable.
        return type(tree)(*values) if hasattr(tree, "_fields") else tuple(values)
    return function(tree)


def arrays(tree: Any) -> Iterator[Any]:
    """Yields every array, in the order of keys and fields."""
    if isinstance(tree, (dict, tuple)):
        for value in tree.values() if isinstance(tree, dict) else tree:
            yield from arrays(value)
    else:
        yield tree


def shard_options(data_module: DataFile, num_devices: int) -> dict[str, int]:
    """`num_shards` for `train_stream` and `eval_batches` of families with `SHARDED = True`, nothing for others.

    Examples of different sizes (graphs) cannot be split over devices by rows. Such a family builds each array of a
    batch from `num_shards` parts of equal size, one after the other; each device gets one part.
    """
    return {"num_shards": num_devices} if data_module.SHARDED else {}
