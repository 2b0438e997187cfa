"""Losses in JAX: `summed`, `n_valid_examples` and `per_example`, by `LossType`."""

import jax
import jax.numpy as jnp
import optax

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
      label_smoothing: mass spread evenly over all classes; may be traced.
    """
    num_classes = logits_batch.shape[-1]
    log_probs = jax.nn.log_softmax(logits_batch)
    if label_batch.ndim == logits_batch.ndim:
        nll = -jnp.sum(label_batch * log_probs, axis=-1)
    else:
        nll = -jnp.take_along_axis(log_probs, label_batch[..., None].astype(jnp.int32), axis=-1)[..., 0]
    # (1 - a) onehot + a / C, without building the one-hot array.
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
      label_batch: 0 or 1 (or probabilities), of the shape of the logits or of (batch,) if there is one logit each.
      logits_batch: (batch, labels).
      mask_batch: of the shape of the result.
      label_smoothing: mass spread evenly over several labels, as AlgoPerf defines it; one label alone has none.

    Returns:
      `per_example` is (batch, labels), or (batch,) with one label.
    """
    num_labels = logits_batch.shape[-1]
    labels = label_batch.reshape(logits_batch.shape)
    if num_labels > 1:
        labels = (1 - label_smoothing) * labels + label_smoothing / num_labels
    per_label = optax.sigmoid_binary_cross_entropy(logits_batch, labels)
    return reduce(per_label if num_labels > 1 else per_label[..., 0], mask_batch)


def mean_squared_error(
    label_batch: jax.Array,
    logits_batch: jax.Array,
    mask_batch: jax.Array | None = None,
    label_smoothing: float | jax.Array = 0.0,
) -> LossDict:
    """Squared error, averaged over all axes but the first."""
    del label_smoothing
    error = jnp.square(logits_batch - label_batch)
    return reduce(error.reshape(error.shape[0], -1).mean(axis=1), mask_batch)


def mean_absolute_error(
    label_batch: jax.Array,
    logits_batch: jax.Array,
    mask_batch: jax.Array | None = None,
    label_smoothing: float | jax.Array = 0.0,
) -> LossDict:
    """Absolute error, averaged over all axes but the first."""
    del label_smoothing
    error = jnp.abs(logits_batch - label_batch)
    return reduce(error.reshape(error.shape[0], -1).mean(axis=1), mask_batch)


def reduce(per_example: jax.Array, mask_batch: jax.Array | None) -> LossDict:
    """The three entries of a loss; items with mask 0 count as nothing, even if their loss is not finite."""
    if mask_batch is None:
        n_valid = jnp.asarray(per_example.size, jnp.float32)
    else:
        mask_batch = mask_batch.reshape(per_example.shape)
        per_example = jnp.where(mask_batch > 0, per_example, 0.0) * mask_batch
        n_valid = mask_batch.sum().astype(jnp.float32)
    return {"summed": per_example.sum(), "n_valid_examples": n_valid, "per_example": per_example}


LOSSES = {
    LossType.SOFTMAX_CROSS_ENTROPY: softmax_cross_entropy,
    LossType.SIGMOID_CROSS_ENTROPY: sigmoid_cross_entropy,
    LossType.MEAN_SQUARED_ERROR: mean_squared_error,
    LossType.MEAN_ABSOLUTE_ERROR: mean_absolute_error,
}
