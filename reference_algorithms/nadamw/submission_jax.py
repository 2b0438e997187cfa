"""NadamW in JAX; see README.md for the rule, its sources and the search spaces."""

from typing import Any

import jax
import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import schedules, training_jax
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
    """NadamW with warm-up and cosine decay; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    return training_jax.init_state(
        make_optimizer(hyperparameters, workload.step_hint), model_params, hyperparameters
    )


def make_optimizer(hyperparameters: Any, step_hint: int) -> optax.GradientTransformation:
    """w <- w - η (m̂ / (√v̂ + ε) + λ w), with the schedule η over `step_hint` updates."""
    schedule = schedules.warmup_then_cosine(
        hyperparameters.learning_rate,
        warmup_factor=hyperparameters.warmup_factor,
        step_hint=step_hint,
        numbers=jnp,
    )
    return optax.chain(
        scale_by_nadam(beta1=1 - hyperparameters.one_minus_beta1, beta2=hyperparameters.beta2),
        optax.add_decayed_weights(hyperparameters.weight_decay),
        optax.scale_by_learning_rate(schedule),
    )


def scale_by_nadam(beta1: float, beta2: float, epsilon: float = 1e-8) -> optax.GradientTransformation:
    r"""Rescales gradients by Nesterov's form of Adam.

    .. math::
        m_t &= \beta_1 m_{t-1} + (1 - \beta_1) g_t \\
        v_t &= \beta_2 v_{t-1} + (1 - \beta_2) g_t^2 \\
        u_t &= \frac{(\beta_1 m_t + (1 - \beta_1) g_t) / (1 - \beta_1^t)}
                    {\sqrt{v_t / (1 - \beta_2^t)} + \epsilon}

    `optax.nadam` is another rule: it divides the momentum part of the numerator by
    :math:`1 - \beta_1^{t+1}` (Dozat 2016). Here both parts share one bias correction, as in the
    experiments that the baselines come from.

    Source: Choi et al. 2019, https://arxiv.org/abs/1910.05446, table 1.
    """

    def init(params: optax.Params) -> optax.ScaleByAdamState:
        zeros = optax.tree.zeros_like
        return optax.ScaleByAdamState(count=jnp.zeros((), jnp.int32), mu=zeros(params), nu=zeros(params))

    def update(grads: optax.Updates, state: optax.ScaleByAdamState, params: optax.Params | None = None):
        del params
        count = state.count + 1
        mu = optax.tree.update_moment(grads, state.mu, beta1, 1)
        nu = optax.tree.update_moment(grads, state.nu, beta2, 2)
        look_ahead = optax.tree.update_moment(grads, mu, beta1, 1)  # the same update again, not stored
        mu_hat = optax.tree.bias_correction(look_ahead, beta1, count)
        nu_hat = optax.tree.bias_correction(nu, beta2, count)
        updates = jax.tree.map(lambda m, v: m / (jnp.sqrt(v) + epsilon), mu_hat, nu_hat)
        return updates, optax.ScaleByAdamState(count=count, mu=mu, nu=nu)

    return optax.GradientTransformation(init, update)
