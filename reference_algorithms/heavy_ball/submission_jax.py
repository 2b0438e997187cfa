"""Heavy-ball momentum in JAX; see README.md for the rule, its sources and the search spaces."""

import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.heavy_ball.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_jax


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int) -> optax.GradientTransformation:
    """Coupled weight decay (L2), then `optax.sgd`, which applies the learning rate after the momentum."""
    schedule = schedules.linear(hyperparameters, step_hint, jnp)
    return optax.chain(
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.sgd(schedule, momentum=1 - hyperparameters.one_minus_beta1),
    )


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_jax.initializer(make_optimizer, SELF_TUNING_POINT, schedule=schedules.linear)
data_selection = input_queue.next_batch
update_params = training_jax.update_params
