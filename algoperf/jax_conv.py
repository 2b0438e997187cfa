"""Convolution in Flax: `nn.Conv` for images, with formulations that XLA computes faster on CPUs.

On a CPU, XLA takes most of a convolution's backward pass for the gradient of the kernel, which is a convolution with
a window as large as the image: for images of 320 x 320 with 32 channels it takes twelve times as long as the forward
pass. Here that gradient is a sum of matrix products over strips of rows, and a 1 x 1 convolution is a matrix product.
Accelerators get plain convolutions.
"""

import functools
from collections.abc import Callable, Sequence

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

# Output pixels per strip: with 9 x 32 float32 columns, 1.5 MB, which fits a second-level cache.
_STRIP_PIXELS = 1280

Padding = tuple[tuple[int, int], tuple[int, int]]


def conv2d(
    x_BHWC: jax.Array, kernel: jax.Array, strides: tuple[int, int] = (1, 1), padding: Padding | None = None
) -> jax.Array:
    """Cross-correlation, as in `flax.linen.Conv`.

    Args:
      x_BHWC: images, channels last.
      kernel: (height, width, in, out).
      strides: of the output, per axis.
      padding: zeros ((top, bottom), (left, right)); None is none.

    Returns:
      (B, H', W', out).
    """
    padding = padding or ((0, 0), (0, 0))
    if jax.default_backend() != "cpu":
        return _xla_conv(x_BHWC, kernel, strides, padding)
    if kernel.shape[:2] == (1, 1) and padding == ((0, 0), (0, 0)):
        return x_BHWC[:, :: strides[0], :: strides[1]] @ kernel[0, 0]
    if strides == (1, 1):
        return _conv_with_strips(x_BHWC, kernel, padding)
    return _xla_conv(x_BHWC, kernel, strides, padding)


def _xla_conv(x_BHWC: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding) -> jax.Array:
    return lax.conv_general_dilated(
        x_BHWC, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv_with_strips(x_BHWC: jax.Array, kernel: jax.Array, padding: Padding) -> jax.Array:
    return _xla_conv(x_BHWC, kernel, (1, 1), padding)


def _forward(x_BHWC: jax.Array, kernel: jax.Array, padding: Padding):
    return _xla_conv(x_BHWC, kernel, (1, 1), padding), (x_BHWC, kernel)


def _backward(padding: Padding, kept: tuple[jax.Array, jax.Array], grad_BHWO: jax.Array):
    x_BHWC, kernel = kept
    _, input_vjp = jax.vjp(lambda x: _xla_conv(x, kernel, (1, 1), padding), x_BHWC)
    return input_vjp(grad_BHWO)[0], kernel_gradient(x_BHWC, grad_BHWO, kernel.shape[:2], padding)


_conv_with_strips.defvjp(_forward, _backward)


def kernel_gradient(
    x_BHWC: jax.Array, grad_BHWO: jax.Array, window: tuple[int, int], padding: Padding
) -> jax.Array:
    """Gradient of a stride-1 convolution's kernel, strip by strip: patches of the input times output gradients.

    Args:
      x_BHWC: the input.
      grad_BHWO: gradient of the output.
      window: height and width of the kernel.
      padding: of the convolution.

    Returns:
      (*window, C, O).
    """
    batch, height, width, num_outputs = grad_BHWO.shape
    num_inputs = x_BHWC.shape[-1]
    images, rows = _strip_size(batch, height, width)
    padded = jnp.pad(x_BHWC, ((0, 0), *padding, (0, 0)))
    offsets = [(i, j) for i in range(window[0]) for j in range(window[1])]
    pixels = images * rows * width

    def add_strip(total: jax.Array, strip: jax.Array) -> tuple[jax.Array, None]:
        corner = strip // (height // rows) * images, strip % (height // rows) * rows, 0, 0
        source_shape = (images, rows + window[0] - 1, padded.shape[2], num_inputs)
        source = lax.dynamic_slice(padded, corner, source_shape)
        patches = jnp.concatenate([source[:, i : i + rows, j : j + width] for i, j in offsets], axis=-1)
        grads = lax.dynamic_slice(grad_BHWO, corner, (images, rows, width, num_outputs))
        return total + patches.reshape(pixels, -1).T @ grads.reshape(pixels, num_outputs), None

    zero = jnp.zeros((len(offsets) * num_inputs, num_outputs), x_BHWC.dtype)
    total, _ = lax.scan(add_strip, zero, jnp.arange(batch * height * width // pixels))
    return total.reshape(*window, num_inputs, num_outputs)


def _strip_size(batch: int, height: int, width: int) -> tuple[int, int]:
    """How many images and rows of each make a strip: even parts with at most `_STRIP_PIXELS` pixels, or one row.

    >>> _strip_size(2, 320, 320), _strip_size(64, 14, 14), _strip_size(6, 8, 8)
    ((1, 4), (4, 14), (6, 8))
    """
    rows = max(_divisors(height, _STRIP_PIXELS // width))
    images = max(_divisors(batch, _STRIP_PIXELS // (height * width))) if rows == height else 1
    return images, rows


def _divisors(number: int, limit: int) -> list[int]:
    """Divisors of `number` that are at most `limit`; 1 always."""
    return [k for k in range(1, number + 1) if number % k == 0 and k <= max(limit, 1)]


class Conv(nn.Module):
    """`flax.linen.Conv` for images (B, H, W, C): the same parameters, the same function.

    Args:
      features: output channels.
      kernel_size: height and width.
      strides: an integer or one per axis.
      padding: 'SAME', 'VALID', an integer, or ((top, bottom), (left, right)).
    """

    features: int
    kernel_size: Sequence[int]
    strides: int | Sequence[int] = 1
    padding: str | int | Padding = "SAME"
    use_bias: bool = True
    kernel_init: Callable = nn.initializers.lecun_normal()
    bias_init: Callable = nn.initializers.zeros_init()

    @nn.compact
    def __call__(self, x_BHWC: jax.Array) -> jax.Array:
        window = tuple(self.kernel_size)
        strides = (self.strides,) * 2 if isinstance(self.strides, int) else tuple(self.strides)
        padding = self.padding
        if isinstance(padding, int):
            padding = ((padding, padding),) * 2
        elif isinstance(padding, str):
            padding = tuple(lax.padtype_to_pads(x_BHWC.shape[1:3], window, strides, padding))
        kernel = self.param("kernel", self.kernel_init, (*window, x_BHWC.shape[-1], self.features))
        y_BHWO = conv2d(x_BHWC, kernel, strides, padding)
        if self.use_bias:
            y_BHWO += self.param("bias", self.bias_init, (self.features,))
        return y_BHWO
