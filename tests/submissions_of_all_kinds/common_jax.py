"""What the JAX submissions of this folder have in common: everything but their state and what they do with it."""

import jax

from algoperf import spec


def get_batch_size(workload_name):
    return 32


def data_selection(workload, input_queue, *rest):
    return next(input_queue)


def _gradient(workload, params, model_state, batch, rng):
    def loss(params):
        logits, new_state = workload.model_fn(
            params, batch, model_state, spec.ForwardPassMode.TRAIN, rng, True, dropout_rate=0.1
        )
        found = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
        return found["summed"] / found["n_valid_examples"], new_state

    return jax.grad(loss, has_aux=True)(params)


_compiled_gradient = jax.jit(_gradient, static_argnums=0)


def initializer(make_state):
    """The `init_optimizer_state` of which `make_state(params)` gives the state."""

    def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
        return make_state(model_params), None

    return init_optimizer_state


def updater(change):
    """The `update_params` whose `change(params, gradient, state, global_step)` gives new parameters and state."""

    def update_params(
        workload,
        current_param_container,
        current_params_types,
        model_state,
        hyperparameters,
        batch,
        loss_type,
        optimizer_state,
        eval_results,
        global_step,
        rng,
    ):
        params = current_param_container
        gradient, model_state = _compiled_gradient(workload, params, model_state, batch, rng)
        params, state = change(params, gradient, optimizer_state[0], global_step)
        return (state, None), params, model_state

    return update_params


def sgd(params, direction, learning_rate=0.1):
    """`params` after a step."""
    return jax.tree.map(lambda p, d: p - learning_rate * d, params, direction)
