"""Everything that is allowed and looks odd, at once: threads that look through data and are waited for, two gradients a
step, several passes without gradients, state in bfloat16 and state on the host, averaged weights for evaluations, a new
start when validation stalls.
"""

import threading

import numpy as np
import torch

from algoperf import spec

from ..common_torch import get_batch_size  # noqa: F401

RATE, PATIENCE = 0.05, 3


def init_optimizer_state(workload, model_params, model_state, hyperparameters, rng):
    parameters = list(model_params.parameters())
    return {
        "momentum": [torch.zeros_like(one, dtype=torch.bfloat16) for one in parameters],
        "averages": [one.detach().clone() for one in parameters],
        "live": None,
        "norms": np.zeros(len(parameters)),
        "num_starts": 0,
    }


def data_selection(workload, input_queue, *others):
    """Two batches; threads count their examples, and have ended when this returns."""
    batches = [next(input_queue) for _ in range(2)]
    counts = [0, 0]

    def count(place):
        counts[place] = int(torch.unique(batches[place]["targets"]).numel())

    threads = [threading.Thread(target=count, args=(place,)) for place in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [batches[place] for place in np.argsort(counts)]


def mean_loss(workload, model, batch, rng, mode=spec.ForwardPassMode.TRAIN):
    is_training = mode == spec.ForwardPassMode.TRAIN
    logits, _ = workload.model_fn(model, batch, None, mode, rng, update_batch_norm=is_training)
    loss = workload.loss_fn(batch["targets"], logits, batch.get("weights"), label_smoothing=0.1)
    return loss["summed"] / loss["n_valid_examples"]


def has_stalled(workload, eval_results, num_starts):
    name = f"validation/{workload.target_metric_name}"
    values = [metrics[name] for _, metrics in eval_results]
    return len(values) > PATIENCE and max(values[-PATIENCE:]) < max(values) and num_starts < 1


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
    model, state = current_param_container, optimizer_state
    parameters = list(model.parameters())
    with torch.no_grad():
        if state["live"] is not None:
            for one, live in zip(parameters, state["live"], strict=True):
                one.copy_(live)
            state["live"] = None
        if has_stalled(workload, eval_results, state["num_starts"]):
            fresh, _ = workload.init_model_fn(rng)
            state["num_starts"] += 1
            for one, new in zip(parameters, fresh.parameters(), strict=True):
                one.copy_(new)
        before = [float(mean_loss(workload, model, one, rng, spec.ForwardPassMode.EVAL)) for one in batch]
    model.zero_grad(set_to_none=True)
    for one in batch:  # The harder batch has more weight.
        (mean_loss(workload, model, one, rng) * (0.7 if before.index(max(before)) else 0.5)).backward()
    with torch.no_grad():
        for place, one in enumerate(parameters):
            momentum, average = state["momentum"][place], state["averages"][place]
            momentum.mul_(0.9).add_(one.grad.bfloat16())
            one.sub_(momentum, alpha=RATE)
            average.lerp_(one, 0.2)
            state["norms"][place] = float(one.grad.norm())
    if workload.metrics_logger is not None:
        workload.metrics_logger.append_scalar_metrics({"norm": float(state["norms"].sum())}, global_step)
    return state, model, None


def prepare_for_eval(*, current_param_container, optimizer_state, model_state, **others):
    """Evaluates the averages; the next step goes on from where it was."""
    state = optimizer_state
    with torch.no_grad():
        state["live"] = [one.detach().clone() for one in current_param_container.parameters()]
        for one, average in zip(current_param_container.parameters(), state["averages"], strict=True):
            one.copy_(average)
    return state, current_param_container, model_state
