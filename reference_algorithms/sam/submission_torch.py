"""Sharpness-aware minimisation with AdamW in PyTorch; see README.md for the rule, its sources and the search spaces."""

import torch

from algoperf import spec
from reference_algorithms.sam.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import schedules, training_torch
from reference_algorithms.shared.batch_sizes import get_batch_size
from reference_algorithms.shared.training_torch import Gradient, MeanLoss, data_selection, update_params

__all__ = ["data_selection", "get_batch_size", "init_optimizer_state", "update_params"]


def init_optimizer_state(
    workload: spec.Workload,
    model_params: spec.ParameterContainer,
    model_state: spec.ModelAuxiliaryState,
    hyperparameters: spec.Hyperparameters,
    rng: spec.RandomState,
) -> spec.OptimizerState:
    """AdamW on the gradient from uphill; hyperparameters are None in the self-tuning ruleset."""
    del model_state, rng
    if hyperparameters is None:
        hyperparameters = SELF_TUNING_POINT
    optimizer = torch.optim.AdamW(
        model_params.parameters(),
        lr=hyperparameters.learning_rate,
        betas=(1 - hyperparameters.one_minus_beta1, hyperparameters.beta2),
        eps=1e-8,
        weight_decay=hyperparameters.weight_decay,
        fused=True,
    )
    schedule = schedules.warmup_then_cosine(
        hyperparameters.learning_rate,
        warmup_factor=hyperparameters.warmup_factor,
        step_hint=workload.step_hint,
    )
    gradient = sharpness_aware_gradient(hyperparameters.rho)
    return training_torch.init_state(optimizer, schedule, hyperparameters, gradient)


def sharpness_aware_gradient(rho: float) -> Gradient:
    """The gradient at the point that lies `rho` up the gradient, on the same batch, with the same dropout masks.

    The first pass moves the running statistics of batch norm, the second one does not.
    Source: Foret et al. 2020, https://arxiv.org/abs/2010.01412.
    """

    def gradient(
        mean_loss: MeanLoss, model: torch.nn.Module
    ) -> tuple[torch.Tensor, spec.ModelAuxiliaryState]:
        device = next(model.parameters()).device
        # Random numbers of the first pass are drawn again in the second.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            loss, model_state = training_torch.plain_gradient(mean_loss, model)
        params = [param for param in model.parameters() if param.grad is not None]
        with torch.no_grad():
            grads = [param.grad for param in params]
            norm = torch.nn.utils.get_total_norm(grads)
            scale = torch.where(norm > 0, rho / norm, 0.0)
            originals = [param.clone() for param in params]
            torch._foreach_add_(params, torch._foreach_mul(grads, scale))
        model.zero_grad(set_to_none=True)
        share, _, _ = mean_loss(update_batch_norm=False)
        share.backward()
        with torch.no_grad():
            torch._foreach_copy_(params, originals)
        return loss, model_state

    return gradient
