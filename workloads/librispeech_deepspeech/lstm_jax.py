"""A bidirectional LSTM over padded sequences in Flax: both directions in one loop.

Shapes: B batch, T frames, D input features, H features of one direction, G = 4H gates in the order i, f, g, o,
K = 2 directions. Arrays that the loop iterates over have time as their first axis.
"""

from collections.abc import Callable
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

GATES = ("i", "f", "g", "o")

# Added to the inputs of the gates i, f and o on padded frames: closes them in every floating-point format.
CLOSED = -1e4

lecun_normal = nn.initializers.lecun_normal()
orthogonal = nn.initializers.orthogonal()


class BiLSTM(nn.Module):
    """One layer of LSTMs that read each sequence forwards and backwards, starting from states of 0.

    i, f, o = sigmoid, g = tanh of W x + R h + b; c' = f c + i g; h' = o tanh(c').

    A padded frame closes the gates i, f and o, so state and output are 0 there, and the backward LSTM still has its
    initial state when it reaches the last real frame.

    Weights are those of Flax's `OptimizedLSTMCell`, a kernel per gate, under 'forward' and 'backward'.

    Args:
      hidden_size: H.

    Source: Hochreiter and Schmidhuber 1997; initialisation as in AlgoPerf 0.6, JAX: input weights truncated normal
    with variance 1 / D, hidden weights orthogonal for each gate, biases 0.
    """

    hidden_size: int

    @nn.compact
    def __call__(self, x_BTD: jax.Array, paddings_BT: jax.Array) -> jax.Array:
        """(B, T, 2H): forward outputs, then backward outputs; 0 on padded frames.

        Args:
          x_BTD: inputs; on padded frames any finite values.
          paddings_BT: 1.0 where a frame is padding, else 0.0; real frames come first. A row may be all padding.
        """
        num_features = x_BTD.shape[-1]
        w_DG, r_HG, b_G = _Direction(self.hidden_size, name="forward")(num_features)
        w_back_DG, r_back_HG, b_back_G = _Direction(self.hidden_size, name="backward")(num_features)
        closed_G = jnp.repeat(jnp.array([CLOSED, CLOSED, 0.0, CLOSED], x_BTD.dtype), self.hidden_size)
        x_TBD = x_BTD.transpose(1, 0, 2)
        padding_TBG = paddings_BT.T[:, :, None].astype(x_BTD.dtype) * closed_G
        # One product for all frames and gates; the loop adds the part of the hidden state. Time is reversed for the
        # backward direction.
        z_TBG = x_TBD @ w_DG + b_G + padding_TBG
        z_back_TBG = (x_TBD @ w_back_DG + b_back_G + padding_TBG)[::-1]
        h_TKBH = recurrence(jnp.stack([z_TBG, z_back_TBG], axis=1), jnp.stack([r_HG, r_back_HG]))
        return jnp.concatenate([h_TKBH[:, 0], h_TKBH[::-1, 1]], axis=-1).transpose(1, 0, 2)


class _Direction(nn.Module):
    """Weights of one direction with concatenated gates: input (D, G), hidden (H, G), bias (G,)."""

    hidden_size: int

    @nn.compact
    def __call__(self, num_features: int) -> tuple[jax.Array, jax.Array, jax.Array]:
        size = self.hidden_size
        # Input kernels have no bias: as in Flax's `OptimizedLSTMCell`, the hidden ones carry it.
        w_DH = [_Gate(size, lecun_normal, use_bias=False, name="i" + gate)(num_features)[0] for gate in GATES]
        r_HH, b_H = zip(*[_Gate(size, orthogonal, name="h" + gate)(size) for gate in GATES])
        return jnp.concatenate(w_DH, axis=1), jnp.concatenate(r_HH, axis=1), jnp.concatenate(b_H)


class _Gate(nn.Module):
    """One kernel, and a bias or None."""

    num_outputs: int
    kernel_init: Callable[..., jax.Array]
    use_bias: bool = True

    @nn.compact
    def __call__(self, num_inputs: int) -> tuple[jax.Array, jax.Array | None]:
        kernel = self.param("kernel", self.kernel_init, (num_inputs, self.num_outputs))
        bias = self.param("bias", nn.initializers.zeros, (self.num_outputs,)) if self.use_bias else None
        return kernel, bias


def _activate(z: jax.Array) -> tuple[jax.Array, ...]:
    i, f, g, o = jnp.split(z, 4, axis=-1)
    return jax.nn.sigmoid(i), jax.nn.sigmoid(f), jnp.tanh(g), jax.nn.sigmoid(o)


@jax.custom_vjp
def recurrence(z_TKBG: jax.Array, r_KHG: jax.Array) -> jax.Array:
    """(T, K, B, H) outputs h of K independent LSTMs.

    The derivative is written by hand: JAX's adds an outer product to the gradient of `r_KHG` in every step, which
    moves as much memory as everything else, while here one product over all steps computes it. So the model has no
    forward-mode derivative; `jax.jvp` of its gradient works.

    Args:
      z_TKBG: the part of the gates' inputs from inputs and biases.
      r_KHG: hidden weights.
    """
    return _recurrence_forward(z_TKBG, r_KHG)[0]


def _recurrence_forward(z_TKBG: jax.Array, r_KHG: jax.Array) -> tuple[jax.Array, Any]:
    def step(state: Any, z_KBG: jax.Array) -> tuple[Any, Any]:
        h_KBH, c_KBH = state
        # Both directions in one product: twice the work per step of the loop, so its overhead is paid once.
        i, f, g, o = _activate(z_KBG + jnp.einsum("kbh,khg->kbg", h_KBH, r_KHG))
        c_KBH = f * c_KBH + i * g
        h_KBH = o * jnp.tanh(c_KBH)
        return (h_KBH, c_KBH), (h_KBH, c_KBH, jnp.concatenate([i, f, g, o], axis=-1))

    start_KBH = jnp.zeros((*z_TKBG.shape[1:3], r_KHG.shape[1]), z_TKBG.dtype)
    _, (h_TKBH, c_TKBH, gates_TKBG) = jax.lax.scan(step, (start_KBH, start_KBH), z_TKBG)
    return h_TKBH, (h_TKBH, c_TKBH, gates_TKBG, r_KHG)


def _recurrence_backward(saved: Any, dh_TKBH: jax.Array) -> tuple[jax.Array, jax.Array]:
    h_TKBH, c_TKBH, gates_TKBG, r_KHG = saved
    r_KGH = r_KHG.transpose(0, 2, 1)

    def step(state: Any, xs: Any) -> tuple[Any, jax.Array]:
        dh_next_KBH, dc_KBH = state
        gates_KBG, c_KBH, c_before_KBH, dh_KBH = xs
        i, f, g, o = jnp.split(gates_KBG, 4, axis=-1)
        # Computed again, which is cheaper than saving it for every frame.
        tanh_c = jnp.tanh(c_KBH)
        dh_KBH = dh_KBH + dh_next_KBH
        dc_KBH = dc_KBH + dh_KBH * o * (1 - tanh_c * tanh_c)
        dz_KBG = jnp.concatenate(
            [
                # Derivatives of sigmoid, s (1 - s), and of tanh, 1 - t^2, from the saved outputs of the
                # gates.
                dc_KBH * g * i * (1 - i),
                dc_KBH * c_before_KBH * f * (1 - f),
                dc_KBH * i * (1 - g * g),
                dh_KBH * tanh_c * o * (1 - o),
            ],
            axis=-1,
        )
        return (jnp.einsum("kbg,kgh->kbh", dz_KBG, r_KGH), dc_KBH * f), dz_KBG

    zero_KBH = jnp.zeros_like(c_TKBH[0])
    xs = (gates_TKBG, c_TKBH, _before(c_TKBH), dh_TKBH)
    # Only the inputs of the gates need the loop; the gradient of the weights follows in one product.
    _, dz_TKBG = jax.lax.scan(step, (zero_KBH, zero_KBH), xs, reverse=True)
    return dz_TKBG, jnp.einsum("tkbh,tkbg->khg", _before(h_TKBH), dz_TKBG)


def _before(x_T: jax.Array) -> jax.Array:
    """The values of the step before; 0 before the first step."""
    return jnp.concatenate([jnp.zeros_like(x_T[:1]), x_T[:-1]])


recurrence.defvjp(_recurrence_forward, _recurrence_backward)
