"""Cross entropy over a large vocabulary in JAX, in float32, that keeps nothing of the logits' size but the logits.

Shapes: V vocabulary, (...) batch and position
"""

import jax
import jax.numpy as jnp

from algoperf.losses import jax_losses, shapes


@jax.custom_jvp
def log_normalizer(logits: jax.Array) -> jax.Array:
    """log of the summed exponentials of (..., V) float32 logits, (...)."""
    largest = jnp.max(logits, axis=-1)
    return largest + jnp.log(jnp.sum(jnp.exp(logits - largest[..., None]), axis=-1))


@log_normalizer.defjvp
def _log_normalizer_jvp(primals: tuple[jax.Array], tangents: tuple[jax.Array]) -> tuple[jax.Array, jax.Array]:
    # The softmax is made anew out of logits and normalizer. Those of the value, exp(logits - largest), would be used
    # by the value and by its gradient, so XLA would keep them: 4 bytes for each logit. Made here, they are a part of
    # the loop that writes the gradient.
    (logits,), (tangent,) = primals, tangents
    value = log_normalizer(logits)
    softmax = jnp.exp(logits - value[..., None])
    return value, jnp.sum(softmax * tangent, axis=-1)


def token_losses(
    logits: jax.Array, targets: jax.Array, label_smoothing: float | jax.Array = 0.0
) -> jax.Array:
    """(...) float32 cross entropies in nats of (..., V) logits against (...) integer targets."""
    # Once for all uses, whose gradients are then added in float32, and rounded when they are stored. The float32 logits
    # themselves are a part of every loop that reads them, and never stored.
    logits = logits.astype(jnp.float32)
    # A comparison instead of a look-up: the gradient of a look-up is a scatter into an array of the logits' size.
    is_target = targets[..., None] == jnp.arange(logits.shape[-1])
    found = jnp.sum(jnp.where(is_target, logits, 0), axis=-1)
    if not isinstance(label_smoothing, jax.Array) and not label_smoothing:
        return log_normalizer(logits) - found
    mean = jnp.mean(logits, axis=-1)
    return log_normalizer(logits) - (1 - label_smoothing) * found - label_smoothing * mean


def loss(
    label_batch: jax.Array,
    logits_batch: jax.Array,
    mask_batch: jax.Array | None = None,
    label_smoothing: float | jax.Array = 0.0,
) -> dict[str, jax.Array]:
    """See `jax_losses.softmax_cross_entropy`, with which it agrees; it takes less memory for integer labels."""
    shapes.classes("cross_entropy", label_batch.shape, logits_batch.shape)
    if label_batch.ndim == logits_batch.ndim:
        logits_batch = logits_batch.astype(jnp.float32)
        return jax_losses.softmax_cross_entropy(label_batch, logits_batch, mask_batch, label_smoothing)
    return jax_losses.reduce(token_losses(logits_batch, label_batch, label_smoothing), mask_batch)
