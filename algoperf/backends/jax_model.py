"""A workload's Flax module as the functions of the API."""

import functools
from collections.abc import Mapping
from typing import Any, TypeVar, cast

import jax
import jax.numpy as jnp
import numpy as np
from flax.core import FrozenDict

from algoperf import jax_sharding_utils, param_utils, registry
from algoperf.backends.base import BoundWorkload, SubmissionError
from algoperf.data.batch import map_arrays
from algoperf.data.stream import Batch as HostBatch
from algoperf.families import JaxModelFile
from algoperf.jax_utils import dropout_key
from algoperf.losses import jax_losses
from algoperf.metrics import averages
from algoperf.spec import (
    Batch,
    ModelAuxiliaryState,
    ModelInitState,
    OptimizerState,
    ParameterContainer,
    ParameterShapeTree,
    ParameterTypeTree,
    RandomState,
)

Tree = TypeVar("Tree")
Logits = jax.Array | tuple[jax.Array, ...]
"""A tuple where a workload's loss needs more than logits; speech models give (logits, paddings)."""


def is_at_large(array: jax.Array) -> bool:
    """Whether an array is on one device only because nobody has said where it belongs."""
    is_on_one = isinstance(array.sharding, jax.sharding.SingleDeviceSharding)
    # On the only device there is, a choice of it is none.
    return is_on_one and (not array.committed or jax.device_count() == 1)


def is_kept_by_jax(leaf: object) -> bool:
    """Whether a value is one of NumPy that an update would return as an array of JAX, with the same numbers.

    JAX has no 64 bits by default, so what NumPy makes by itself, such as a table that a submission keeps for itself on
    the host, is none.

    >>> [is_kept_by_jax(one) for one in (np.zeros(2, np.float32), np.int32(0), np.zeros(2), np.array(["text"]), 0.5)]
    [True, True, False, False, False]
    """
    if not isinstance(leaf, (np.ndarray, np.generic)) or leaf.dtype.kind not in "biufc":
        return False
    return jax.dtypes.canonicalize_dtype(leaf.dtype) == leaf.dtype


@functools.cache
def kind_of_arrays() -> type:
    """The class of JAX's arrays, which has no public name; `jax.Array` may be what any class says that it is."""
    return type(jnp.zeros(()))


class JaxModel:
    """See `algoperf.backends.base.BoundModel`.

    Args:
      workload: gives the spec and the backend's transfers.
    """

    def __init__(self, workload: BoundWorkload):
        self.spec = workload.spec
        self._to_device = workload.backend.to_device
        family = registry.model_module(self.spec, "jax")
        assert isinstance(family, JaxModelFile)
        self._family, self._call_args = family, family.call_args
        self.loss = family.loss or jax_losses.LOSSES[self.spec.loss_type]
        kind_of_arrays()  # Now, before there is a submission that could have it be something else.
        self._abstract_params: Any = None
        self._abstract_state: Any = None
        self._eval_step = jax.jit(self._eval_outputs)

    @functools.cached_property
    def module(self) -> Any:
        return self._family.make_model(self.spec)

    # ---- parameters --------------------------------------------------------------------------------------------

    def init(self, rng: RandomState) -> ModelInitState:
        batch = self._family.example_batch(self.spec)
        shapes = map_arrays(lambda array: jax.ShapeDtypeStruct(array.shape, array.dtype), batch)
        # lazy_init runs the initialisers only, not the forward pass, so there is less to compile.
        arguments = self._call_args(shapes, train=False)
        # Weights are drawn with the generator of dropout masks: JAX's own takes a second to compile for each shape.
        key = dropout_key(jnp.asarray(rng))
        init = functools.partial(self.module.lazy_init, **arguments, train=False, dropout_rate=0.0)
        # The program runs once, so compile time matters and its speed does not: no optimisation.
        options: dict[str, Any] = {"xla_backend_optimization_level": 0}
        variables = dict(jax.jit(init).lower(key).compile(options)(key))
        params = variables.pop("params")
        self._abstract_params = jax.eval_shape(lambda tree: tree, params)
        self._abstract_state = jax.eval_shape(lambda tree: tree, variables)
        params, variables = jax_sharding_utils.replicate((params, variables))
        return params, (variables or None)

    def _shapes_known(self) -> ParameterContainer:
        if self._abstract_params is None:
            raise ValueError("The model has no parameters yet: call workload.init_model_fn first.")
        return self._abstract_params

    @functools.cached_property
    def param_shapes(self) -> ParameterShapeTree:
        return param_utils.jax_param_shapes(self._shapes_known())

    @functools.cached_property
    def param_types(self) -> ParameterTypeTree:
        return param_utils.jax_param_types(self.param_shapes)

    def place_state(
        self,
        params: ParameterContainer,
        model_state: ModelAuxiliaryState,
        optimizer_state: OptimizerState,
    ) -> tuple[ParameterContainer, ModelAuxiliaryState, OptimizerState]:
        # Item 1 of the optimizer state is for functions: where data in it lie is the submission's own affair.
        arrays, other = cast(tuple[Any, Any], optimizer_state)
        params, model_state, arrays = self._placed((params, model_state, arrays))
        # Of the submission's own kind, where that is a pair with names.
        make = getattr(optimizer_state, "_make", tuple)
        return params, model_state, make((arrays, other))

    def _placed(self, tree: Tree) -> Tree:
        placed: dict[int, tuple[object, jax.Array]] = {}  # Arrays that occur twice stay one array.

        def place(leaf: object) -> object:
            if id(leaf) in placed:
                return placed[id(leaf)][1]
            array = jnp.array(leaf) if is_kept_by_jax(leaf) else leaf
            if not isinstance(array, jax.Array) or array.is_deleted():
                return leaf
            sharding = self._sharding_of_updates(array)
            if sharding is not None:
                array = jax.device_put(array, sharding)
            placed[id(leaf)] = leaf, array
            return array

        return jax.tree.map(place, tree)

    def _sharding_of_updates(self, array: jax.Array) -> jax.sharding.Sharding | None:
        """Where an update will return this array of the training state; None where it is there already."""
        return jax_sharding_utils.get_replicate_sharding() if is_at_large(array) else None

    def to_device(self, batch: HostBatch, is_local: bool = False) -> Batch:
        return self._to_device(batch, is_local)

    def eval_to_device(self, batch: HostBatch) -> Batch:
        return self._to_device(batch)

    # ---- passes ------------------------------------------------------------------------------------------------

    def train_forward(
        self,
        params: ParameterContainer,
        batch: Batch,
        model_state: ModelAuxiliaryState,
        rng: RandomState,
        update_batch_norm: bool,
        dropout_rate: float | jax.Array,
    ) -> tuple[Logits, ModelAuxiliaryState]:
        apply = functools.partial(
            self.module.apply,
            {"params": params, **(model_state or {})},
            **self._call_args(batch, train=True),
            train=True,
            dropout_rate=dropout_rate,
            rngs={"dropout": dropout_key(rng)},
        )
        if not model_state:
            return apply(), model_state
        # Flax normalises by the batch in training mode in any case; without `update_batch_norm` the new
        # running statistics are dropped.
        logits, new_state = apply(mutable=list(model_state))
        return logits, (dict(new_state) if update_batch_norm else model_state)

    def eval_forward(
        self, params: ParameterContainer, batch: Batch, model_state: ModelAuxiliaryState
    ) -> Logits:
        variables = {"params": params, **(model_state or {})}
        args = self._call_args(batch, train=False)
        return self.module.apply(variables, **args, train=False, dropout_rate=0.0)

    def running_average_forward(
        self, params: ParameterContainer, batch: Batch, model_state: ModelAuxiliaryState
    ) -> Logits:
        return self.eval_forward(params, batch, model_state)

    def _eval_outputs(
        self, params: ParameterContainer, model_state: ModelAuxiliaryState, batch: Batch
    ) -> dict[str, jax.Array]:
        if self._family.eval_outputs is not None:
            variables = {"params": params, **(model_state or {})}
            return self._family.eval_outputs(self.module, variables, batch, self.spec)
        # Tuples go to `eval_outputs` of the family.
        logits = cast(jax.Array, self.eval_forward(params, batch, model_state))
        outputs = {"loss": self.loss(batch["targets"], logits, None, 0.0)["per_example"]}
        if averages.wants_correct(self.spec):
            outputs["correct"] = jnp.argmax(logits, axis=-1) == batch["targets"]
        return outputs

    def eval_step(
        self, params: ParameterContainer, model_state: ModelAuxiliaryState, batch: Batch
    ) -> dict[str, np.ndarray]:
        outputs = self._eval_step(params, model_state, batch)
        if jax.process_count() > 1:
            from jax.experimental import multihost_utils

            outputs = multihost_utils.process_allgather(outputs, tiled=True)
        return {key: np.asarray(value) for key, value in outputs.items()}

    # ---- weights for another process ---------------------------------------------------------------------------

    def weights(self, params: ParameterContainer, model_state: ModelAuxiliaryState) -> dict[str, np.ndarray]:
        leaves = jax.tree_util.tree_leaves_with_path((params, model_state))
        return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}

    def with_weights(
        self,
        params: ParameterContainer,
        model_state: ModelAuxiliaryState,
        arrays: Mapping[str, np.ndarray],
    ) -> ModelInitState:
        def loaded(path: jax.tree_util.KeyPath, leaf: object) -> np.ndarray:
            del leaf
            # A copy: on the CPU, JAX would share memory with the array, which another process may change.
            return np.array(arrays[jax.tree_util.keystr(path)])

        tree = jax.tree_util.tree_map_with_path(loaded, (params, model_state))
        params, model_state = jax_sharding_utils.replicate(tree)
        return params, model_state

    # ---- checks ------------------------------------------------------------------------------------------------

    def check_update(self, params: ParameterContainer, model_state: ModelAuxiliaryState) -> None:
        expected = self._shapes_known()
        wanted, found = jax.tree_util.tree_structure(expected), jax.tree_util.tree_structure(params)
        if wanted != found:  # type: ignore[operator]  # The stub of PyTreeDef leaves out its comparison.
            raise SubmissionError(
                "The submission returned parameters of another structure than the model's: "
                f"expected {_shorten(wanted)}, got {_shorten(found)}. Return (optimizer_state, params, model_state) "
                "in this order, with the parameter tree that was passed in."
            )
        paths_and_leaves = jax.tree_util.tree_flatten_with_path(expected)[0]
        for (path, want), got in zip(paths_and_leaves, jax.tree_util.tree_leaves(params), strict=True):
            name = jax.tree_util.keystr(path)
            _check_kind(f"parameter {name}", got)
            if want.shape != self._shape_of(got) or want.dtype != got.dtype:
                raise SubmissionError(
                    f"The submission returned parameter {name} as {got.dtype}{list(self._shape_of(got))}; the model's "
                    f"is {want.dtype}{list(want.shape)}. A submission must not change the model."
                )
        self._check_state(model_state)

    def _check_state(self, model_state: ModelAuxiliaryState) -> None:
        """Raises SubmissionError for a model state that does not fit the model; its kinds of dict are not looked at."""
        wanted, found = _entries(self._abstract_state), _entries(model_state)
        if wanted.keys() != found.keys():
            odd = sorted(wanted.keys() ^ found.keys())[0]
            raise SubmissionError(
                f"The submission returned a model state with other entries than the model's, for example {odd}: return "
                "what model_fn gave."
            )
        for name, want in wanted.items():
            _check_kind(f"{name} of the model state", found[name])
            if want.shape != self._shape_of(found[name]):
                raise SubmissionError(
                    f"The submission returned {name} of the model state with shape "
                    f"{list(self._shape_of(found[name]))}; the model's has {list(want.shape)}."
                )

    def _shape_of(self, leaf: jax.Array) -> tuple[int, ...]:
        """The shape of an array of the training state as the model knows it."""
        return tuple(leaf.shape)

    def has_finite_params(self, params: ParameterContainer) -> bool:
        leaves = jax.tree_util.tree_leaves(params)
        return bool(_all_finite(leaves))


@jax.jit
def _all_finite(leaves: list[jax.Array]) -> jax.Array:
    return jnp.stack([jnp.isfinite(leaf).all() for leaf in leaves]).all()


def _entries(tree: object, path: str = "") -> dict[str, Any]:
    """Path -> leaf of nested dictionaries; what is none is a leaf, whatever it says of itself."""
    if tree is None:
        return {}
    if type(tree) not in (dict, FrozenDict):
        return {path: tree}
    found = {}
    for key, value in cast(Mapping[str, object], tree).items():
        found.update(_entries(value, f"{path}[{key!r}]"))
    return found


def _check_kind(what: str, leaf: object) -> None:
    """Raises SubmissionError for what is no array but acts like one: evaluation would run its methods."""
    if type(leaf) not in (kind_of_arrays(), np.ndarray):
        raise SubmissionError(
            f"The submission returned {what} as a {type(leaf).__name__}; return arrays of JAX (R3.13)."
        )


def _shorten(value: object, limit: int = 300) -> str:
    text = str(value)
    return text if len(text) <= limit else text[:limit] + "…"
