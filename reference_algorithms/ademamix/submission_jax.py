"""AdEMAMix in JAX; see README.md for the rule, its sources and the search spaces."""

import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.ademamix.self_tuning import SELF_TUNING_POINT
from reference_algorithms.ademamix.slow_average import SlowAverage
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_jax


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int) -> optax.GradientTransformation:
    """`optax.contrib.ademamix`, which is exactly the rule of README.md, with the schedules of the slow average."""
    slow = SlowAverage.of(hyperparameters, step_hint)
    return optax.contrib.ademamix(
        schedules.cosine(hyperparameters, step_hint, jnp),
        b1=1 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        b3=lambda step: slow.beta3(step, jnp),
        alpha=lambda step: slow.alpha(step, jnp),
        eps=1e-8,
        weight_decay=hyperparameters.weight_decay,
    )


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_jax.initializer(make_optimizer, SELF_TUNING_POINT, schedule=schedules.cosine)
data_selection = input_queue.next_batch
update_params = training_jax.update_params
