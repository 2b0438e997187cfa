"""Sharpness-aware minimisation with AdamW in JAX; see README.md for the rule, its sources and the search spaces."""

import jax
import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.adamw.submission_jax import make_optimizer
from reference_algorithms.sam.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_jax
from reference_algorithms.shared.training_jax import Gradient, LossAndState, MeanLoss


def sharpness_aware_gradient(rho: float) -> Gradient:
    """The gradient at w + rho · g / |g|, where g is the gradient at w; same batch, same dropout masks.

    Only the first pass moves the running statistics of batch norm, since only its activations are those of w.
    Source: Foret et al. 2020, https://arxiv.org/abs/2010.01412.
    """

    def gradient(
        mean_loss: MeanLoss, params: spec.ParameterContainer
    ) -> tuple[LossAndState, spec.ParameterContainer]:
        result, grads = training_jax.plain_gradient(mean_loss, params)
        norm = optax.tree.norm(grads)
        # A gradient of zeros gives no direction; without this the division would give NaN.
        scale = jnp.where(norm > 0, rho / norm, 0.0)
        uphill = jax.tree.map(lambda param, grad: param + scale * grad, params, grads)

        def loss_there(params: spec.ParameterContainer) -> LossAndState:
            return mean_loss(params, update_batch_norm=False)

        return result, jax.grad(loss_there, has_aux=True)(uphill)[0]

    return gradient


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_jax.initializer(
    make_optimizer,
    SELF_TUNING_POINT,
    make_gradient=lambda point: sharpness_aware_gradient(point.rho),
    schedule=schedules.cosine,
)
data_selection = input_queue.next_batch
update_params = training_jax.update_params
