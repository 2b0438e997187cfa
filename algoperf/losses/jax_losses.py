"""Losses in JAX: `summed`, `n_valid_examples` and `per_example`, by `LossType`.

Shapes that do not match are a UsageError (`algoperf.losses.shapes`); nothing is broadcast.
"""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import optax

from algoperf.losses import shapes
from algoperf.spec import LossType

LossDict = dict[str, jax.Array]


def softmax_cross_entropy(
    label_batch: jax.Array,
    logits_batch: jax.Array,
    mask_batch: jax.Array | None = None,
    label_smoothing: float | jax.Array = 0.0,
) -> LossDict:
    """Cross entropy in nats against smoothed targets.

    Args:
      label_batch: (...,) integer classes, or (..., classes) probabilities.
      logits_batch: (..., classes).
      mask_batch: (...,) 1 for valid items, 0 for padding.
      label_smoothing: probability mass spread evenly over all classes, in [0, 1); may be traced.

    Returns:
      `per_example` is (...,).
    """
    shapes.classes("softmax_cross_entropy", label_batch.shape, logits_batch.shape)
    num_classes = logits_batch.shape[-1]
    log_probs = jax.nn.log_softmax(logits_batch)
    # Mixup gives probabilities; integer classes are looked up, which needs no one-hot array.
    if label_batch.ndim == logits_batch.ndim:
        nll = -jnp.sum(label_batch * log_probs, axis=-1)
    else:
        nll = -jnp.take_along_axis(log_probs, label_batch[..., None].astype(jnp.int32), axis=-1)[..., 0]
    # The target (1 - a) * onehot + a / C (Szegedy et al. 2016), without building the one-hot array.
    uniform = -jnp.sum(log_probs, axis=-1) / num_classes
    return reduce((1 - label_smoothing) * nll + label_smoothing * uniform, mask_batch)


def sigmoid_cross_entropy(
    label_batch: jax.Array,
    logits_batch: jax.Array,
    mask_batch: jax.Array | None = None,
    label_smoothing: float | jax.Array = 0.0,
) -> LossDict:
    """Binary cross entropy in nats, per label.

    Args:
      label_batch: 0, 1 or probabilities; shaped as the logits, or (batch,) if each example has one logit.
      logits_batch: (batch, labels).
      mask_batch: of the shape of the result.
      label_smoothing: spread evenly over the labels, as AlgoPerf defines it; ignored with a single label.

    Returns:
      `per_example` is (batch, labels), or (batch,) with one label.
    """
    shapes.independent_labels("sigmoid_cross_entropy", label_batch.shape, logits_batch.shape)
    num_labels = logits_batch.shape[-1]
    labels = label_batch.reshape(logits_batch.shape)
    if num_labels > 1:
        # The smoothing of AlgoPerf spreads the mass over labels, as if they were classes. With one label that
        # would be 1 for every target.
        labels = (1 - label_smoothing) * labels + label_smoothing / num_labels
    per_label = optax.sigmoid_binary_cross_entropy(logits_batch, labels)
    return reduce(per_label if num_labels > 1 else per_label[..., 0], mask_batch)


def mean_squared_error(
    label_batch: jax.Array,
    logits_batch: jax.Array,
    mask_batch: jax.Array | None = None,
    label_smoothing: float | jax.Array = 0.0,
) -> LossDict:
    """Squared error, averaged over all axes but the first.

    Args:
      label_batch: (batch, ...).
      logits_batch: of the same shape.
      mask_batch: (batch,) 1 for valid items, 0 for padding.
      label_smoothing: ignored.

    Returns:
      `per_example` is (batch,).
    """
    del label_smoothing
    shapes.same("mean_squared_error", label_batch.shape, logits_batch.shape)
    error = jnp.square(logits_batch - label_batch)
    return reduce(error.reshape(error.shape[0], -1).mean(axis=1), mask_batch)


def mean_absolute_error(
    label_batch: jax.Array,
    logits_batch: jax.Array,
    mask_batch: jax.Array | None = None,
    label_smoothing: float | jax.Array = 0.0,
) -> LossDict:
    """Absolute error, averaged over all axes but the first; shapes as for `mean_squared_error`."""
    del label_smoothing
    shapes.same("mean_absolute_error", label_batch.shape, logits_batch.shape)
    error = jnp.abs(logits_batch - label_batch)
    return reduce(error.reshape(error.shape[0], -1).mean(axis=1), mask_batch)


def ctc_loss(
    label_batch: tuple[jax.Array, jax.Array],
    logits_batch: tuple[jax.Array, jax.Array],
    mask_batch: jax.Array | None = None,
    label_smoothing: float | jax.Array = 0.0,
) -> LossDict:
    """Connectionist temporal classification: the negative log-likelihood of whole token sequences, in nats.

    Class 0 is the blank. A target that is too long for its frames cannot be aligned: its loss is 0 and has no
    gradient. `label_smoothing` is ignored. Source: Graves et al. 2006, https://doi.org/10.1145/1143844.1143891.

    Args:
      label_batch: tokens (batch, tokens) of any number type and their paddings, 1 where there is no token.
      logits_batch: (batch, frames, classes) and paddings (batch, frames), 1 where there is no frame. Valid tokens and
        frames come first.
      mask_batch: (batch,) or (batch, tokens); a row counts if any of its entries is above 0.

    Returns:
      `per_example` is (batch,), not divided by lengths; `n_valid_examples` is the number of target tokens in rows
      that count, at least 1.
    """
    del label_smoothing
    (tokens, token_paddings), (logits, frame_paddings) = label_batch, logits_batch
    shapes.sequences("ctc_loss", tokens.shape, token_paddings.shape, logits.shape, frame_paddings.shape)
    tokens = tokens.astype(jnp.int32)
    # optax's loss runs in log space and takes paddings, so neither lengths nor packed sequences are needed.
    per_row = optax.ctc_loss(logits, frame_paddings, tokens, token_paddings, blank_id=0)
    num_tokens = jnp.sum(1 - token_paddings, axis=1)
    # CTC needs a blank between two equal tokens, so each repetition takes one more frame. For rows with too few frames
    # optax gives a huge finite loss and PyTorch an infinite one; both become 0 (in PyTorch by `zero_infinity`).
    repeats = (tokens[:, 1:] == tokens[:, :-1]) & (token_paddings[:, 1:] < 1)
    counts = num_tokens + repeats.sum(axis=1) <= jnp.sum(1 - frame_paddings, axis=1)
    per_row = jnp.where(counts, per_row, 0.0)
    if mask_batch is not None:
        is_valid = mask_batch.reshape(len(tokens), -1).max(axis=1) > 0
        per_row, num_tokens = jnp.where(is_valid, per_row, 0.0), jnp.where(is_valid, num_tokens, 0.0)
    # At least 1, so that a batch of padding gives 0 / 1 and not NaN.
    n_valid = jnp.maximum(num_tokens.sum(), 1.0)
    return {"summed": per_row.sum(), "n_valid_examples": n_valid, "per_example": per_row}


def reduce(per_example: jax.Array, mask_batch: jax.Array | None) -> LossDict:
    """The three entries of a loss; items with mask 0 add nothing, even if their loss is not finite."""
    if mask_batch is None:
        n_valid = jnp.asarray(per_example.size, jnp.float32)
    else:
        mask_batch = mask_batch.reshape(per_example.shape)
        # `where` as well as the product: 0 * inf would be NaN.
        per_example = jnp.where(mask_batch > 0, per_example, 0.0) * mask_batch
        n_valid = mask_batch.sum().astype(jnp.float32)
    return {"summed": per_example.sum(), "n_valid_examples": n_valid, "per_example": per_example}


LOSSES: Mapping[LossType, Callable[..., LossDict]] = {
    LossType.SOFTMAX_CROSS_ENTROPY: softmax_cross_entropy,
    LossType.SIGMOID_CROSS_ENTROPY: sigmoid_cross_entropy,
    LossType.CTC_LOSS: ctc_loss,
    LossType.MEAN_SQUARED_ERROR: mean_squared_error,
    LossType.MEAN_ABSOLUTE_ERROR: mean_absolute_error,
}
