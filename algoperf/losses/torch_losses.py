"""Losses in PyTorch: `summed`, `n_valid_examples` and `per_example`, by `LossType`.

Shapes are those of the JAX losses. Others are a UsageError (`algoperf.losses.shapes`); nothing is broadcast.
"""

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F

from algoperf.losses import shapes
from algoperf.spec import LossType

LossDict = dict[str, torch.Tensor]


def softmax_cross_entropy(
    label_batch: torch.Tensor,
    logits_batch: torch.Tensor,
    mask_batch: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> LossDict:
    """Cross entropy in nats against smoothed targets; see `jax_losses.softmax_cross_entropy`."""
    shapes.classes("softmax_cross_entropy", label_batch.shape, logits_batch.shape)
    flat = logits_batch.reshape(-1, logits_batch.shape[-1])
    if label_batch.ndim == logits_batch.ndim:
        per_example = F.cross_entropy(flat, label_batch.reshape(flat.shape), reduction="none")
    else:
        per_example = F.cross_entropy(flat, label_batch.reshape(-1).long(), reduction="none")
    # A tensor is not compared with 0, which would wait for the device.
    if isinstance(label_smoothing, torch.Tensor) or label_smoothing:
        # Not the argument of F.cross_entropy: with 32,000 classes its float32 gradients are wrong by 1e-4.
        uniform = torch.logsumexp(flat, dim=-1) - flat.mean(dim=-1)
        per_example = (1 - label_smoothing) * per_example + label_smoothing * uniform
    return reduce(per_example.reshape(logits_batch.shape[:-1]), mask_batch)


def sigmoid_cross_entropy(
    label_batch: torch.Tensor,
    logits_batch: torch.Tensor,
    mask_batch: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> LossDict:
    """Binary cross entropy in nats, per label; see `jax_losses.sigmoid_cross_entropy`."""
    shapes.independent_labels("sigmoid_cross_entropy", label_batch.shape, logits_batch.shape)
    num_labels = logits_batch.shape[-1]
    labels = label_batch.reshape(logits_batch.shape)
    if num_labels > 1:
        labels = (1 - label_smoothing) * labels + label_smoothing / num_labels
    per_label = F.binary_cross_entropy_with_logits(logits_batch, labels, reduction="none")
    return reduce(per_label if num_labels > 1 else per_label[..., 0], mask_batch)


def mean_squared_error(
    label_batch: torch.Tensor,
    logits_batch: torch.Tensor,
    mask_batch: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> LossDict:
    """Squared error, averaged over all axes but the first; see `jax_losses.mean_squared_error`."""
    del label_smoothing
    shapes.same("mean_squared_error", label_batch.shape, logits_batch.shape)
    error = (logits_batch - label_batch).square()
    return reduce(error.reshape(len(error), -1).mean(1), mask_batch)


def mean_absolute_error(
    label_batch: torch.Tensor,
    logits_batch: torch.Tensor,
    mask_batch: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> LossDict:
    """Absolute error, averaged over all axes but the first; see `jax_losses.mean_absolute_error`."""
    del label_smoothing
    shapes.same("mean_absolute_error", label_batch.shape, logits_batch.shape)
    error = (logits_batch - label_batch).abs()
    return reduce(error.reshape(len(error), -1).mean(1), mask_batch)


def ctc_loss(
    label_batch: tuple[torch.Tensor, torch.Tensor],
    logits_batch: tuple[torch.Tensor, torch.Tensor],
    mask_batch: torch.Tensor | None = None,
    label_smoothing: float = 0.0,
) -> LossDict:
    """Connectionist temporal classification; see `jax_losses.ctc_loss`."""
    del label_smoothing
    (tokens, token_paddings), (logits, frame_paddings) = label_batch, logits_batch
    shapes.sequences("ctc_loss", tokens.shape, token_paddings.shape, logits.shape, frame_paddings.shape)
    num_tokens = (1 - token_paddings).sum(dim=1)
    per_row = F.ctc_loss(
        # PyTorch expects (frames, batch, classes).
        F.log_softmax(logits, dim=-1).transpose(0, 1),
        tokens.long(),
        (1 - frame_paddings).sum(dim=1).long(),
        num_tokens.long(),
        blank=0,
        reduction="none",
        zero_infinity=True,  # Targets that are too long for their frames: loss 0, as in JAX.
    )
    if mask_batch is not None:
        is_valid = mask_batch.reshape(len(tokens), -1).amax(dim=1) > 0
        per_row, num_tokens = torch.where(is_valid, per_row, 0.0), torch.where(is_valid, num_tokens, 0.0)
    # At least 1, so that a batch of padding gives 0 / 1 and not NaN.
    n_valid = num_tokens.sum().clamp_min(1.0)
    return {"summed": per_row.sum(), "n_valid_examples": n_valid, "per_example": per_row}


def reduce(per_example: torch.Tensor, mask_batch: torch.Tensor | None) -> LossDict:
    """The three entries of a loss; items with mask 0 add nothing, even if their loss is not finite."""
    if mask_batch is None:
        # new_full makes a tensor on the device of the losses, where submissions all-reduce it.
        n_valid = per_example.new_full((), per_example.numel())
    else:
        mask_batch = mask_batch.reshape(per_example.shape).to(per_example.dtype)
        # `where` as well as the product: 0 * inf would be NaN.
        per_example = torch.where(mask_batch > 0, per_example, 0.0) * mask_batch
        n_valid = mask_batch.sum()
    return {"summed": per_example.sum(), "n_valid_examples": n_valid, "per_example": per_example}


LOSSES: Mapping[LossType, Callable[..., LossDict]] = {
    LossType.SOFTMAX_CROSS_ENTROPY: softmax_cross_entropy,
    LossType.SIGMOID_CROSS_ENTROPY: sigmoid_cross_entropy,
    LossType.CTC_LOSS: ctc_loss,
    LossType.MEAN_SQUARED_ERROR: mean_squared_error,
    LossType.MEAN_ABSOLUTE_ERROR: mean_absolute_error,
}
