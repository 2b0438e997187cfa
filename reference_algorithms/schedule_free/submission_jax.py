"""Schedule-Free AdamW in JAX; see README.md for the rule, its sources and the search spaces."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.schedule_free.self_tuning import (
    EPSILON,
    SELF_TUNING_POINT,
    STATISTICS_EVERY_STEPS,
)
from reference_algorithms.shared import batch_sizes, input_queue, training_jax
from reference_algorithms.shared.forward import train_logits
from reference_algorithms.shared.step_options import StepOptions
from reference_algorithms.shared.training_jax import LossAndState, MeanLoss


class ScheduleFreeState(NamedTuple):
    count: jax.Array  # type: ignore[assignment]  # as in optax, though it hides tuple.count
    weight_sum: jax.Array
    x: optax.Params
    """The average of z, used for evaluations."""
    z: optax.Params
    v: optax.Params


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    """Schedule-Free AdamW; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    optimizer = make_optimizer(hyperparameters, workload.step_hint)
    arrays, static = training_jax.init_state(
        optimizer, model_params, hyperparameters, gradient_with_frozen_statistics
    )
    # Between evaluations the parameters are y. At the start x = y = z.
    return (arrays, False), (static, 1 - hyperparameters.one_minus_beta1)


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int) -> optax.GradientTransformation:
    """Maps gradients at y to steps from y to the next y; x and z are part of the state."""
    rate, weight_decay = hyperparameters.learning_rate, hyperparameters.weight_decay
    beta1, beta2 = 1 - hyperparameters.one_minus_beta1, hyperparameters.beta2
    warmup_steps = max(int(hyperparameters.warmup_factor * step_hint), 1)

    def init(params: optax.Params) -> ScheduleFreeState:
        x, z = (jax.tree.map(jnp.copy, params) for _ in range(2))
        zeros = optax.tree.zeros_like(params)
        return ScheduleFreeState(jnp.zeros((), jnp.int32), jnp.zeros(()), x, z, zeros)

    def update(
        grads: optax.Updates, state: ScheduleFreeState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, ScheduleFreeState]:
        count = state.count + 1
        eta = rate * jnp.minimum(1.0, count / warmup_steps)
        alpha = eta * jnp.sqrt(1 - beta2**count)
        # x averages z with weights η², so that iterates of the warm-up count little (algorithm 1 of the
        # paper).
        weight_sum = state.weight_sum + eta**2
        share = eta**2 / weight_sum
        v = optax.tree.update_moment(grads, state.v, beta2, 2)

        def new_z(z: jax.Array, y: jax.Array, g: jax.Array, v: jax.Array) -> jax.Array:
            return z - alpha * (weight_decay * y + g / (jnp.sqrt(v) + EPSILON))

        z = jax.tree.map(new_z, state.z, params, grads, v)
        x = jax.tree.map(lambda x, z: x + share * (z - x), state.x, z)
        steps = jax.tree.map(lambda new, old: new - old, between(x, z, beta1), params)
        return steps, ScheduleFreeState(count, weight_sum, x, z, v)

    return optax.GradientTransformation(init, update)


def between(x: optax.Params, z: optax.Params, beta1: float) -> optax.Params:
    """y = β1 x + (1 - β1) z, the point at which gradients are taken."""
    return jax.tree.map(lambda x, z: beta1 * x + (1 - beta1) * z, x, z)


def gradient_with_frozen_statistics(
    mean_loss: MeanLoss, params: spec.ParameterContainer
) -> tuple[LossAndState, spec.ParameterContainer]:
    """The gradient at y, without moving the running statistics of batch norm, which belong to x."""
    return training_jax.plain_gradient(functools.partial(mean_loss, update_batch_norm=False), params)


def update_params(
    *,
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    batch: spec.Batch,
    optimizer_state: spec.OptimizerState,
    global_step: int,
    rng: spec.RandomState,
    **others: Any,
) -> spec.UpdateReturn:
    """One update; at every `STATISTICS_EVERY_STEPS`-th also a forward pass at x, for the statistics of batch norm."""
    (arrays, is_average), (static, beta1) = optimizer_state
    if is_average:
        current_param_container = _between(arrays.x, arrays.z, beta1)
    (arrays, _), params, model_state = training_jax.update_params(
        workload=workload,
        current_param_container=current_param_container,
        model_state=model_state,
        batch=batch,
        optimizer_state=(arrays, static),
        global_step=global_step,
        rng=rng,
        **others,
    )
    if model_state and global_step % STATISTICS_EVERY_STEPS == 0:
        model_state = _statistics(workload, static.options, arrays.x, batch, model_state, rng)
    return ((arrays, False), (static, beta1)), params, model_state


def prepare_for_eval(
    *,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    optimizer_state: spec.OptimizerState,
    **others: Any,
) -> spec.UpdateReturn:
    """Returns x for the evaluation; the next update computes y again from x and z."""
    del current_param_container, others
    (arrays, _), static = optimizer_state
    # A copy, because the next update donates x.
    return ((arrays, True), static), jax.tree.map(jnp.copy, arrays.x), model_state


_between = jax.jit(between)


@functools.partial(jax.jit, static_argnames=("workload", "options"), donate_argnames="model_state")
def _statistics(
    workload: spec.Workload,
    options: StepOptions,
    params: spec.ParameterContainer,
    batch: spec.Batch,
    model_state: spec.ModelAuxiliaryState,
    rng: spec.RandomState,
) -> spec.ModelAuxiliaryState:
    """Running statistics after a forward pass with `params`."""
    return train_logits(workload, options, params, batch, model_state, rng)[1]


get_batch_size = batch_sizes.get_batch_size
data_selection = input_queue.next_batch
