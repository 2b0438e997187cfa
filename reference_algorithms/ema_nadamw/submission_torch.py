"""NadamW with averaged weights in PyTorch; see README.md for the rule, its sources and the search spaces."""

from typing import Any

import torch

from algoperf import spec
from reference_algorithms.ema_nadamw.self_tuning import SELF_TUNING_POINT, weight_of_newest
from reference_algorithms.nadamw import submission_torch as nadamw
from reference_algorithms.shared import batch_sizes, input_queue, training_torch


class Average:
    """An average of a module's parameters and running statistics, which can replace them for an evaluation."""

    def __init__(self, model: torch.nn.Module, average_factor: float):
        self.average_factor = average_factor
        self._tensors = [tensor.detach().clone() for tensor in averaged_tensors(model)]
        self._is_swapped = False

    @torch.no_grad()
    def move(self, model: torch.nn.Module, weight: float) -> None:
        """average <- average + weight (newest - average)."""
        torch._foreach_lerp_(self._tensors, averaged_tensors(model), weight)

    @torch.no_grad()
    def use(self, model: torch.nn.Module, is_average: bool) -> None:
        """Puts the average into the module, or the training parameters back."""
        if is_average != self._is_swapped:
            inside = averaged_tensors(model)
            # The two exchange their values in place: DDP and the optimizer hold references to the module's
            # tensors.
            outside = [tensor.clone() for tensor in self._tensors]
            torch._foreach_copy_(self._tensors, inside)
            torch._foreach_copy_(inside, outside)
            self._is_swapped = is_average

    def state_dict(self) -> dict[str, Any]:
        return {"tensors": self._tensors, "is_swapped": self._is_swapped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._is_swapped = state_dict["is_swapped"]
        torch._foreach_copy_(self._tensors, state_dict["tensors"])


def averaged_tensors(model: torch.nn.Module) -> list[torch.Tensor]:
    """Parameters and floating-point buffers (running statistics), in the order of the module."""
    buffers = [buffer for buffer in model.buffers() if buffer.is_floating_point()]
    # Integer buffers, such as counts of batches, cannot be averaged.
    return [param.data for param in model.parameters()] + buffers


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    """NadamW with warm-up and cosine decay; hyperparameters are None in the self-tuning ruleset."""
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    state = nadamw.init_optimizer_state(workload, model_params, model_state, hyperparameters, rng)
    return {**state, "average": Average(model_params, hyperparameters.average_factor)}


def update_params(
    *,
    workload: spec.Workload,
    current_param_container: spec.ParameterContainer,
    optimizer_state: spec.OptimizerState,
    global_step: int,
    **others: Any,
) -> spec.UpdateReturn:
    """One update of the training weights and of their average."""
    average = optimizer_state["average"]
    # First put the training weights back: an evaluation since the last update may have left the average in
    # the module.
    average.use(current_param_container, is_average=False)
    returned = training_torch.update_params(
        workload=workload,
        current_param_container=current_param_container,
        optimizer_state=optimizer_state,
        global_step=global_step,
        **others,
    )
    weight = weight_of_newest(global_step, average.average_factor, workload.step_hint)
    average.move(current_param_container, weight)
    return returned


def prepare_for_eval(
    *,
    current_param_container: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    optimizer_state: spec.OptimizerState,
    **others: Any,
) -> spec.UpdateReturn:
    """Puts the average into the module for the evaluation; the next update puts the training parameters back."""
    del others
    optimizer_state["average"].use(current_param_container, is_average=True)
    return optimizer_state, current_param_container, model_state


get_batch_size = batch_sizes.get_batch_size
data_selection = input_queue.next_batch
