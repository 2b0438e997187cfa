"""The training step in JAX: one compiled function from batch to new parameters, for every algorithm.

An algorithm defines a function that builds an `optax.GradientTransformation`; `initializer` turns it into
`init_optimizer_state`. The harness calls `update_params`. The optimizer state is the pair (arrays, static part). No
step waits for the device, and all arithmetic of a step, the learning rate included, is compiled.
"""

import functools
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
import optax

from algoperf import jax_sharding_utils, spec
from reference_algorithms.shared.forward import train_logits, train_loss
from reference_algorithms.shared.schedules import Schedule
from reference_algorithms.shared.step_options import StepOptions, is_logged

LossAndState = tuple[jax.Array, spec.ModelAuxiliaryState]


class MeanLoss(Protocol):
    """(mean loss over all valid examples of the batch, new model state)."""

    def __call__(self, params: spec.ParameterContainer, update_batch_norm: bool = True) -> LossAndState: ...


Gradient = Callable[[MeanLoss, spec.ParameterContainer], tuple[LossAndState, spec.ParameterContainer]]
"""Maps a loss and the parameters to ((loss, new model state), gradient); see `plain_gradient`."""


class StaticState(NamedTuple):
    """The part of the optimizer state that is compiled into the step and not saved."""

    update: optax.TransformUpdateFn
    """`optax.GradientTransformation.update` of the algorithm."""
    options: StepOptions
    gradient: Gradient
    schedule: Schedule | None = None
    """Says the learning rate for the records; that of the update is compiled with it."""


def plain_gradient(
    mean_loss: MeanLoss, params: spec.ParameterContainer
) -> tuple[LossAndState, spec.ParameterContainer]:
    """((loss, new model state), gradient) at `params`; an algorithm may use another function instead."""
    return jax.value_and_grad(mean_loss, has_aux=True)(params)


def always_plain(hyperparameters: spec.Hyperparameters) -> Gradient:
    """`plain_gradient` for any hyperparameters."""
    del hyperparameters
    return plain_gradient


def initializer(
    make_optimizer: Callable[..., optax.GradientTransformation],
    self_tuning_point: SimpleNamespace,
    *,
    describe: Callable[[spec.Workload, spec.ParameterContainer], Any] | None = None,
    make_gradient: Callable[[spec.Hyperparameters], Gradient] = always_plain,
    schedule: Callable[[spec.Hyperparameters, int], Schedule] | None = None,
) -> spec.InitOptimizerFn:
    """Makes the `init_optimizer_state` of an algorithm, with the five arguments that the harness passes.

    Args:
      make_optimizer: called with the hyperparameters and the step hint. The learning-rate schedule is part of the
        transformation, which therefore counts updates.
      self_tuning_point: replaces the hyperparameters in the self-tuning ruleset, which has none.
      describe: computes facts about the parameters (types, shapes) from the workload and the parameters, for rules
        that need them; `make_optimizer` gets the result as a third argument.
      make_gradient: for rules that take the gradient at another point than the parameters.
      schedule: called with the hyperparameters and the step hint; gives the schedule that is part of the
        transformation, to log the learning rate. Without it none is logged.
    """

    def init_optimizer_state(
        workload: spec.Workload,
        model_params: spec.ParameterContainer,
        model_state: spec.ModelAuxiliaryState,
        hyperparameters: spec.Hyperparameters,
        rng: spec.RandomState,
    ) -> spec.OptimizerState:
        del model_state, rng
        point = self_tuning_point if hyperparameters is None else hyperparameters
        described = () if describe is None else (describe(workload, model_params),)
        optimizer = make_optimizer(point, workload.step_hint, *described)
        rate = None if schedule is None else schedule(point, workload.step_hint)
        return init_state(optimizer, model_params, point, make_gradient(point), rate)

    return init_optimizer_state


def init_state(
    optimizer: optax.GradientTransformation,
    model_params: spec.ParameterContainer,
    hyperparameters: spec.Hyperparameters,
    gradient: Gradient = plain_gradient,
    schedule: Schedule | None = None,
) -> tuple[optax.OptState, StaticState]:
    """The optimizer state of a new trial; arrays are replicated on all devices."""
    # Jitted as one program: eager operations, compiled one per parameter shape, take seconds for a large model.
    init = jax.jit(optimizer.init, out_shardings=jax_sharding_utils.get_replicate_sharding())
    options = StepOptions.from_hyperparameters(hyperparameters)
    return init(model_params), StaticState(optimizer.update, options, gradient, schedule)


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
    """(optimizer state, parameters, model state) after one update.

    The old ones are donated: their memory is reused, and they cannot be read any more.
    """
    del current_params_types, hyperparameters, loss_type, eval_results
    arrays, static = optimizer_state
    arrays, params, model_state, loss, grad_norm = _compiled_step()(
        workload, static, model_state, arrays, current_param_container, batch, rng
    )
    if is_logged(static.options, global_step) and workload.metrics_logger is not None:
        # Device scalars: the logger reads them when they are ready, this step does not wait.
        metrics = {"loss": loss, "grad_norm": grad_norm}
        if static.schedule is not None:
            metrics["learning_rate"] = static.schedule(global_step)  # On the host, in Python's numbers.
        workload.metrics_logger.append_scalar_metrics(metrics, global_step)
    return (arrays, static), params, model_state


@functools.cache
def _compiled_step() -> Callable[..., Any]:
    """The jitted step; made at the first call, when the devices are known."""
    replicated = jax_sharding_utils.get_replicate_sharding()
    sharded = jax_sharding_utils.get_batch_dim_sharding()
    return jax.jit(
        _step,
        static_argnames=("workload", "static"),
        donate_argnames=("model_state", "optimizer_arrays", "params"),
        # without the static arguments
        in_shardings=(replicated, replicated, replicated, sharded, replicated),
        out_shardings=replicated,
    )


def _step(
    workload: spec.Workload,
    static: StaticState,
    model_state: spec.ModelAuxiliaryState,
    optimizer_arrays: optax.OptState,
    params: spec.ParameterContainer,
    batch: spec.Batch,
    rng: spec.RandomState,
) -> tuple[optax.OptState, spec.ParameterContainer, spec.ModelAuxiliaryState, jax.Array, jax.Array]:
    """(optimizer arrays, parameters, model state) after the update, and (mean loss, gradient norm) before it."""
    options = static.options

    def mean_loss(params: spec.ParameterContainer, update_batch_norm: bool = True) -> LossAndState:
        logits, new_model_state = train_logits(
            workload, options, params, batch, model_state, rng, update_batch_norm
        )
        loss = train_loss(workload, options, batch, logits)
        # The batch is one array over all devices, so sum and count are already global.
        return loss["summed"] / loss["n_valid_examples"], new_model_state

    (loss, new_model_state), grads = static.gradient(mean_loss, params)
    grad_norm = optax.tree.norm(grads)  # before clipping
    if options.grad_clip is not None:
        # As in PyTorch's clip_grad_norm_; its 1e-6 keeps the scale of a zero gradient finite.
        scale = jnp.minimum(1.0, options.grad_clip / (grad_norm + 1e-6))
        grads = jax.tree.map(lambda grad: grad * scale, grads)
    updates, optimizer_arrays = static.update(grads, optimizer_arrays, params)
    return optimizer_arrays, optax.apply_updates(params, updates), new_model_state, loss, grad_norm
