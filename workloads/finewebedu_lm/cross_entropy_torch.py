"""Cross entropy over a large vocabulary in PyTorch, in float32, that keeps nothing of the logits' size but the logits.

Shapes: N tokens, V vocabulary
"""

from typing import Any

import torch
from torch import Tensor

from algoperf.losses import shapes, torch_losses

CHUNK_ELEMENTS = 1 << 23
"""Logits that are in float32 at a time, 32 MiB."""


def _chunks(logits_NV: Tensor) -> range:
    return range(0, len(logits_NV), _rows(logits_NV))


def _rows(logits_NV: Tensor) -> int:
    return max(CHUNK_ELEMENTS // logits_NV.shape[1], 1)


class TokenLosses(torch.autograd.Function):
    """Logits (N, V), targets (N,), label smoothing -> (N,) losses; the softmax is made anew for the gradient."""

    @staticmethod
    def forward(logits_NV: Tensor, targets_N: Tensor, label_smoothing: float | Tensor) -> Tensor:
        losses_N = logits_NV.new_empty(len(logits_NV), dtype=torch.float32)
        rows = _rows(logits_NV)
        for start in _chunks(logits_NV):
            part = slice(start, start + rows)
            logits = logits_NV[part].float()
            found = logits.gather(1, targets_N[part, None])[:, 0]
            loss = torch.logsumexp(logits, dim=1) - found
            if isinstance(label_smoothing, Tensor) or label_smoothing:
                loss = loss + label_smoothing * (found - logits.mean(dim=1))
            losses_N[part] = loss
        return losses_N

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        logits_NV, targets_N, ctx.label_smoothing = inputs
        ctx.save_for_backward(logits_NV, targets_N)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None, None]:
        (gradient_N,) = gradients
        logits_NV, targets_N = ctx.saved_tensors
        if torch.is_grad_enabled():  # Somebody wants a derivative of this gradient.
            return _gradient(logits_NV, targets_N, gradient_N, ctx.label_smoothing), None, None
        found_NV = torch.empty_like(logits_NV)
        rows = _rows(logits_NV)
        for start in _chunks(logits_NV):
            part = slice(start, start + rows)
            found_NV[part] = _gradient(
                logits_NV[part], targets_N[part], gradient_N[part], ctx.label_smoothing
            )
        return found_NV, None, None


def _gradient(
    logits_NV: Tensor, targets_N: Tensor, gradient_N: Tensor, label_smoothing: float | Tensor
) -> Tensor:
    """(softmax - smoothed target) times the gradient of the loss, in the type of the logits."""
    found_NV = torch.softmax(logits_NV.float(), dim=1)
    if torch.is_grad_enabled():
        found_NV = found_NV.clone()  # What softmax has made is kept for its own derivative.
    if isinstance(label_smoothing, Tensor) or label_smoothing:
        found_NV.sub_(label_smoothing / logits_NV.shape[1])
    hit_N1 = torch.zeros_like(gradient_N[:, None], dtype=torch.float32) + label_smoothing - 1
    found_NV.scatter_add_(1, targets_N[:, None], hit_N1)
    if torch.is_grad_enabled():
        return (found_NV * gradient_N[:, None]).to(logits_NV.dtype)
    return found_NV.mul_(gradient_N[:, None]).to(logits_NV.dtype)


def token_losses(logits: Tensor, targets: Tensor, label_smoothing: float | Tensor = 0.0) -> Tensor:
    """(...) float32 cross entropies in nats of (..., V) logits against (...) integer targets."""
    flat = TokenLosses.apply(logits.flatten(0, -2), targets.flatten().long(), label_smoothing)
    return flat.view(targets.shape)


def loss(
    label_batch: Tensor,
    logits_batch: Tensor,
    mask_batch: Tensor | None = None,
    label_smoothing: float = 0.0,
) -> dict[str, Tensor]:
    """See `torch_losses.softmax_cross_entropy`, with which it agrees; it takes less memory for integer labels."""
    shapes.classes("cross_entropy", label_batch.shape, logits_batch.shape)
    if label_batch.ndim == logits_batch.ndim:
        logits_batch = logits_batch.float()
        return torch_losses.softmax_cross_entropy(label_batch, logits_batch, mask_batch, label_smoothing)
    return torch_losses.reduce(token_losses(logits_batch, label_batch, label_smoothing), mask_batch)
