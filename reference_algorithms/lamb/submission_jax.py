"""LAMB in JAX; see README.md for the rule, its sources and the search spaces."""

import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.lamb.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_jax


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int) -> optax.GradientTransformation:
    """`optax.lamb`, which is exactly the rule of README.md."""
    return optax.lamb(
        schedules.cosine(hyperparameters, step_hint, jnp),
        b1=1 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        eps=1e-8,  # optax's default is 1e-6; 1e-8 is what the other Adam rules here use
        weight_decay=hyperparameters.weight_decay,
    )


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_jax.initializer(make_optimizer, SELF_TUNING_POINT, schedule=schedules.cosine)
data_selection = input_queue.next_batch
update_params = training_jax.update_params
