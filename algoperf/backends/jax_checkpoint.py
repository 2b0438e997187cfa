"""What a checkpoint holds of a JAX run: a tree like the one in memory, its device arrays as host copies that know how
they were spread over the devices."""

import functools
import io
import pickle
import types
from collections.abc import Callable
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec, Sharding, SingleDeviceSharding

from algoperf import jax_sharding_utils
from algoperf.backends.base import HostCopy
from algoperf.spec import ModelAuxiliaryState, OptimizerState, ParameterContainer, UsageError

FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, types.MethodType, functools.partial, type)
PLAIN = (bool, int, float, complex, str, bytes, type(None), np.ndarray, np.generic)


class FunctionLeaf:
    """Stands for a function in a saved tree; the function itself comes from the fresh state at that path."""

    def __init__(self, path: str):
        self.path = path


class SavedArray:
    """A device array in a saved tree; NumPy arrays and other leaves stay what they are."""

    # Of checkpoints from before they were saved.
    placement: ClassVar[tuple[Any, ...] | None] = None
    weakly_typed: ClassVar[bytes | None] = None

    def __init__(
        self,
        array: np.ndarray,
        key_impl: str | None,
        is_split: bool,
        placement: tuple[Any, ...] | None = None,
        weakly_typed: bytes | None = None,
    ):
        self.array, self.key_impl, self.is_split = array, key_impl, is_split
        self.__dict__.update(placement=placement, weakly_typed=weakly_typed)

    @classmethod
    def of(cls, leaf: jax.Array) -> "SavedArray":
        """A host copy; all processes call this together where each has only a part of the array."""
        placement = _placement_of(leaf)
        is_split = not leaf.is_fully_replicated
        if is_split and not leaf.is_fully_addressable:
            leaf = _replicated_copy(leaf)
        if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):  # A key made by `jax.random.key`.
            data = np.asarray(jax.random.key_data(leaf))
            return cls(data, str(jax.random.key_impl(leaf)), is_split, placement)
        # Whether its dtype gives way in mixed arithmetic; JAX has no public way to say so but its own pickles.
        weakly_typed = pickle.dumps(leaf) if leaf.weak_type else None
        return cls(np.asarray(leaf), None, is_split, placement, weakly_typed)

    def restored(self) -> jax.Array:
        """The array on the devices, as it was spread over them where they are the same ones."""
        # A copy: on the CPU, JAX may otherwise share memory with the array that was read.
        array: Any = np.array(self.array) if self.weakly_typed is None else pickle.loads(self.weakly_typed)
        sharding = _sharding_of(self.placement)
        if self.placement == (jax.device_count(), []):
            array = jnp.asarray(array)
        else:
            array = jax.device_put(array, sharding or self._usual_sharding())
        return array if self.key_impl is None else jax.random.wrap_key_data(array, impl=self.key_impl)

    def _usual_sharding(self) -> Sharding:
        if not self.is_split:
            return jax_sharding_utils.get_replicate_sharding()
        return jax_sharding_utils.get_batch_dim_sharding()


class PickledLeaf:
    """An object that JAX takes for a leaf, such as one of a class of the submission, with the arrays that it holds."""

    def __init__(self, leaf: object, path: str):
        file = io.BytesIO()
        try:
            _LeafPickler(file, protocol=5).dump(leaf)
        except Exception as error:  # Raised for odd objects in many ways.
            raise pickle.PicklingError(f"optimizer_state{path}: {error}") from error
        self.pickled = file.getvalue()


class _LeafPickler(pickle.Pickler):
    def reducer_override(self, value: Any) -> Any:
        return (_restored, (SavedArray.of(value),)) if isinstance(value, jax.Array) else NotImplemented


def _restored(array: SavedArray) -> jax.Array:
    return array.restored()


class Frozen:
    """A tree in which there may be containers of the submission's own, pickled when the state was taken.

    So nothing of the submission is called when the file is written, and the rest of it can be read without.
    """

    def __init__(self, tree: object):
        self._buffers: list[pickle.PickleBuffer] = []
        self._graph = pickle.dumps(tree, protocol=5, buffer_callback=self._buffers.append)

    def thawed(self) -> Any:
        """The tree."""
        return pickle.loads(self._graph, buffers=self._buffers)

    @property
    def num_bytes(self) -> int:
        return len(self._graph) + sum(memoryview(buffer).nbytes for buffer in self._buffers)


# ---- trees -----------------------------------------------------------------------------------------------------------


def functions_in(tree: object) -> dict[str, Callable[..., object]]:
    """Path -> function of a tree."""
    leaves = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves if callable(leaf)}


def to_host(
    params: ParameterContainer, model_state: ModelAuxiliaryState, state: OptimizerState, extra: object = None
) -> tuple[HostCopy, list[str]]:
    """The tree of the four that a checkpoint holds, and the paths of the functions in the state.

    Of `extra`, which is for functions, it holds the data alone, and nothing where it is no tree.
    """
    functions: list[str] = []

    def saved(path: jax.tree_util.KeyPath, leaf: object) -> object:
        if isinstance(leaf, jax.Array):
            return SavedArray.of(leaf)
        if isinstance(leaf, PLAIN):
            return leaf
        name = jax.tree_util.keystr(path)
        is_function = callable(leaf) and (isinstance(leaf, FUNCTIONS) or hasattr(leaf, "__wrapped__"))
        if not is_function:
            try:
                return PickledLeaf(leaf, name.removeprefix("[2]"))
            except pickle.PicklingError:
                if not callable(leaf):
                    raise
        functions.append(name)
        return FunctionLeaf(name)

    *trees, saved_state = jax.tree_util.tree_map_with_path(saved, (params, model_state, state))
    return (*trees, Frozen(saved_state), Frozen(_data_of(extra))), functions


def weights_in(saved: HostCopy, per_device: bool) -> dict[str, np.ndarray]:
    """Parameters and model state by name; see `Backend.saved_weights`."""
    params, model_state = jax.tree_util.tree_map(lambda leaf: np.asarray(leaf.array), tuple(saved[:2]))
    if per_device:
        params = jax.tree_util.tree_map(lambda array: array[0], params)
        model_state = jax.tree_util.tree_map(lambda array: array.mean(axis=0), model_state)
    leaves = jax.tree_util.tree_leaves_with_path((params, model_state))
    return {jax.tree_util.keystr(path): leaf for path, leaf in leaves}


def num_bytes(saved: HostCopy) -> int:
    """The size of what `to_host` has made."""
    arrays = [leaf.array for leaf in jax.tree_util.tree_leaves(saved[:2])]
    return sum(array.nbytes for array in arrays) + sum(one.num_bytes for one in saved[2:])


def _data_of(extra: object) -> dict[str, object]:
    """Path -> data in the second item of an optimizer state."""
    try:
        leaves = jax.tree_util.tree_flatten_with_path(extra)[0]
    except Exception:  # Such as a dict whose keys have no order: nobody has asked for a tree here.
        return {}
    return {
        jax.tree_util.keystr(path): SavedArray.of(leaf) if isinstance(leaf, jax.Array) else leaf
        for path, leaf in leaves
        if isinstance(leaf, (jax.Array, *PLAIN))
    }


def extra_to_device(saved: HostCopy, fresh: object) -> object:
    """The second item of an optimizer state: data as saved, at their places in that of this process."""
    data = _thawed(saved[3]) if len(saved) > 3 else {}  # Older checkpoints are without.

    def restored(path: jax.tree_util.KeyPath, leaf: object) -> object:
        found = data.get(jax.tree_util.keystr(path), leaf)
        return found.restored() if isinstance(found, SavedArray) else found

    return jax.tree_util.tree_map_with_path(restored, fresh) if data else fresh


def to_device(
    saved: HostCopy, params: ParameterContainer, model_state: ModelAuxiliaryState, state: OptimizerState
) -> tuple[ParameterContainer, ModelAuxiliaryState, OptimizerState]:
    """The three as saved; the arguments are those of this process, freshly initialised.

    Raises:
      UsageError: if the parameters have an axis of devices, of which there were more or fewer.
    """
    _check_same_shapes(saved[0], params)
    functions = functions_in((params, model_state, state))

    def restored(leaf: object) -> object:
        if isinstance(leaf, SavedArray):
            return leaf.restored()
        if isinstance(leaf, PickledLeaf):
            return pickle.loads(leaf.pickled)
        if isinstance(leaf, FunctionLeaf):
            return functions.get(leaf.path)
        return leaf

    params, model_state, state = jax.tree_util.tree_map(restored, (*saved[:2], _thawed(saved[2])))
    return params, model_state, state


def _thawed(part: object) -> Any:
    return part.thawed() if isinstance(part, Frozen) else part  # Older checkpoints have the tree itself.


def _check_same_shapes(saved: ParameterContainer, params: ParameterContainer) -> None:
    for leaf, fresh in zip(jax.tree_util.tree_leaves(saved), jax.tree_util.tree_leaves(params), strict=False):
        if isinstance(leaf, SavedArray) and leaf.array.shape != fresh.shape:
            raise UsageError(
                f"The checkpoint holds parameters of shape {leaf.array.shape}, and this run's have {fresh.shape}. A "
                "submission for jax.pmap keeps a copy for each device: continue it with as many devices as before, or "
                "start over with --overwrite."
            )


# ---- where arrays are ------------------------------------------------------------------------------------------------


def _placement_of(leaf: jax.Array) -> tuple[Any, ...] | None:
    """What `_sharding_of` makes a sharding of; None where there is no telling.

    Devices are named by their numbers, as they exist in their own process only; what lies where JAX puts it by itself
    has none.
    """
    sharding = leaf.sharding
    if isinstance(sharding, NamedSharding) and isinstance(sharding.mesh, Mesh):
        mesh = sharding.mesh
        numbers = [device.id for device in mesh.devices.flat]
        layout = (mesh.axis_names, mesh.devices.shape, mesh.axis_types)
        return (jax.device_count(), numbers, layout, tuple(sharding.spec), sharding.memory_kind)
    if isinstance(sharding, SingleDeviceSharding):
        return (jax.device_count(), sorted(device.id for device in leaf.devices()) if leaf.committed else [])
    return None


def _sharding_of(placement: tuple[Any, ...] | None) -> Sharding | None:
    """The sharding in this process; None where it was not saved, or devices have come or gone."""
    if placement is None or placement[0] != jax.device_count():
        return None
    devices = {device.id: device for device in jax.devices()}
    numbers = placement[1]
    if not numbers or not set(numbers) <= devices.keys():
        return None
    if len(placement) == 2:
        return SingleDeviceSharding(devices[numbers[0]])
    (names, shape, kinds), spec, memory_kind = placement[2:]
    mesh = Mesh(np.array([devices[number] for number in numbers]).reshape(shape), names, axis_types=kinds)
    return NamedSharding(mesh, PartitionSpec(*spec), memory_kind=memory_kind)


def _replicated_copy(array: jax.Array) -> jax.Array:
    """The same on every device of all processes, which have to call this together."""
    return jax.jit(lambda array: array, out_shardings=jax_sharding_utils.get_replicate_sharding())(array)
