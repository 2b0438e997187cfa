"""A submission in PyTorch to copy and change: AdamW from torch.optim, warm-up and cosine decay.

A submission is a module with four functions, here in the order in which the harness first calls them
(`prepare_for_eval`, the optional fifth, stands last):

    get_batch_size        once, before everything else        off the clock
    init_optimizer_state  once per trial                      off the clock
    data_selection        before each update                  ON the clock
    update_params         each update                         ON the clock
    prepare_for_eval      when an evaluation is due           ON the clock

Compilation that happens inside a timed function is on the clock too. The clock runs until the device is
done, so leaving work queued gains nothing, and waiting for the device in every step (`loss.item()`) only
loses time. Evaluation itself, checkpoints and the harness's own records are off the clock.

Two rulesets: in external tuning `hyperparameters` is a namedtuple with one field per key of
tuning_search_space.json, a different point in each trial; in self-tuning it is None.
"""

import math
from types import SimpleNamespace

import torch
import torch.distributed as dist

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
      model_params: the `torch.nn.Module` on its device, wrapped in `DistributedDataParallel` where there
        are several processes.
      model_state: None; running statistics are buffers of the module.
      hyperparameters: this trial's point, or None.
      rng: two int32 numbers, a seed for whatever you need.

    Returns:
      A dict. Values with `state_dict` and `load_state_dict` go into checkpoints: everything that changes
      during training belongs there, so that a resumed run continues exactly. Other values are not saved; a
      resumed run takes them from a new call of this function.
    """
    del workload, model_state, rng
    hyperparameters = hyperparameters or SELF_TUNING_POINT
    # Your algorithm goes here: any torch.optim.Optimizer.
    optimizer = torch.optim.AdamW(
        model_params.parameters(),
        lr=hyperparameters.learning_rate,
        betas=(1 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        weight_decay=hyperparameters.weight_decay,
        fused=True,  # one kernel for all parameters
    )
    return {"optimizer": optimizer}


def learning_rate_at(global_step, hyperparameters, step_hint):
    """Linear warm-up from 0, half a cosine down to 0 at `step_hint`, then 0."""
    warmup_steps = int(hyperparameters.warmup_factor * step_hint)
    if global_step < warmup_steps:
        return hyperparameters.learning_rate * global_step / warmup_steps
    progress = min((global_step - warmup_steps) / max(step_hint - warmup_steps, 1), 1.0)
    return hyperparameters.learning_rate * 0.5 * (1 + math.cos(math.pi * progress))


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

    `input_queue` is an endless iterator over shuffled batches, already on the device of this process:
    `get_batch_size` divided by the number of processes. The harness passes the result to `update_params`
    unchanged, so it may also be several batches. Take training examples from nowhere else.
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
    """One update: optimizer state, parameters, model state, in this order; changing them in place is fine.

    All arguments come by keyword, under exactly these names. Add a last one called `train_state` to receive
    a read-only view of the run (elapsed submission time, goals reached).

    Args:
      workload: has `model_fn` and `loss_fn`; the same object in every call.
      current_param_container: the module, as `init_optimizer_state` got it.
      current_params_types: `spec.ParameterType` of every parameter, by name.
      model_state: None.
      hyperparameters: this trial's point, or None.
      batch: what `data_selection` returned.
      loss_type: `spec.LossType` of the workload.
      optimizer_state: as returned by the last call.
      eval_results: (global step, metrics) of all evaluations so far; empty until the first.
      global_step: updates made so far, 0 in the first call.
      rng: two int32 numbers, new ones in every call.

    Raise `spec.TrainingCompleteError` to end the training early; one last evaluation follows.
    """
    model, optimizer = current_param_container, optimizer_state["optimizer"]
    optimizer.zero_grad(set_to_none=True)
    logits, model_state = workload.model_fn(
        params=model,
        augmented_and_preprocessed_input_batch=batch,
        model_state=model_state,
        mode=spec.ForwardPassMode.TRAIN,
        rng=rng,
        update_batch_norm=True,  # whether running statistics move; batches always use their own
        # dropout_rate=0.1 would set every dropout layer; left out, the workload's default applies.
    )
    loss = workload.loss_fn(
        label_batch=batch["targets"],
        logits_batch=logits,
        mask_batch=batch.get("weights"),
        # how to read an optional hyperparameter
        label_smoothing=getattr(hyperparameters, "label_smoothing", 0.0),
    )
    # Sum over valid examples (tokens, labels) and their number, of this process.
    num_valid = loss["n_valid_examples"].clamp(min=1).float()
    if dist.is_available() and dist.is_initialized():
        # The number per process, averaged. DistributedDataParallel averages gradients over processes, so
        # the result is the gradient of the mean over all valid examples.
        dist.all_reduce(num_valid)
        num_valid /= dist.get_world_size()
    mean_loss = loss["summed"] / num_valid
    mean_loss.backward()

    # The schedule is a function of `global_step`, so there is nothing to save.
    learning_rate = learning_rate_at(global_step, hyperparameters or SELF_TUNING_POINT, workload.step_hint)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()

    if global_step % 100 == 0 and workload.metrics_logger is not None:
        # Goes to measurements.csv. Pass the tensor itself: mean_loss.item() would wait for the device.
        workload.metrics_logger.append_scalar_metrics({"loss": mean_loss.detach()}, global_step)
    return optimizer_state, model, model_state


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
