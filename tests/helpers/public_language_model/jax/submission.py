"""Written as the public entries of 2026 are, in JAX: names its workloads one by one, momentum for matrices alone."""

import functools

import jax
import jax.numpy as jnp
import optax

from algoperf import jax_sharding_utils, spec

_GRAD_CLIP_EPS = 1e-6


def get_batch_size(workload_name):
    if workload_name == "criteo1tb":  # noqa: SIM116 - as public ones are written
        return 262_144
    elif workload_name == "wmt":
        return 128
    elif workload_name == "finewebedu_lm":
        return 64
    elif workload_name == "mnist":
        return 16
    raise ValueError(f"Unsupported workload name: {workload_name}.")


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    is_matrix = jax.tree.map(
        lambda kind, shape: (
            kind not in (spec.ParameterType.EMBEDDING, spec.ParameterType.BIAS)
            and len(shape.shape_tuple) == 2
        ),
        workload.model_params_types,
        workload.param_shapes,
    )
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, 0.02, int(0.02 * workload.step_hint) + 1, int(0.75 * workload.step_hint)
    )
    labels = jax.tree.map(lambda one: "matrix" if one else "rest", is_matrix)
    optimizer = optax.multi_transform(
        {"matrix": optax.sgd(schedule, momentum=0.9, nesterov=True), "rest": optax.adamw(1e-3)}, labels
    )
    zeros = jax.tree.map(lambda shape: jnp.zeros(shape.shape_tuple), workload.param_shapes)
    return optimizer.init(zeros), optimizer.update


@functools.cache
def compiled(workload, update):
    replicated = jax_sharding_utils.get_replicate_sharding()
    split = jax_sharding_utils.get_batch_dim_sharding()

    def train_step(model_state, optimizer_state, params, batch, rng):
        def loss_fn(params):
            logits, new_state = workload.model_fn(
                params, batch, model_state, spec.ForwardPassMode.TRAIN, rng, update_batch_norm=True
            )
            found = workload.loss_fn(
                label_batch=batch["targets"],
                logits_batch=logits,
                mask_batch=batch.get("weights"),
                label_smoothing=0.0,
            )
            return found["summed"], (found["n_valid_examples"], new_state)

        (summed, (count, new_state)), grads = jax.value_and_grad(loss_fn, has_aux=True)(params)
        loss, grads = summed / count, jax.tree.map(lambda g: g / count, grads)
        norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(grads)))
        grads = jax.tree.map(lambda g: g * jnp.clip(1.0 / (norm + _GRAD_CLIP_EPS), max=1.0), grads)
        updates, optimizer_state = update(grads, optimizer_state, params)
        return new_state, optimizer_state, optax.apply_updates(params, updates), loss, norm

    return jax.jit(
        train_step,
        in_shardings=(replicated, replicated, replicated, split, replicated),
        out_shardings=replicated,
        donate_argnums=(0, 1, 2),
    )


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
    train_state=None,
):
    del current_params_types, loss_type, train_state
    state, update = optimizer_state
    if eval_results and workload.num_test_examples is not None:
        assert f"test/{workload.target_metric_name}" in eval_results[-1][1]
    model_state, state, params, loss, norm = compiled(workload, update)(
        model_state, state, current_param_container, batch, rng
    )
    if global_step % 100 == 0 and workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics(
            {"loss": float(loss), "grad_norm": float(norm)}, global_step
        )
    return (state, update), params, model_state


def prepare_for_eval(
    workload,
    current_param_container,
    current_params_types,
    model_state,
    hyperparameters,
    loss_type,
    optimizer_state,
    eval_results,
    global_step,
    rng,
):
    return optimizer_state, current_param_container, model_state


def data_selection(
    workload,
    input_queue,
    optimizer_state,
    current_param_container,
    model_state,
    hyperparameters,
    global_step,
    rng,
):
    return next(input_queue)
