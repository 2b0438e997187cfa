"""Convolution in Flax: `nn.Conv` for images, with formulations that XLA computes faster on CPUs.

On a CPU, most of XLA's backward pass of a convolution goes into the gradient of the kernel, which is a convolution with
a window as large as the image: for images of 320 x 320 with 32 channels it takes twelve times as long as the forward
pass. Here that gradient is a sum of matrix products over strips of rows, and a 1 x 1 convolution is a matrix product.
With stride 2 and 512 channels the forward pass is faster in strips as well. Accelerators use plain convolutions.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

# Output pixels per strip: with 9 x 32 float32 columns, 1.5 MB, which fits a second-level cache.
_STRIP_PIXELS = 1280
# With a stride, strips gain little for outputs below this size and take half a second longer to compile.
_LEAST_STRIDED_PIXELS = 1024
# With fewer input channels XLA's own convolution is faster than strips of patches.
_LEAST_STRIP_CHANNELS = 128

Padding = tuple[tuple[int, int], tuple[int, int]]
T = TypeVar("T")
Carry = TypeVar("Carry")
Result = TypeVar("Result")
Strip = tuple[tuple[jax.Array, jax.Array], tuple[int, int]]
"""((first image, first row), (images, rows)) of the output."""


def conv2d(
    x_BHWC: jax.Array, kernel: jax.Array, strides: tuple[int, int] = (1, 1), padding: Padding | None = None
) -> jax.Array:
    """Cross-correlation, as in `flax.linen.Conv`.

    Args:
      x_BHWC: images, channels last.
      kernel: (height, width, in, out).
      strides: of the output, per axis.
      padding: ((top, bottom), (left, right)) rows and columns of zeros; None for no padding.

    Returns:
      (B, H', W', out).
    """
    padding = padding or ((0, 0), (0, 0))
    if jax.default_backend() != "cpu":
        return _xla_conv(x_BHWC, kernel, strides, padding)
    if kernel.shape[:2] == (1, 1) and padding == ((0, 0), (0, 0)):
        # With a window of one pixel, a stride only drops pixels.
        return x_BHWC[:, :: strides[0], :: strides[1]] @ kernel[0, 0]
    if (
        strides == (1, 1)
        or math.prod(_output_size(x_BHWC, kernel, strides, padding)) >= _LEAST_STRIDED_PIXELS
    ):
        return _conv_with_strips(x_BHWC, kernel, strides, padding)
    return _xla_conv(x_BHWC, kernel, strides, padding)


def _xla_conv(x_BHWC: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding) -> jax.Array:
    return lax.conv_general_dilated(
        x_BHWC, kernel, strides, padding, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )


def _output_size(
    x_BHWC: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> tuple[int, int]:
    height, width = (
        (size + sum(zeros) - window) // stride + 1
        for size, zeros, window, stride in zip(x_BHWC.shape[1:3], padding, kernel.shape, strides)
    )
    return height, width


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _conv_with_strips(
    x_BHWC: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding
) -> jax.Array:
    # Without a stride only the backward pass below is faster in strips.
    if strides == (1, 1) or kernel.shape[2] < _LEAST_STRIP_CHANNELS:
        return _xla_conv(x_BHWC, kernel, strides, padding)
    size = x_BHWC.shape[0], *_output_size(x_BHWC, kernel, strides, padding)
    num_outputs = kernel.shape[3]
    matrix = kernel.reshape(-1, num_outputs)

    def convolve(nothing: None, patches: jax.Array, _: Strip) -> tuple[None, jax.Array]:
        return None, patches @ matrix

    _, y = _scan_strips(convolve, None, x_BHWC, size, _pair(kernel.shape[:2]), strides, padding)
    return y.reshape(*size, num_outputs)


def _forward(x_BHWC: jax.Array, kernel: jax.Array, strides: tuple[int, int], padding: Padding):
    return _conv_with_strips(x_BHWC, kernel, strides, padding), (x_BHWC, kernel)


def _backward(
    strides: tuple[int, int], padding: Padding, kept: tuple[jax.Array, jax.Array], grad_BHWO: jax.Array
):
    x_BHWC, kernel = kept
    # The gradient of the input is an ordinary convolution, which XLA computes fast.
    _, input_vjp = jax.vjp(lambda x: _xla_conv(x, kernel, strides, padding), x_BHWC)
    grad_kernel = kernel_gradient(x_BHWC, grad_BHWO, _pair(kernel.shape[:2]), padding, strides)
    return input_vjp(grad_BHWO)[0], grad_kernel


_conv_with_strips.defvjp(_forward, _backward)


def kernel_gradient(
    x_BHWC: jax.Array,
    grad_BHWO: jax.Array,
    window: tuple[int, int],
    padding: Padding,
    strides: tuple[int, int] = (1, 1),
) -> jax.Array:
    """Gradient of a convolution's kernel: patches of the input times output gradients, summed over strips.

    Args:
      x_BHWC: the input.
      grad_BHWO: gradient of the output.
      window: height and width of the kernel.
      padding: of the convolution.
      strides: of the convolution.

    Returns:
      (*window, C, O).
    """
    num_inputs, num_outputs = x_BHWC.shape[-1], grad_BHWO.shape[-1]

    def add_strip(total: jax.Array, patches: jax.Array, strip: Strip) -> tuple[jax.Array, None]:
        (image, row), (images, rows) = strip
        sizes = images, rows, *grad_BHWO.shape[2:]
        grads = lax.dynamic_slice(grad_BHWO, (image, row, 0, 0), sizes)
        return total + patches.T @ grads.reshape(-1, num_outputs), None

    zero = jnp.zeros((window[0] * window[1] * num_inputs, num_outputs), x_BHWC.dtype)
    size = grad_BHWO.shape[0], grad_BHWO.shape[1], grad_BHWO.shape[2]
    total, _ = _scan_strips(add_strip, zero, x_BHWC, size, window, strides, padding)
    return total.reshape(*window, num_inputs, num_outputs)


def _scan_strips(
    function: Callable[[Carry, jax.Array, Strip], tuple[Carry, Result]],
    carry: Carry,
    x_BHWC: jax.Array,
    output_size: tuple[int, int, int],
    window: tuple[int, int],
    strides: tuple[int, int],
    padding: Padding,
) -> tuple[Carry, Result]:
    """Applies `lax.scan` to strips of the output.

    Args:
      function: (carry, patches, ((first image, first row), (images, rows))) -> (carry, result); `patches` are
        (pixels of the strip, window x C).
      carry: the initial carry.
      x_BHWC: the input.
      output_size: images, height and width of the output.
      window: height and width of the kernel.
      strides: of the convolution.
      padding: of the convolution.
    """
    batch, height, width = output_size
    images, rows = _strip_size(batch, height, width)
    num_strips = batch * height // (images * rows)
    padded = jnp.pad(x_BHWC, ((0, 0), *padding, (0, 0)))
    row_span, column_span = (rows - 1) * strides[0] + 1, (width - 1) * strides[1] + 1
    source_size = images, row_span + window[0] - 1, *padded.shape[2:]
    offsets = [(i, j) for i in range(window[0]) for j in range(window[1])]

    def take_strip(carry: Carry, strip: jax.Array) -> tuple[Carry, Result]:
        image, row = strip // (height // rows) * images, strip % (height // rows) * rows
        source = lax.dynamic_slice(padded, (image, row * strides[0], 0, 0), source_size)
        patches = jnp.concatenate(
            [source[:, i : i + row_span : strides[0], j : j + column_span : strides[1]] for i, j in offsets],
            axis=-1,
        )
        patches = patches.reshape(images * rows * width, -1)
        return function(carry, patches, ((image, row), (images, rows)))

    return lax.scan(take_strip, carry, jnp.arange(num_strips))


def _strip_size(batch: int, height: int, width: int) -> tuple[int, int]:
    """(images, rows per image) of a strip: divisors, at most `_STRIP_PIXELS` pixels together, or a single row.

    >>> _strip_size(2, 320, 320), _strip_size(64, 14, 14), _strip_size(6, 8, 8)
    ((1, 4), (4, 14), (6, 8))
    """
    rows = max(_divisors(height, _STRIP_PIXELS // width))
    # Several images only if whole images fit: a strip is one rectangle of the array.
    images = max(_divisors(batch, _STRIP_PIXELS // (height * width))) if rows == height else 1
    return images, rows


def _pair(values: Sequence[T]) -> tuple[T, T]:
    """One for height, one for width."""
    height, width = values
    return height, width


def _divisors(number: int, limit: int) -> list[int]:
    """Divisors of `number` that are at most `limit`, always including 1."""
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
        window = _pair(self.kernel_size)
        strides = (self.strides, self.strides) if isinstance(self.strides, int) else _pair(self.strides)
        padding: Padding
        if isinstance(self.padding, int):
            padding = ((self.padding, self.padding),) * 2
        elif isinstance(self.padding, str):
            padding = _pair(lax.padtype_to_pads(x_BHWC.shape[1:3], window, strides, self.padding))
        else:
            padding = self.padding
        kernel = self.param("kernel", self.kernel_init, (*window, x_BHWC.shape[-1], self.features))
        y_BHWO = conv2d(x_BHWC, kernel, strides, padding)
        if self.use_bias:
            y_BHWO += self.param("bias", self.bias_init, (self.features,))
        return y_BHWO
