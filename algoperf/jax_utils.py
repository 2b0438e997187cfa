"""Parts of JAX models that several workloads share: dropout whose rate is an argument of the call.

Random bits are most of the cost of dropout on a CPU: threefry, JAX's default generator, takes 22 ms for sixteen
masks of 32 x 48 x 128, over a third of a training step of `wmt_mini`, and 50 ms to compile for every key that Flax
derives. Masks need bits that are balanced and unrelated, not cryptographic strength. `dropout_key` turns a
key into one of a generator for masks: the same masks take 1 ms, on any device, and do not depend on how arrays
are spread over devices.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax.extend import random as jax_extend_random

# Draws are integers below this number, 22 bits. In float32 (24 bits) their square roots still differ from those of the
# neighbours, so the comparison below is exact: a rate of 0 keeps everything and a rate of 1 drops everything.
_NUM_LEVELS = 1 << 22


def _mix(bits: jax.Array) -> jax.Array:
    """The finaliser of MurmurHash3: a bijection of 32-bit words in which each input bit moves half of the output."""
    bits = (bits ^ (bits >> 16)) * jnp.uint32(0x85EBCA6B)
    bits = (bits ^ (bits >> 13)) * jnp.uint32(0xC2B2AE35)
    return bits ^ (bits >> 16)


def _hash(key: jax.Array, words: jax.Array) -> jax.Array:
    """32 random bits per element of `words`; `key` is (2,) uint32. Each word of the key enters before one mixing."""
    return _mix(_mix(words + key[0]) ^ key[1])


def _flat_index(shape: tuple[int, ...]) -> jax.Array:
    """Row-major index of each element modulo 2**32, built per axis so that it can be split over devices."""
    index = jnp.zeros(shape, jnp.uint32)
    for axis in range(len(shape)):
        # uint32 arithmetic wraps around, so strides modulo 2**32 give the index modulo 2**32 as well.
        stride = math.prod(shape[axis + 1 :]) % 2**32
        index += jax.lax.broadcasted_iota(jnp.uint32, shape, axis) * jnp.uint32(stride)
    return index


def _random_bits(key: jax.Array, bit_width: int, shape: tuple[int, ...]) -> jax.Array:
    if bit_width != 32:
        raise NotImplementedError(f"The generator for masks gives 32 bits at a time, not {bit_width}.")
    return _hash(key, _flat_index(shape))


def _split(key: jax.Array, shape: tuple[int, ...]) -> jax.Array:
    return _hash(key, _flat_index((*shape, 2)))


def _fold_in(key: jax.Array, word: int | jax.Array) -> jax.Array:
    # Complemented and reversed, so that derived keys are unrelated to the bits drawn with the same key.
    return _hash(~key[::-1], _mix(jnp.uint32(word)) + _flat_index((2,)))


def _seed(seed: jax.Array) -> jax.Array:
    return _hash(jnp.zeros(2, jnp.uint32), jnp.uint32(seed) + _flat_index((2,)))


MASK_PRNG = jax_extend_random.define_prng_impl(
    key_shape=(2,),
    seed=_seed,
    split=_split,
    random_bits=_random_bits,
    fold_in=_fold_in,
    name="mask_prng",
    tag="mask",
)


def dropout_key(key: jax.Array) -> jax.Array:
    """A key of the generator for masks, from a key of any kind; for `module.apply(rngs={"dropout": ...})`.

    Initial weights use it as well: they need no more randomness than masks do. Dropout also works with other keys, only
    slower.
    """
    words = jax.random.key_data(key) if jnp.issubdtype(key.dtype, jax.dtypes.prng_key) else key
    return jax.random.wrap_key_data(words.ravel()[:2].astype(jnp.uint32), impl=MASK_PRNG)


class Dropout(nn.Module):
    """Sets elements to 0 with probability `rate` and divides the others by 1 - rate (Srivastava et al. 2014).

    The rate is an argument of the call, so one compiled step serves every rate. It is rounded to a multiple of 2**-22.

    Args:
      broadcast_dims: axes that share one draw; (1, 2) drops whole channels of (B, H, W, C).
    """

    rng_collection: str = "dropout"
    broadcast_dims: tuple[int, ...] = ()

    @nn.compact
    def __call__(self, x: jax.Array, rate: float | jax.Array, *, train: bool) -> jax.Array:
        """
        Args:
          x: any shape.
          rate: in [0, 1]; a Python number or a traced scalar.
          train: False returns `x` and needs no key.

        Returns:
          An array like `x`; exactly `x` where `rate` is 0.
        """
        if not train or (isinstance(rate, (int, float)) and rate == 0):
            return x
        num_dropped = jnp.round(jnp.asarray(rate, jnp.float32) * _NUM_LEVELS)
        num_kept = _NUM_LEVELS - num_dropped
        # Dropping everything gives zeros and zero gradients, not 0 / 0.
        scale = jnp.where(num_kept > 0, _NUM_LEVELS / jnp.maximum(num_kept, 1), 0).astype(x.dtype)
        shape = [1 if axis in self.broadcast_dims else size for axis, size in enumerate(x.shape)]
        draws = jax.random.bits(self.make_rng(self.rng_collection), tuple(shape), jnp.uint32) >> 10
        # The square roots do not change the result of the comparison. But XLA for CPU considers a root expensive, so it
        # computes the draws once instead of once per consumer: compiling `wmt_mini` takes a quarter less.
        keep = jnp.sqrt(draws.astype(jnp.float32)) >= jnp.sqrt(num_dropped)
        return jnp.where(keep, x * scale, 0)
