"""The honest algorithm that the PyTorch tricks of this folder start from: AdamW at a constant rate, no breach."""

import torch

from algoperf import spec


def get_batch_size(workload_name):
    return 64


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    return {"optimizer": torch.optim.AdamW(model_params.parameters(), lr=0.003, weight_decay=0.05)}


def data_selection(workload, input_queue, *others):
    return next(input_queue)


def train_on(workload, model, optimizer, batch):
    """One update."""
    model.zero_grad(set_to_none=True)
    logits, _ = workload.model_fn(
        model, batch, None, spec.ForwardPassMode.TRAIN, None, update_batch_norm=True
    )
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"))
    (loss["summed"] / loss["n_valid_examples"]).backward()
    optimizer.step()


def update_params(
    *, workload, current_param_container, model_state, batch, optimizer_state, global_step, **others
):
    train_on(workload, current_param_container, optimizer_state["optimizer"], batch)
    return optimizer_state, current_param_container, model_state
