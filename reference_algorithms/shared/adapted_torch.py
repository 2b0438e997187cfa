"""What adapted PyTorch optimizers need beyond `training_torch`: closures, `train()` and `eval()`, two at once.

The submissions that `algoperf.adapter` writes import it. Most of them need `training_torch` and `groups_torch` alone.
"""

import functools
from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import torch

from algoperf import spec
from reference_algorithms.shared import training_torch
from reference_algorithms.shared.schedules import Schedule
from reference_algorithms.shared.step_options import StepOptions, is_logged

CLOSURES = ("", "first", "after")


class Constants(training_torch.Constants):
    """Constants of a trial; nothing of them needs to be saved."""

    def __init__(self, schedule: Schedule, options: StepOptions, closure: str, rates: list[list[float]]):
        super().__init__(schedule, options, training_torch.plain_gradient)
        self.closure = closure
        self.rates = rates
        """Of every group of every optimizer, which the schedule multiplies; None where it has none."""


def initializer(
    make_optimizers: Callable[..., tuple[Sequence[Any], Schedule]],
    point: SimpleNamespace,
    *,
    describe: Callable[[spec.Workload, torch.nn.Module], Any] = training_torch.parameters_of,
    closure: str = "",
) -> spec.InitOptimizerFn:
    """As `training_torch.initializer`, for optimizers that need more than gradients.

    Args:
      make_optimizers: called with the hyperparameters, the step hint and the result of `describe`; returns the
        optimizers, and what their learning rates are multiplied with at each step.
      point: replaces the hyperparameters in the self-tuning ruleset.
      describe: computes the third argument.
      closure: 'first' where `step` asks for loss and gradients itself (L-BFGS), 'after' where it asks once more, with
        gradients at hand (sharpness-aware rules).
    """
    assert closure in CLOSURES

    def init_optimizer_state(
        workload: spec.Workload,
        model_params: spec.ParameterContainer,
        model_state: spec.ModelAuxiliaryState,
        hyperparameters: spec.Hyperparameters,
        rng: spec.RandomState,
    ) -> spec.OptimizerState:
        del model_state, rng
        values = point if hyperparameters is None else hyperparameters
        optimizers, schedule = make_optimizers(values, workload.step_hint, describe(workload, model_params))
        rates = [[group.get("lr") for group in one.param_groups] for one in optimizers]
        constants = Constants(schedule, StepOptions.from_hyperparameters(values), closure, rates)
        state = {"optimizers": list(optimizers), "constants": constants, "is_evaluated": False}
        _switch(state, "train")
        return state

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
    model, optimizers = current_param_container, optimizer_state["optimizers"]
    constants = optimizer_state["constants"]
    if optimizer_state["is_evaluated"]:
        _switch(optimizer_state, "train")
        optimizer_state["is_evaluated"] = False
    factor = constants.schedule(global_step)
    for optimizer, rates in zip(optimizers, constants.rates, strict=True):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            if rate is not None:
                group["lr"] = rate * factor
    mean_loss = functools.partial(
        training_torch._mean_loss, workload, model, model_state, batch, rng, constants.options
    )
    logger = workload.metrics_logger if is_logged(constants.options, global_step) else None
    closure = _Closure(
        mean_loss,
        model,
        constants.options.grad_clip,
        same_masks=bool(constants.closure),
        with_norm=logger is not None,
    )
    if constants.closure != "first":
        closure()
    for optimizer in optimizers:
        optimizer.step(closure) if constants.closure else optimizer.step()
    if logger is not None:
        # Device scalars: the logger reads them when they are ready, this step does not wait.
        metrics = {"loss": closure.loss, "grad_norm": closure.grad_norm}
        rates = [group["lr"] for group in optimizers[0].param_groups if group.get("lr") is not None]
        if rates:  # Of the first group: others have multiples of it.
            metrics["learning_rate"] = rates[0]
        logger.append_scalar_metrics(metrics, global_step)
    return optimizer_state, model, closure.model_state


class _Closure:
    """Sets the gradients and returns the loss, as often as an optimizer asks for it in one step."""

    def __init__(
        self,
        mean_loss: training_torch.MeanLoss,
        model: torch.nn.Module,
        grad_clip: float | None,
        *,
        same_masks: bool,
        with_norm: bool,
    ):
        self._mean_loss, self._model, self._grad_clip = mean_loss, model, grad_clip
        self._with_norm = with_norm
        self._is_first = True
        self.loss: torch.Tensor | None = None
        self.grad_norm: torch.Tensor | None = None
        self.model_state: spec.ModelAuxiliaryState = None
        """All three of the first call."""
        device = next(model.parameters()).device
        self._device = device if device.type == "cuda" else None
        self._generators = _generators(self._device) if same_masks else None

    @torch.enable_grad()
    def __call__(self) -> torch.Tensor:
        if self._generators is not None and not self._is_first:
            _restore(self._device, self._generators)  # The loss is a function: the same dropout masks.
        self._model.zero_grad(set_to_none=True)
        # Running statistics move once a step, with the activations at the parameters that it starts from.
        share, loss, model_state = self._mean_loss(update_batch_norm=self._is_first)
        share.backward()
        grad_norm = None
        if self._grad_clip is not None:
            grad_norm = torch.nn.utils.clip_grad_norm_(self._model.parameters(), self._grad_clip)
        elif self._with_norm and self._is_first:
            grads = [param.grad for param in self._model.parameters() if param.grad is not None]
            grad_norm = torch.nn.utils.get_total_norm(grads)
        if self._is_first:
            self.loss, self.grad_norm, self.model_state = loss, grad_norm, model_state
            self._is_first = False
        return loss


def _generators(device: torch.device | None) -> list[torch.Tensor]:
    found = [torch.get_rng_state()]
    return found if device is None else [*found, torch.cuda.get_rng_state(device)]


def _restore(device: torch.device | None, states: list[torch.Tensor]) -> None:
    torch.set_rng_state(states[0])
    if device is not None:
        torch.cuda.set_rng_state(states[1], device)


def prepare_for_eval(
    *,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    optimizer_state: spec.OptimizerState,
    **others: Any,
) -> spec.UpdateReturn:
    """Puts the weights to evaluate into the model, by `eval()` of the optimizers; the next update puts others back."""
    del others
    _switch(optimizer_state, "eval")
    optimizer_state["is_evaluated"] = True
    return optimizer_state, current_param_container, model_state


def _switch(optimizer_state: spec.OptimizerState, mode: str) -> None:
    for optimizer in optimizer_state["optimizers"]:
        if callable(switch := getattr(optimizer, mode, None)):
            switch()
