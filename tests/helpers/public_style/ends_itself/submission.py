"""Reads `train_state`, logs, and says itself when it is done."""

import torch

from algoperf import spec


def get_batch_size(workload_name):
    return 64


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return {"optimizer": torch.optim.AdamW(model_params.parameters(), lr=0.001), "last": 0.0}


def data_selection(workload, input_queue, optimizer_state, params, model_state, hyperparameters, step, rng):
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
    train_state,
):
    if global_step == int(workload.step_hint * 0.001):
        raise spec.TrainingCompleteError
    model = current_param_container
    logits, _ = workload.model_fn(
        params=model,
        augmented_and_preprocessed_input_batch=batch,
        model_state=None,
        mode=spec.ForwardPassMode.TRAIN,
        rng=rng,
        update_batch_norm=True,
        dropout_rate=0.1,
    )
    found = workload.loss_fn(label_batch=batch["targets"], logits_batch=logits)
    loss = found["summed"] / found["n_valid_examples"]
    optimizer_state["optimizer"].zero_grad()
    loss.backward()
    grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer_state["optimizer"].step()
    optimizer_state["last"] = train_state["accumulated_submission_time"]
    if workload.metrics_logger is not None:
        scalars = {"loss": loss.item(), "grad_norm": grad_norm.item()}
        workload.metrics_logger.append_scalar_metrics(scalars, global_step)
    return optimizer_state, model, None


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
