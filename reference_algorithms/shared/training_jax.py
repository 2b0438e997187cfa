"""The training step in JAX: one compiled function from batch to new parameters, for every algorithm.

An algorithm builds an `optax.GradientTransformation` and hands it to `init_state`; `update_params` and
`data_selection` are the functions that the harness calls. The optimizer state is the pair (arrays, static
part). No step waits for the device, and all arithmetic of a step, the learning rate included, is compiled.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf import jax_sharding_utils, spec
from reference_algorithms.shared.step_options import LOG_EVERY_STEPS, StepOptions


class StaticState(NamedTuple):
    """The half of the optimizer state that is compiled into the step instead of being saved."""

    update: Callable[..., Any]
    """`optax.GradientTransformation.update` of the algorithm."""
    options: StepOptions
    gradient: Callable[..., Any]
    """See `plain_gradient`."""


def plain_gradient(mean_loss: Callable[..., Any], params: spec.ParameterContainer) -> Any:
    """((loss, new model state), gradient for `params`); what an algorithm may replace.

    `mean_loss(params, update_batch_norm=True)` returns the loss over all valid examples and the new model state.
    """
    return jax.value_and_grad(mean_loss, has_aux=True)(params)


def init_state(
    optimizer: optax.GradientTransformation,
    model_params: spec.ParameterContainer,
    hyperparameters: Any,
    gradient: Callable[..., Any] = plain_gradient,
) -> spec.OptimizerState:
    """The optimizer state of a new trial; arrays are replicated over all devices."""
    # Compiled, because one eager operation per shape of parameter takes seconds for a large model.
    init = jax.jit(optimizer.init, out_shardings=jax_sharding_utils.get_replicate_sharding())
    options = StepOptions.from_hyperparameters(hyperparameters)
    return init(model_params), StaticState(optimizer.update, options, gradient)


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
    """New optimizer state, parameters and model state after one update.

    The old three are donated: their memory is reused and they cannot be read again.
    """
    del current_params_types, hyperparameters, loss_type, eval_results
    arrays, static = optimizer_state
    arrays, params, model_state, loss, grad_norm = _compiled_step()(
        workload, static, model_state, arrays, current_param_container, batch, rng
    )
    if global_step % LOG_EVERY_STEPS == 0 and workload.metrics_logger is not None:
        # Device scalars: the logger reads them when they are ready, this step does not wait.
        workload.metrics_logger.append_scalar_metrics({"loss": loss, "grad_norm": grad_norm}, global_step)
    return (arrays, static), params, model_state


def data_selection(
    workload: spec.Workload,
    input_queue: Iterator[spec.Batch],
    optimizer_state: spec.OptimizerState,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    global_step: int,
    rng: spec.RandomState,
) -> spec.Batch:
    """The next batch of the queue."""
    del workload, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
    return next(input_queue)


@functools.cache
def _compiled_step() -> Callable[..., Any]:
    """The jitted step, one per process: made at the first call, when the devices are known."""
    replicated = jax_sharding_utils.get_replicate_sharding()
    sharded = jax_sharding_utils.get_batch_dim_sharding()
    return jax.jit(
        _step,
        static_argnames=("workload", "static"),
        donate_argnames=("model_state", "optimizer_arrays", "params"),
        in_shardings=(replicated, replicated, replicated, sharded, replicated),  # static ones do not count
        out_shardings=replicated,
    )


def _step(workload, static, model_state, optimizer_arrays, params, batch, rng):
    options = static.options
    dropout = {} if options.dropout_rate is None else {"dropout_rate": options.dropout_rate}

    def mean_loss(params, update_batch_norm=True):
        train = spec.ForwardPassMode.TRAIN
        logits, new_model_state = workload.model_fn(
            params, batch, model_state, train, rng, update_batch_norm=update_batch_norm, **dropout
        )
        loss = workload.loss_fn(
            label_batch=batch["targets"],
            logits_batch=logits,
            mask_batch=batch.get("weights"),
            label_smoothing=options.label_smoothing,
        )
        # The batch is one array over all devices, so sum and count are global already.
        return loss["summed"] / loss["n_valid_examples"], new_model_state

    (loss, new_model_state), grads = static.gradient(mean_loss, params)
    grad_norm = optax.tree.norm(grads)  # before clipping
    if options.grad_clip is not None:
        scale = jnp.minimum(1.0, options.grad_clip / (grad_norm + 1e-6))
        grads = jax.tree.map(lambda grad: grad * scale, grads)
    updates, optimizer_arrays = static.update(grads, optimizer_arrays, params)
    return optimizer_arrays, optax.apply_updates(params, updates), new_model_state, loss, grad_norm
