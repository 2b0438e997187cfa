"""Prodigy in JAX; see README.md for the rule, its sources and the search spaces."""

import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.prodigy.self_tuning import EPSILON, SELF_TUNING_POINT
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_jax


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int) -> optax.GradientTransformation:
    """`optax.contrib.prodigy`, which is exactly the rule of README.md."""
    return optax.contrib.prodigy(
        schedules.cosine(hyperparameters, step_hint, jnp),
        betas=(1 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        eps=EPSILON,
        estim_lr0=hyperparameters.first_estimate,
        weight_decay=hyperparameters.weight_decay,
        safeguard_warmup=True,  # keeps the warm-up's small factors out of the sum of gradients
    )


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_jax.initializer(make_optimizer, SELF_TUNING_POINT, schedule=schedules.cosine)
data_selection = input_queue.next_batch
update_params = training_jax.update_params
