"""A submission in JAX to copy and change: AdamW from optax, warm-up and cosine decay.

A submission is a module with four functions, here in the order in which the harness first calls them
(`prepare_for_eval`, the optional fifth, stands last):

    get_batch_size        once, before everything else        off the clock
    init_optimizer_state  once per trial                      off the clock
    data_selection        before each update                  ON the clock
    update_params         each update                         ON the clock
    prepare_for_eval      when an evaluation is due           ON the clock

Compilation that happens inside a timed function is on the clock too. The clock runs until the device is
done, so leaving work queued gains nothing, and waiting for the device in every step only loses time.
Evaluation itself, checkpoints and the harness's own records are off the clock.

Two rulesets: in external tuning `hyperparameters` is a namedtuple with one field per key of
tuning_search_space.json, a different point in each trial; in self-tuning it is None.
"""

import functools
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import optax

from algoperf import spec

# Used in the self-tuning ruleset, where `hyperparameters` is None.
SELF_TUNING_POINT = SimpleNamespace(
    learning_rate=0.002, one_minus_beta1=0.1, beta2=0.99, weight_decay=0.05, warmup_factor=0.05
)

# The table of reference_algorithms/shared/batch_sizes.py, which a submission may import instead; schedules and clipping
# are in the same folder.
BATCH_SIZES = {
    "criteo1tb": 262_144,
    "fastmri": 32,
    "finewebedu_lm": 64,
    "imagenet_resnet": 1024,
    "imagenet_vit": 1024,
    "librispeech_conformer": 256,
    "librispeech_deepspeech": 256,
    "ogbg": 512,
    "wmt": 128,
    "digits": 64,
}


def get_batch_size(workload_name):
    """Examples per update, over all devices together; must be divisible by the number of devices.

    Raise ValueError for a name that you do not know: the harness then asks for the base workload of that
    variant, and gives a mini workload its own default.
    """
    if workload_name not in BATCH_SIZES:
        raise ValueError(f"No batch size for {workload_name!r}; known: {', '.join(BATCH_SIZES)}.")
    return BATCH_SIZES[workload_name]


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    """The optimizer state before the first update.

    Args:
      workload: the task. Useful here: `workload.step_hint`, the number of updates that a baseline makes
        within the budget, `workload.param_shapes` and `workload.model_params_types`.
      model_params: nested dict of float32 arrays, a copy on every device. Keep no reference to it.
      model_state: None, or a tree such as batch-norm statistics.
      hyperparameters: this trial's point, or None.
      rng: a key for `jax.random`.

    Returns:
      A pair. The first item is a tree of arrays and goes into checkpoints: everything that changes during
      training belongs there, the step counter included, so that a resumed run continues exactly. The second
      can be anything and is not saved; a resumed run takes it from a new call of this function.
    """
    del model_state, rng
    optimizer = make_optimizer(hyperparameters or SELF_TUNING_POINT, workload.step_hint)
    return jax.jit(optimizer.init)(model_params), optimizer


def make_optimizer(hyperparameters, step_hint):
    """Your algorithm goes here: any object with `init` and `update` as in optax."""
    warmup_steps = int(hyperparameters.warmup_factor * step_hint)
    schedule = optax.warmup_cosine_decay_schedule(  # stays at 0 beyond `step_hint` updates
        init_value=0.0,
        peak_value=hyperparameters.learning_rate,
        warmup_steps=warmup_steps,
        decay_steps=max(step_hint, warmup_steps + 1),
    )
    return optax.adamw(
        schedule,
        b1=1 - hyperparameters.one_minus_beta1,
        b2=hyperparameters.beta2,
        weight_decay=hyperparameters.weight_decay,
    )


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
    """The batch of the next update: a dict with `inputs`, `targets` and, where there is padding, `weights`.

    `input_queue` is an endless iterator over shuffled batches of `get_batch_size` examples, already spread
    over the devices along the first axis. The harness passes the result to `update_params` unchanged, so it may
    also be several batches. Take training examples from nowhere else.
    """
    return next(input_queue)


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
    """One update: new optimizer state, new parameters, new model state, in this order.

    All arguments come by keyword, under exactly these names. Add a last one called `train_state` to receive
    a read-only view of the run (elapsed submission time, goals reached).

    Args:
      workload: has `model_fn` and `loss_fn`; the same object in every call.
      current_param_container: the parameters, as `init_optimizer_state` got them.
      current_params_types: `spec.ParameterType` of every parameter, in the same tree.
      model_state: as returned by the last call.
      hyperparameters: this trial's point, or None.
      batch: what `data_selection` returned.
      loss_type: `spec.LossType` of the workload.
      optimizer_state: as returned by the last call.
      eval_results: (global step, metrics) of all evaluations so far; empty until the first.
      global_step: updates made so far, 0 in the first call.
      rng: a key for `jax.random`, a new one in every call.

    Raise `spec.TrainingCompleteError` to end the training early; one last evaluation follows.
    """
    arrays, optimizer = optimizer_state
    # how to read an optional hyperparameter
    label_smoothing = getattr(hyperparameters, "label_smoothing", 0.0)
    arrays, params, model_state, loss = train_step(
        workload, optimizer, label_smoothing, arrays, current_param_container, model_state, batch, rng
    )
    if global_step % 100 == 0 and workload.metrics_logger is not None:
        # Goes to measurements.csv. Pass the array itself: float(loss) would wait for the device.
        workload.metrics_logger.append_scalar_metrics({"loss": loss}, global_step)
    return (arrays, optimizer), params, model_state


# Compiled once, at the first update. Static arguments are those that are no arrays. Donated arrays give
# their memory to the results: the harness never reads what it passed in again. Batches arrive split over
# the devices and parameters as copies, so the same code runs on one device and on many.
@functools.partial(jax.jit, static_argnums=(0, 1, 2), donate_argnums=(3, 4, 5))
def train_step(workload, optimizer, label_smoothing, arrays, params, model_state, batch, rng):
    def mean_loss(params):
        logits, new_model_state = workload.model_fn(
            params,
            batch,
            model_state,
            spec.ForwardPassMode.TRAIN,
            rng,  # feeds dropout
            update_batch_norm=True,  # whether running statistics move; batches always use their own
            # dropout_rate=0.1 would set every dropout layer; left out, the workload's default applies.
        )
        loss = workload.loss_fn(
            label_batch=batch["targets"],
            logits_batch=logits,
            mask_batch=batch.get("weights"),
            label_smoothing=label_smoothing,
        )
        # Sum over valid examples (tokens, labels) and their number, both over all devices.
        return loss["summed"] / jnp.maximum(loss["n_valid_examples"], 1), new_model_state

    (loss, model_state), grads = jax.value_and_grad(mean_loss, has_aux=True)(params)
    updates, arrays = optimizer.update(grads, arrays, params)
    return arrays, optax.apply_updates(params, updates), model_state, loss


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
    """The state that is evaluated; optional, delete this function if you do not need it.

    The returned triple replaces the training state: the next `update_params` receives it. If you swap in
    averaged weights here, keep the training weights in the optimizer state and swap back there.
    """
    return optimizer_state, current_param_container, model_state
