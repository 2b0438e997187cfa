"""What adapted optax optimizers need beyond `training_jax`: masks, the loss in their update, averaged parameters.

The submissions that `algoperf.adapter` writes import it. Most of them need `training_jax` alone.
"""

import functools
import inspect
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf import jax_sharding_utils, spec
from reference_algorithms.shared.forward import train_logits, train_loss
from reference_algorithms.shared.parameter_types import MATRIX_TYPES
from reference_algorithms.shared.step_options import StepOptions, is_logged
from reference_algorithms.shared.training_jax import LossAndState, plain_gradient

DECAYED = {*MATRIX_TYPES, spec.ParameterType.EMBEDDING}
"""Kernels of layers and tables of embeddings; no biases, and no scales of normalisation layers."""
AVERAGES = ("", "schedule_free", "pair")


def matrix_mask(workload: spec.Workload, params: spec.ParameterContainer) -> Any:
    """True for parameters that decay, in the structure of `params`; for `describe` of an initializer."""
    return _per_parameter(workload, params, lambda kind, param, key: kind in DECAYED)


def matrix_labels(workload: spec.Workload, params: spec.ParameterContainer) -> Any:
    """'matrices' for hidden matrices and 'rest' for all others, in the structure of `params`."""

    def label(kind: spec.ParameterType, param: jax.Array, key: str) -> str:
        is_matrix = kind in MATRIX_TYPES and param.ndim == 2 and not workload.is_output_params(key)
        return "matrices" if is_matrix else "rest"

    return _per_parameter(workload, params, label)


def _per_parameter(workload: spec.Workload, params: Any, value: Callable[..., Any]) -> Any:
    kinds = jax.tree.leaves(workload.model_params_types)
    leaves, structure = jax.tree.flatten_with_path(params)
    found = [
        value(kind, leaf, getattr(path[0], "key", ""))
        for kind, (path, leaf) in zip(kinds, leaves, strict=True)
    ]
    return jax.tree.unflatten(structure, found)


class StaticState(NamedTuple):
    """The part of the optimizer state that is compiled into the step and not saved."""

    update: Callable[..., Any]
    options: StepOptions
    averages: str


class Arrays(NamedTuple):
    """The part that is saved."""

    optimizer: Any
    slow: Any
    """Of a pair of fast and slow parameters, the slow ones; else None."""
    trained: Any
    """The parameters to go on with, while others are evaluated; else None."""


def initializer(
    make_optimizer: Callable[..., optax.GradientTransformation],
    point: SimpleNamespace,
    *,
    describe: Callable[..., Any] | None = None,
    averages: str = "",
) -> spec.InitOptimizerFn:
    """As `training_jax.initializer`, for an optimizer whose update looks at the loss, or which evaluates an average.

    Args:
      make_optimizer: called with the hyperparameters, the step hint, and the result of `describe`, if there is one.
      point: replaces the hyperparameters in the self-tuning ruleset.
      describe: computes facts about the parameters.
      averages: 'schedule_free', or 'pair' for `optax.lookahead`; '' for all others.
    """
    assert averages in AVERAGES

    def init_optimizer_state(
        workload: spec.Workload,
        model_params: spec.ParameterContainer,
        model_state: spec.ModelAuxiliaryState,
        hyperparameters: spec.Hyperparameters,
        rng: spec.RandomState,
    ) -> spec.OptimizerState:
        del model_state, rng
        values = point if hyperparameters is None else hyperparameters
        described = () if describe is None else (describe(workload, model_params),)
        optimizer = make_optimizer(values, workload.step_hint, *described)

        def init(params: spec.ParameterContainer) -> Arrays:
            is_pair = averages == "pair"
            start = optax.LookaheadParams.init_synced(params) if is_pair else params
            return Arrays(optimizer.init(start), jax.tree.map(jnp.copy, params) if is_pair else None, None)

        compiled = jax.jit(init, out_shardings=jax_sharding_utils.get_replicate_sharding())
        options = StepOptions.from_hyperparameters(values)
        return compiled(model_params), StaticState(optimizer.update, options, averages)

    return init_optimizer_state


def update_params(
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    current_params_types: spec.ParameterTypeTree,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    batch: spec.Batch,
    loss_type: spec.LossType,
    optimizer_state: spec.OptimizerState,
    eval_results: list[tuple[int, dict[str, float]]],
    global_step: int,
    rng: spec.RandomState,
) -> spec.UpdateReturn:
    """(optimizer state, parameters, model state) after one update; the old ones are donated."""
    del current_params_types, hyperparameters, loss_type, eval_results
    arrays, static = optimizer_state
    params = current_param_container if arrays.trained is None else arrays.trained
    arrays, params, model_state, loss, grad_norm = _compiled_step()(
        workload, static, model_state, arrays._replace(trained=None), params, batch, rng
    )
    if is_logged(static.options, global_step) and workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics({"loss": loss, "grad_norm": grad_norm}, global_step)
    return (arrays, static), params, model_state


def prepare_for_eval(
    *,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    optimizer_state: spec.OptimizerState,
    **others: Any,
) -> spec.UpdateReturn:
    """The averaged parameters, for the evaluation; the next update goes on with those that were trained."""
    del others
    arrays, static = optimizer_state
    if not static.averages or arrays.trained is not None:
        return optimizer_state, current_param_container, model_state
    averaged = _averaged(static.averages, arrays, current_param_container)
    return (arrays._replace(trained=current_param_container), static), averaged, model_state


@functools.partial(jax.jit, static_argnames="averages")
def _averaged(averages: str, arrays: Arrays, params: spec.ParameterContainer) -> spec.ParameterContainer:
    if averages == "pair":
        return jax.tree.map(jnp.copy, arrays.slow)
    return optax.contrib.schedule_free_eval_params(schedule_free_state(arrays.optimizer), params)


def schedule_free_state(state: optax.OptState) -> Any:
    """The state of schedule-free averaging within that of an optimizer; None where there is none."""
    kind = optax.contrib.ScheduleFreeState
    found = jax.tree.leaves(state, is_leaf=lambda node: isinstance(node, kind))
    return next((node for node in found if isinstance(node, kind)), None)


def extra_arguments(
    update: Callable[..., Any], value: Any, grad: Any, value_fn: Callable[..., Any]
) -> dict[str, Any]:
    """The further arguments that an update accepts, under the names that optax gives them.

    Args:
      update: of the optimizer.
      value: the loss at the parameters.
      grad: its gradient.
      value_fn: parameters -> loss, on the same batch.
    """
    known = {
        "value": value,
        "grad": grad,
        "value_fn": value_fn,
        "grad_fn": lambda params, *_: jax.grad(value_fn)(params),
        "obj_fn": value_fn,
    }
    parameters = inspect.signature(update).parameters.values()
    if any(one.kind == inspect.Parameter.VAR_KEYWORD for one in parameters):
        return known
    return {one.name: known[one.name] for one in parameters if one.name in known}


@functools.cache
def _compiled_step() -> Callable[..., Any]:
    """The jitted step; made at the first call, when the devices are known."""
    replicated = jax_sharding_utils.get_replicate_sharding()
    sharded = jax_sharding_utils.get_batch_dim_sharding()
    return jax.jit(
        _step,
        static_argnames=("workload", "static"),
        donate_argnames=("model_state", "arrays", "params"),
        in_shardings=(replicated, replicated, replicated, sharded, replicated),
        out_shardings=replicated,
    )


def _step(
    workload: spec.Workload,
    static: StaticState,
    model_state: spec.ModelAuxiliaryState,
    arrays: Arrays,
    params: spec.ParameterContainer,
    batch: spec.Batch,
    rng: spec.RandomState,
) -> tuple[Arrays, spec.ParameterContainer, spec.ModelAuxiliaryState, jax.Array, jax.Array]:
    """(arrays, parameters, model state) after the update, and (mean loss, gradient norm) before it."""
    options = static.options

    def mean_loss(params: spec.ParameterContainer, update_batch_norm: bool = True) -> LossAndState:
        logits, new_model_state = train_logits(
            workload, options, params, batch, model_state, rng, update_batch_norm
        )
        loss = train_loss(workload, options, batch, logits)
        return loss["summed"] / loss["n_valid_examples"], new_model_state

    # Line searches pass on what they do not use themselves, and insist on the names.
    def value_fn(
        params: spec.ParameterContainer, *_: Any, grad_fn: Any = None, obj_fn: Any = None
    ) -> jax.Array:
        del grad_fn, obj_fn
        return mean_loss(params, update_batch_norm=False)[0]  # Running statistics belong to the first pass.

    (loss, new_model_state), grads = plain_gradient(mean_loss, params)
    grad_norm = optax.tree.norm(grads)  # before clipping
    if options.grad_clip is not None:
        scale = jnp.minimum(1.0, options.grad_clip / (grad_norm + 1e-6))
        grads = jax.tree.map(lambda grad: grad * scale, grads)
    more = extra_arguments(static.update, loss, grads, value_fn)
    if static.averages == "pair":
        pair = optax.LookaheadParams(fast=params, slow=arrays.slow)
        updates, state = static.update(grads, arrays.optimizer, pair, **more)
        fast, slow = optax.apply_updates(pair, updates)
        return Arrays(state, slow, None), fast, new_model_state, loss, grad_norm
    updates, state = static.update(grads, arrays.optimizer, params, **more)
    return Arrays(state, None, None), optax.apply_updates(params, updates), new_model_state, loss, grad_norm
