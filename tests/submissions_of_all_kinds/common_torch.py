"""What the PyTorch submissions of this folder have in common: everything but their state and what they do with it."""

import os

import torch.distributed as dist

from algoperf import spec

DROPOUT_RATE = float(os.environ.get("DROPOUT_RATE", "0.1"))
"""0 where processes are compared with one, because each draws masks of its own."""


def get_batch_size(workload_name):
    return 32


def data_selection(workload, input_queue, *rest):
    return next(input_queue)


def initializer(make_state):
    """The `init_optimizer_state` of which `make_state(model)` gives the dict."""

    def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
        return make_state(model_params)

    return init_optimizer_state


def updater(change, zero_grad=True):
    """The `update_params` that leaves gradients in the model and calls `change(model, state, global_step)`."""

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
        model = current_param_container
        if zero_grad:
            model.zero_grad(set_to_none=True)
        logits, _ = workload.model_fn(
            model,
            batch,
            None,
            spec.ForwardPassMode.TRAIN,
            rng,
            update_batch_norm=True,
            dropout_rate=DROPOUT_RATE,
        )
        loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
        count = loss["n_valid_examples"].clone()
        if dist.is_initialized():
            dist.all_reduce(count)
            count /= dist.get_world_size()
        (loss["summed"] / count).backward()
        change(model, optimizer_state, global_step)
        return optimizer_state, model, None

    return update_params
