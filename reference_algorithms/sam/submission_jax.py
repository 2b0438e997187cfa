"""Sharpness-aware minimisation with AdamW in JAX; see README.md for the rule, its sources and the search spaces."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.adamw.submission_jax import make_optimizer
from reference_algorithms.sam.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import training_jax
from reference_algorithms.shared.batch_sizes import get_batch_size
from reference_algorithms.shared.training_jax import data_selection, update_params

__all__ = ["data_selection", "get_batch_size", "init_optimizer_state", "update_params"]


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    """AdamW on the gradient from uphill; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    optimizer = make_optimizer(hyperparameters, workload.step_hint)
    gradient = sharpness_aware_gradient(hyperparameters.rho)
    return training_jax.init_state(optimizer, model_params, hyperparameters, gradient)


def sharpness_aware_gradient(rho: float) -> Callable[..., Any]:
    """The gradient at the point that lies `rho` up the gradient, on the same batch, with the same dropout masks.

    The first pass moves the running statistics of batch norm, the second one does not.
    Source: Foret et al. 2020, https://arxiv.org/abs/2010.01412.
    """

    def gradient(mean_loss: Callable[..., Any], params: spec.ParameterContainer) -> Any:
        result, grads = training_jax.plain_gradient(mean_loss, params)
        norm = optax.tree.norm(grads)
        scale = jnp.where(norm > 0, rho / norm, 0.0)
        uphill = jax.tree.map(lambda param, grad: param + scale * grad, params, grads)

        def loss_there(params: spec.ParameterContainer) -> Any:
            return mean_loss(params, update_batch_norm=False)

        return result, jax.grad(loss_there, has_aux=True)(uphill)[0]

    return gradient
