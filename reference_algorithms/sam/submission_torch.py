"""Sharpness-aware minimisation with AdamW in PyTorch; see README.md for the rule, its sources and the search spaces."""

import torch

from reference_algorithms.adamw.submission_torch import make_optimizer
from reference_algorithms.sam.self_tuning import SELF_TUNING_POINT
from reference_algorithms.shared import batch_sizes, input_queue, training_torch
from reference_algorithms.shared.foreach_optimizer import Tensors
from reference_algorithms.shared.training_torch import Gradient, LossAndState, MeanLoss


def sharpness_aware_gradient(rho: float) -> Gradient:
    """The gradient at w + rho · g / |g|, where g is the gradient at w; same batch, same dropout masks.

    Only the first pass moves the running statistics of batch norm, since only its activations are those of w.
    Source: Foret et al. 2020, https://arxiv.org/abs/2010.01412.
    """

    def gradient(mean_loss: MeanLoss, model: torch.nn.Module) -> LossAndState:
        device = next(model.parameters()).device
        # Restores the generators after the first pass, so that the second one draws the same dropout masks.
        with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []):
            loss, model_state = training_torch.plain_gradient(mean_loss, model)
        pairs = [(param, param.grad) for param in model.parameters() if param.grad is not None]
        with torch.no_grad():
            params: Tensors = [param for param, _ in pairs]
            grads = [grad for _, grad in pairs]
            norm = torch.nn.utils.get_total_norm(grads)
            scale = torch.where(norm > 0, rho / norm, 0.0)
            # Copies, because adding and subtracting the step would not restore the weights exactly.
            originals = [param.clone() for param in params]
            torch._foreach_add_(params, list(torch._foreach_mul(grads, scale)))
        model.zero_grad(set_to_none=True)
        share, _, _ = mean_loss(update_batch_norm=False)
        share.backward()
        with torch.no_grad():
            torch._foreach_copy_(params, originals)
        return loss, model_state

    return gradient


get_batch_size = batch_sizes.get_batch_size
init_optimizer_state = training_torch.initializer(
    make_optimizer, SELF_TUNING_POINT, make_gradient=lambda point: sharpness_aware_gradient(point.rho)
)
data_selection = input_queue.next_batch
update_params = training_torch.update_params
