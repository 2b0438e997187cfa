"""The training step in PyTorch: from batch to updated parameters, for every algorithm.

An algorithm builds a `torch.optim.Optimizer` and a schedule and hands both to `init_state`; `update_params`
and `data_selection` are the functions that the harness calls. No step waits for the device.
"""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.distributed as dist

from algoperf import spec
from reference_algorithms.shared.schedules import Schedule
from reference_algorithms.shared.step_options import LOG_EVERY_STEPS, StepOptions

MeanLoss = Callable[..., tuple[torch.Tensor, torch.Tensor, spec.ModelAuxiliaryState]]
Gradient = Callable[[MeanLoss, torch.nn.Module], tuple[torch.Tensor, spec.ModelAuxiliaryState]]


def plain_gradient(
    mean_loss: MeanLoss, model: torch.nn.Module
) -> tuple[torch.Tensor, spec.ModelAuxiliaryState]:
    """Leaves the gradient in the parameters and returns loss and model state; what an algorithm may replace.

    `mean_loss(update_batch_norm=True)` returns this process's share of the loss, for `backward`, the loss over all
    valid examples, and the model state.
    """
    model.zero_grad(set_to_none=True)
    share, loss, model_state = mean_loss()
    share.backward()
    return loss, model_state


class Constants:
    """What a trial never changes. Its checkpoint is empty: the schedule depends on the global step only."""

    def __init__(self, schedule: Schedule, options: StepOptions, gradient: Gradient):
        self.schedule = schedule
        self.options = options
        self.gradient = gradient

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        del state_dict


def init_state(
    optimizer: torch.optim.Optimizer,
    schedule: Schedule,
    hyperparameters: Any,
    gradient: Gradient = plain_gradient,
) -> spec.OptimizerState:
    """The optimizer state of a new trial."""
    constants = Constants(schedule, StepOptions.from_hyperparameters(hyperparameters), gradient)
    return {"optimizer": optimizer, "constants": constants}


def update_params(
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    current_params_types: spec.ParameterTypeTree,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    batch: spec.Batch,
    loss_type: spec.LossType,
    optimizer_state: spec.OptimizerState,
    eval_results: list[tuple[int, dict[str, float]]],
    global_step: int,
    rng: spec.RandomState,
) -> spec.UpdateReturn:
    """Optimizer state, parameters and model state after one update; the first two are changed in place."""
    del current_params_types, hyperparameters, loss_type, eval_results
    model = current_param_container
    optimizer, constants = optimizer_state["optimizer"], optimizer_state["constants"]
    options = constants.options

    mean_loss = functools.partial(_mean_loss, workload, model, model_state, batch, rng, options)
    loss, model_state = constants.gradient(mean_loss, model)

    is_logging_due = global_step % LOG_EVERY_STEPS == 0 and workload.metrics_logger is not None
    if options.grad_clip is not None:
        # Scales by min(1, grad_clip / (norm + 1e-6)) and returns the norm before clipping.
        grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), options.grad_clip)
    elif is_logging_due:
        grads = [param.grad for param in model.parameters() if param.grad is not None]
        grad_norm = torch.nn.utils.get_total_norm(grads)

    learning_rate = constants.schedule(global_step)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()

    if is_logging_due:
        # Device scalars: the logger reads them when they are ready, this step does not wait.
        metrics = {"loss": loss, "grad_norm": grad_norm}
        workload.metrics_logger.append_scalar_metrics(metrics, global_step)
    return optimizer_state, model, model_state


def data_selection(
    workload: spec.Workload,
    input_queue: Iterator[spec.Batch],
    optimizer_state: spec.OptimizerState,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    global_step: int,
    rng: spec.RandomState,
) -> spec.Batch:
    """The next batch of the queue."""
    del workload, optimizer_state, current_param_container, model_state, hyperparameters, global_step, rng
    return next(input_queue)


def _mean_loss(workload, model, model_state, batch, rng, options, update_batch_norm=True):
    """This process's share of the loss, for the gradient; the loss over all; the new model state."""
    dropout = {} if options.dropout_rate is None else {"dropout_rate": options.dropout_rate}
    logits, model_state = workload.model_fn(
        params=model,
        augmented_and_preprocessed_input_batch=batch,
        model_state=model_state,
        mode=spec.ForwardPassMode.TRAIN,
        rng=rng,
        update_batch_norm=update_batch_norm,
        **dropout,
    )
    loss = workload.loss_fn(
        label_batch=batch["targets"],
        logits_batch=logits,
        mask_batch=batch.get("weights"),
        label_smoothing=options.label_smoothing,
    )
    summed, num_valid = loss["summed"], loss["n_valid_examples"]
    if not (dist.is_available() and dist.is_initialized()):
        mean = summed / num_valid
        return mean, mean.detach(), model_state
    # Both sums in one message. DistributedDataParallel averages gradients over processes, hence the factor:
    # what remains is exactly the gradient of the global mean, however unevenly padding is spread.
    totals = torch.stack([summed.detach(), num_valid.to(summed.dtype)])
    dist.all_reduce(totals)
    return summed * (dist.get_world_size() / totals[1]), totals[0] / totals[1], model_state
