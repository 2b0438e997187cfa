"""NadamW in JAX; see README.md for the rule, its sources and the search spaces."""

import jax
import jax.numpy as jnp
import optax

from algoperf import spec
from reference_algorithms.nadamw.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import batch_sizes, input_queue, schedules, training_jax


def make_optimizer(hyperparameters: spec.Hyperparameters, step_hint: int) -> optax.GradientTransformation:
    """w <- w - η (m̂ / (√v̂ + ε) + λ w), where η follows a schedule over `step_hint` updates."""
    schedule = schedules.cosine(hyperparameters, step_hint, jnp)
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

    def update(
        grads: optax.Updates, state: optax.ScaleByAdamState, params: optax.Params | None = None
    ) -> tuple[optax.Updates, optax.ScaleByAdamState]:
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


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_jax.initializer(make_optimizer, SELF_TUNING_POINT, schedule=schedules.cosine)
data_selection = input_queue.next_batch
update_params = training_jax.update_params
