"""A compiled function of its own, environment variables at import, a namedtuple in its state."""

import collections
import os

import torch

from algoperf import spec

RANK = int(os.environ.get("RANK", 0))
Moments = collections.namedtuple("Moments", "first count")


@torch.compile(backend="eager")
def orthogonalized(matrix):
    return matrix / (matrix.norm() + 1e-7)


def get_batch_size(workload_name):
    return 64


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    zeros = [torch.zeros_like(p) for p in model_params.parameters()]
    return {"moments": Moments(zeros, 0)}


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
):
    model, moments = current_param_container, optimizer_state["moments"]
    model.zero_grad()
    logits, _ = workload.model_fn(
        params=model,
        augmented_and_preprocessed_input_batch=batch,
        model_state=None,
        mode=spec.ForwardPassMode.TRAIN,
        rng=rng,
        update_batch_norm=True,
    )
    found = workload.loss_fn(label_batch=batch["targets"], logits_batch=logits)
    (found["summed"] / found["n_valid_examples"]).backward()
    with torch.no_grad():
        for parameter, first in zip(model.parameters(), moments.first):
            first.lerp_(parameter.grad, 0.1)
            parameter.sub_(orthogonalized(first), alpha=0.01)
    optimizer_state["moments"] = moments._replace(count=moments.count + 1)
    return optimizer_state, model, None
