"""SGD with momentum and dropout in PyTorch: the submission that tests run and bend."""

import torch
import torch.distributed as dist

from algoperf import spec
from reference_algorithms.shared import input_queue


def get_batch_size(workload_name):
    return 32


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    del workload, model_state, rng
    momentum = hyperparameters.momentum
    return {"optimizer": torch.optim.SGD(model_params.parameters(), hyperparameters.learning_rate, momentum)}


data_selection = input_queue.next_batch


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
    optimizer_state["optimizer"].zero_grad()
    logits, model_state = workload.model_fn(
        params=current_param_container,
        augmented_and_preprocessed_input_batch=batch,
        model_state=model_state,
        mode=spec.ForwardPassMode.TRAIN,
        rng=rng,
        update_batch_norm=True,
        dropout_rate=hyperparameters.dropout_rate,
    )
    loss = workload.loss_fn(
        label_batch=batch["targets"], logits_batch=logits, mask_batch=batch.get("weights")
    )
    count = loss["n_valid_examples"].clone()
    if dist.is_initialized():
        dist.all_reduce(count)
        count /= dist.get_world_size()
    (loss["summed"] / count).backward()
    optimizer_state["optimizer"].step()
    return optimizer_state, current_param_container, model_state
