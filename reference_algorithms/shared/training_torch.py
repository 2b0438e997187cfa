"""The training step in PyTorch: from batch to updated parameters, for every algorithm.

An algorithm defines a function that builds a `torch.optim.Optimizer` and its schedule; `initializer` turns it into
`init_optimizer_state`. The harness calls `update_params`. No step waits for the device.
"""

import functools
from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any, Protocol

import torch
import torch.distributed as dist

from algoperf import spec
from reference_algorithms.shared.forward import train_logits, train_loss
from reference_algorithms.shared.schedules import Schedule
from reference_algorithms.shared.step_options import StepOptions, is_logged

LossAndState = tuple[torch.Tensor, spec.ModelAuxiliaryState]
Params = Iterable[torch.nn.Parameter]
Scheduled = tuple[torch.optim.Optimizer, Schedule]
"""An optimizer and its learning-rate schedule, which the step applies to all groups before every update."""


class MeanLoss(Protocol):
    """(this process's share of the loss, for `backward`; mean loss over all valid examples; new model state)."""

    def __call__(
        self, update_batch_norm: bool = True
    ) -> tuple[torch.Tensor, torch.Tensor, spec.ModelAuxiliaryState]: ...


Gradient = Callable[[MeanLoss, torch.nn.Module], LossAndState]
"""Sets `.grad` of the parameters and returns (loss, new model state); see `plain_gradient`."""


def plain_gradient(mean_loss: MeanLoss, model: torch.nn.Module) -> LossAndState:
    """Sets `.grad` and returns (loss, new model state); an algorithm may use another function instead."""
    model.zero_grad(set_to_none=True)
    share, loss, model_state = mean_loss()
    share.backward()
    return loss, model_state


class Constants:
    """Constants of a trial. Nothing needs to be saved, because the schedule depends only on the global step."""

    def __init__(self, schedule: Schedule, options: StepOptions, gradient: Gradient):
        self.schedule = schedule
        self.options = options
        self.gradient = gradient

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        del state_dict


def always_plain(hyperparameters: spec.Hyperparameters) -> Gradient:
    """`plain_gradient` for any hyperparameters."""
    del hyperparameters
    return plain_gradient


def parameters_of(workload: spec.Workload, model: torch.nn.Module) -> Params:
    """All parameters, for rules that treat them all the same."""
    del workload
    return model.parameters()


def initializer(
    make_optimizer: Callable[[spec.Hyperparameters, int, Any], Scheduled],
    self_tuning_point: SimpleNamespace,
    *,
    describe: Callable[[spec.Workload, torch.nn.Module], Any] = parameters_of,
    make_gradient: Callable[[spec.Hyperparameters], Gradient] = always_plain,
) -> spec.InitOptimizerFn:
    """Makes the `init_optimizer_state` of an algorithm, with the five arguments that the harness passes.

    Args:
      make_optimizer: called with the hyperparameters, the step hint and the result of `describe`; returns the
        optimizer and its learning-rate schedule.
      self_tuning_point: replaces the hyperparameters in the self-tuning ruleset, which has none.
      describe: computes the third argument of `make_optimizer` from the workload and the model: the parameters, or
        groups of them with their types or layouts for rules that need these.
      make_gradient: for rules that take the gradient at another point than the parameters.
    """

    def init_optimizer_state(
        workload: spec.Workload,
        model_params: spec.ParameterContainer,
        model_state: spec.ModelAuxiliaryState,
        hyperparameters: spec.Hyperparameters,
        rng: spec.RandomState,
    ) -> spec.OptimizerState:
        del model_state, rng
        point = self_tuning_point if hyperparameters is None else hyperparameters
        optimizer, schedule = make_optimizer(point, workload.step_hint, describe(workload, model_params))
        constants = Constants(schedule, StepOptions.from_hyperparameters(point), make_gradient(point))
        return {"optimizer": optimizer, "constants": constants}

    return init_optimizer_state


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
    """(optimizer state, parameters, model state) after one update; the first two are changed in place."""
    del current_params_types, hyperparameters, loss_type, eval_results
    model = current_param_container
    optimizer, constants = optimizer_state["optimizer"], optimizer_state["constants"]
    options = constants.options

    mean_loss = functools.partial(_mean_loss, workload, model, model_state, batch, rng, options)
    loss, model_state = constants.gradient(mean_loss, model)

    logger = workload.metrics_logger if is_logged(options, global_step) else None
    if options.grad_clip is not None:
        # Scales by min(1, grad_clip / (norm + 1e-6)) and returns the norm before clipping.
        grad_norm = torch.nn.utils.clip_grad_norm_(model.parameters(), options.grad_clip)
    elif logger is not None:
        grads = [param.grad for param in model.parameters() if param.grad is not None]
        grad_norm = torch.nn.utils.get_total_norm(grads)

    learning_rate = constants.schedule(global_step)
    for group in optimizer.param_groups:
        group["lr"] = learning_rate
    optimizer.step()

    if logger is not None:
        # Device scalars: the logger reads them when they are ready, this step does not wait.
        metrics = {"loss": loss, "grad_norm": grad_norm, "learning_rate": learning_rate}
        logger.append_scalar_metrics(metrics, global_step)
    return optimizer_state, model, model_state


def _mean_loss(
    workload: spec.Workload,
    model: torch.nn.Module,
    model_state: spec.ModelAuxiliaryState,
    batch: spec.Batch,
    rng: spec.RandomState,
    options: StepOptions,
    update_batch_norm: bool = True,
) -> tuple[torch.Tensor, torch.Tensor, spec.ModelAuxiliaryState]:
    """See `MeanLoss`."""
    logits, model_state = train_logits(workload, options, model, batch, model_state, rng, update_batch_norm)
    loss = train_loss(workload, options, batch, logits)
    summed, num_valid = loss["summed"], loss["n_valid_examples"]
    if not (dist.is_available() and dist.is_initialized()):
        mean = summed / num_valid
        return mean, mean.detach(), model_state
    # Both sums in one message. DDP averages gradients over processes, so the share is multiplied by their number: the
    # result is exactly the gradient of the global mean, even if padding is spread unevenly.
    totals = torch.stack([summed.detach(), num_valid.to(summed.dtype)])
    dist.all_reduce(totals)
    return summed * (dist.get_world_size() / totals[1]), totals[0] / totals[1], model_state
