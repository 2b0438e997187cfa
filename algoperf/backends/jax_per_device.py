"""Compatibility with JAX submissions that map their step over devices with `jax.pmap`.

Until mid-2025 arrays carried a leading axis with one copy or share per device: parameters, model state and
optimizer state are replicated along it, and every batch leaf is (devices, batch / devices, ...). The mapped axis
is called 'batch'. Evaluation and targets are the same as ever: copy 0 of the parameters is evaluated, with running
statistics averaged over the devices.
"""

from typing import TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from algoperf import jax_sharding_utils
from algoperf.backends.jax_model import JaxModel, is_at_large
from algoperf.data.batch import map_arrays
from algoperf.data.stream import Batch as HostBatch
from algoperf.spec import Batch, ModelAuxiliaryState, ModelInitState, ParameterContainer, RandomState

Tree = TypeVar("Tree")


def _replicate(tree: Tree) -> Tree:
    copies = jax.local_device_count()
    # By way of the host: an array that is tied to all devices would not be spread over them again.
    return jax.tree.map(lambda leaf: jnp.stack([np.asarray(leaf)] * copies), tree)


def _first_copy(tree: Tree) -> Tree:
    return jax.tree.map(lambda leaf: leaf[0], tree)


class PerDeviceModel(JaxModel):
    """The model with parameters and batches in the per-device layout; see `JaxModel`."""

    def init(self, rng: RandomState) -> ModelInitState:
        params, model_state = super().init(rng)
        return _replicate(params), None if model_state is None else _replicate(model_state)

    def _sharding_of_updates(self, array: jax.Array) -> jax.sharding.Sharding | None:
        # pmap splits the first axis over a mesh whose axis is called as its own: 'batch' in all public submissions.
        split = jax_sharding_utils.get_batch_dim_sharding()
        has_copies = array.ndim > 0 and array.shape[0] == jax.local_device_count()
        if has_copies and (is_at_large(array) or array.sharding.is_equivalent_to(split, array.ndim)):
            return split
        return None

    # Training batches alone: `eval_to_device` stays that of `JaxModel`, because the axis of devices is what a
    # submission's pmap wants, and evaluation is one function over all devices, the same for every submission.
    def to_device(self, batch: HostBatch, is_local: bool = False) -> Batch:
        assert not is_local  # This layout is for one process.
        copies = jax.local_device_count()
        if self._family.split_over_devices is not None:
            return self._family.split_over_devices(batch, copies)
        return map_arrays(lambda array: array.reshape(copies, -1, *array.shape[1:]), batch)

    def eval_step(
        self, params: ParameterContainer, model_state: ModelAuxiliaryState, batch: Batch
    ) -> dict[str, np.ndarray]:
        if model_state:
            model_state = jax.tree.map(lambda leaf: leaf.mean(axis=0), model_state)
        return super().eval_step(_first_copy(params), model_state, batch)

    def weights(self, params: ParameterContainer, model_state: ModelAuxiliaryState) -> dict[str, np.ndarray]:
        if model_state:
            model_state = jax.tree.map(lambda leaf: leaf.mean(axis=0), model_state)
        return super().weights(_first_copy(params), model_state)

    def _shape_of(self, leaf: jax.Array) -> tuple[int, ...]:
        return tuple(leaf.shape)[1:]  # Without the axis of devices.
