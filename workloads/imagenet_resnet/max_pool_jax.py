"""Max pooling over 3 x 3 windows with stride 2, with a backward pass that is fast on CPUs (accelerators use XLA's).

XLA's gradient of a max pool scatters window by window: on a CPU it takes longer than all convolutions of the following
stage. Here the forward pass stores which of the nine elements was the largest, one byte per output. Every input lies
in one, two or four windows, so its gradient is a sum of as many selections.
"""

# Shapes: B batch, H height, W width of the input, I and J of the output, C channels

import flax.linen as nn
import jax
import jax.numpy as jnp

_WINDOW = 3


def max_pool_3x3(x_BHWC: jax.Array) -> jax.Array:
    """`flax.linen.max_pool` with window (3, 3), strides (2, 2) and padding 1 on all sides.

    Among equal elements the first in row-major order gets the gradient, as in `jax.lax` and in PyTorch.

    Args:
      x_BHWC: (B, H, W, C), finite.

    Returns:
      (B, ceil(H / 2), ceil(W / 2), C).
    """
    if jax.default_backend() != "cpu":
        return nn.max_pool(x_BHWC, (_WINDOW, _WINDOW), strides=(2, 2), padding=((1, 1), (1, 1)))
    return _max_pool(x_BHWC)


@jax.custom_vjp
def _max_pool(x_BHWC: jax.Array) -> jax.Array:
    return _forward(x_BHWC)[0]


def _forward(x_BHWC: jax.Array) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
    _, height, width, _ = x_BHWC.shape
    # One row and column before the image. After it one more only for odd sizes: otherwise no window reaches it.
    padding = ((0, 0), (1, height % 2), (1, width % 2), (0, 0))
    padded = jnp.pad(x_BHWC, padding, constant_values=-jnp.inf)
    num_rows, num_columns = (height + 1) // 2, (width + 1) // 2
    places = [divmod(index, _WINDOW) for index in range(_WINDOW * _WINDOW)]
    best, *others = (
        padded[:, row : row + 2 * num_rows - 1 : 2, column : column + 2 * num_columns - 1 : 2]
        for row, column in places
    )
    best_index = jnp.zeros(best.shape, jnp.int8)
    for index, element in enumerate(others, start=1):
        best_index = jnp.where(element > best, jnp.int8(index), best_index)
        best = jnp.maximum(element, best)
    # The empty array carries height and width: only arrays are kept for the backward pass.
    return best, (best_index, jnp.zeros((0, height, width, 0)))


def _backward(kept: tuple[jax.Array, jax.Array], grad_BIJC: jax.Array) -> tuple[jax.Array]:
    index_BIJC, shape_of = kept
    _, height, width, _ = shape_of.shape
    batch, num_rows, num_columns, channels = grad_BIJC.shape

    def selected(row: int, column: int) -> jax.Array:
        """Output gradients of the windows whose largest element is (row, column), 0 for others."""
        return jnp.where(index_BIJC == _WINDOW * row + column, grad_BIJC, 0)

    def shifted(x: jax.Array, axis: int) -> jax.Array:
        """x[i + 1], with zeros at the end."""
        rest = jax.lax.slice_in_dim(x, 1, x.shape[axis], axis=axis)
        return jnp.pad(rest, [(0, int(a == axis)) for a in range(x.ndim)])

    # Along an axis, input 2i is in the middle of window i; input 2i + 1 is the end of window i and the start of i +
    # 1.
    even_even = selected(1, 1)
    even_odd = selected(1, 2) + shifted(selected(1, 0), 2)
    odd_even = selected(2, 1) + shifted(selected(0, 1), 1)
    odd_odd = selected(2, 2) + shifted(selected(2, 0), 2) + shifted(selected(0, 2), 1)
    odd_odd += shifted(shifted(selected(0, 0), 1), 2)
    rows = [jnp.stack(pair, axis=3) for pair in ((even_even, even_odd), (odd_even, odd_odd))]
    pairs = jnp.stack(rows, axis=2)  # (B, I, 2, J, 2, C)
    whole = pairs.reshape(batch, 2 * num_rows, 2 * num_columns, channels)
    return (whole[:, :height, :width],)


_max_pool.defvjp(_forward, _backward)
