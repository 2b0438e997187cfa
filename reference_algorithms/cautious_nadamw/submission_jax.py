"""Cautious NadamW in JAX; see README.md for the rule, its sources and the search spaces."""

import jax
import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT
from reference_algorithms.nadamw.submission_jax import scale_by_nadam
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_jax


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int) -> optax.GradientTransformation:
    """w <- w - η (mask · m̂ / (√v̂ + ε) + λ w), where η follows a schedule over `step_hint` updates."""
    schedule = schedules.cosine(hyperparameters, step_hint, jnp)
    nadam = scale_by_nadam(beta1=1 - hyperparameters.one_minus_beta1, beta2=hyperparameters.beta2)
    return optax.chain(
        cautious(nadam),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )


def cautious(transformation: optax.GradientTransformation) -> optax.GradientTransformation:
    """Masks elements whose step has the wrong sign for the current gradient, and scales up the rest of the tensor.

    Source: Liang et al. 2024, https://arxiv.org/abs/2411.16085.
    """

    def masked(update: jax.Array, grad: jax.Array) -> jax.Array:
        mask = (update * grad > 0).astype(update.dtype)
        # Divided by the share of kept elements, so that the mean step size stays; the floor is that of the
        # authors' code.
        return update * (mask / jnp.maximum(mask.mean(), 1e-3))

    def update(
        grads: optax.Updates, state: optax.OptState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.OptState]:
        updates, state = transformation.update(grads, state, params)
        return jax.tree.map(masked, updates, grads), state

    return optax.GradientTransformation(transformation.init, update)


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_jax.initializer(make_optimizer, SELF_TUNING_POINT, schedule=schedules.cosine)
data_selection = input_queue.next_batch
update_params = training_jax.update_params
