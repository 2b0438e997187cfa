"""A bidirectional LSTM over padded sequences in PyTorch, with one call of oneDNN or cuDNN for the whole batch.

Shapes: B batch, T frames, D input features, H features of one direction, G = 4H gates in the order i, f, g, o
"""

import torch
from torch import Tensor, nn

from algoperf.layers.torch_initializers import lecun_normal_

# Added to the inputs of the gates i, f and o on padded frames: closes them in every floating-point format.
CLOSED = -1e4

DIRECTIONS = ("", "_reverse")


class BiLSTM(nn.Module):
    """One layer of LSTMs that read each sequence forwards and backwards, starting from states of 0.

    i, f, o = sigmoid, g = tanh of W x + R h + b; c' = f c + i g; h' = o tanh(c').

    The result equals `nn.LSTM` with packed sequences. But packing needs lengths on the host, which waits for the
    device and cannot be compiled, and on a CPU PyTorch runs packed sequences step by step, six times slower. Here a
    padded frame closes the gates i, f and o, so state and output are 0 there, and the backward LSTM still has its
    initial state when it reaches the last real frame.

    Each direction has one bias vector. `nn.LSTM` sums two, which is the same function, but Adam-like rules would then
    train the bias at twice the learning rate.

    Args:
      num_features: D.
      hidden_size: H.

    Source: Hochreiter and Schmidhuber 1997; initialisation as in AlgoPerf 0.6, JAX: input weights truncated normal
    with variance 1 / D, hidden weights orthogonal for each gate, biases 0.
    """

    def __init__(self, num_features: int, hidden_size: int):
        super().__init__()
        self.hidden_size = hidden_size
        for suffix in DIRECTIONS:
            weights = {
                "weight_ih": torch.empty(4 * hidden_size, num_features),
                "weight_hh": torch.empty(4 * hidden_size, hidden_size),
                "bias": torch.zeros(4 * hidden_size),
            }
            for name, value in weights.items():
                self.register_parameter(name + suffix, nn.Parameter(value))
            with torch.no_grad():
                lecun_normal_(weights["weight_ih"])
                for gate_HH in weights["weight_hh"].chunk(4):
                    nn.init.orthogonal_(gate_HH)
        closed = torch.tensor([CLOSED, CLOSED, 0.0, CLOSED]).repeat_interleave(hidden_size)
        self.closed_G1: Tensor
        self.second_bias_G: Tensor
        self.register_buffer("closed_G1", closed[:, None], persistent=False)
        self.register_buffer("second_bias_G", torch.zeros(4 * hidden_size), persistent=False)

    def forward(self, x_BTD: Tensor, paddings_BT: Tensor) -> Tensor:
        """(B, T, 2H): forward outputs, then backward outputs; 0 on padded frames.

        Args:
          x_BTD: inputs; on padded frames any finite values.
          paddings_BT: 1.0 where a frame is padding, else 0.0; real frames come first. A row may be all padding.
        """
        # The library computes the gates' inputs itself, so the padding is passed as one more input feature, whose
        # weights close the gates.
        x = torch.cat([x_BTD, paddings_BT[:, :, None].to(x_BTD.dtype)], dim=2)
        if torch.compiler.is_compiling():
            return _opaque_lstm(x, self._weights())
        return _library_lstm(x, self._weights(), train=torch.is_grad_enabled())

    def _weights(self) -> list[Tensor]:
        """W, R, b and a second bias of 0 for both directions, in the order of `nn.LSTM`."""
        weights = []
        for suffix in DIRECTIONS:
            weight_ih, weight_hh, bias = (
                getattr(self, name + suffix) for name in ("weight_ih", "weight_hh", "bias")
            )
            weights += [torch.cat([weight_ih, self.closed_G1], dim=1), weight_hh, bias, self.second_bias_G]
        if not weights[0].is_cuda:
            return weights
        # cuDNN expects its weights in one block of memory: all matrices, then all biases. Otherwise it copies them,
        # with a warning.
        order = (0, 1, 4, 5, 2, 3, 6, 7)
        flat = torch.cat([weights[index].flatten() for index in order])
        pieces = flat.split([weights[index].numel() for index in order])
        for index, piece in zip(order, pieces):
            weights[index] = piece.view_as(weights[index])
        return weights


def _library_lstm(x: Tensor, weights: list[Tensor], train: bool) -> Tensor:
    """Calls the library's LSTM; `train` decides whether it stores what a backward pass needs."""
    state_2BH = x.new_zeros(2, x.shape[0], weights[1].shape[1])
    return torch._VF.lstm(x, (state_2BH, state_2BH), weights, True, 1, 0.0, train, True, True)[0]


# For torch.compile the LSTM is one opaque operation: PyTorch's own decomposition unrolls all steps, which takes
# minutes
# to compile for a few dozen frames. Its backward pass repeats the forward pass, a third more work.


@torch.library.custom_op("algoperf::bilstm", mutates_args=())
def _opaque_lstm(x: Tensor, weights: list[Tensor]) -> Tensor:
    return _library_lstm(x, weights, train=False).contiguous()


@_opaque_lstm.register_fake
def _(x: Tensor, weights: list[Tensor]) -> Tensor:
    return x.new_empty(*x.shape[:2], 2 * weights[1].shape[1])


@torch.library.custom_op("algoperf::bilstm_backward", mutates_args=())
def _opaque_lstm_backward(grad: Tensor, x: Tensor, weights: list[Tensor]) -> list[Tensor]:
    # PyTorch switches autograd off inside a custom operation; this switches it on again.
    with (
        torch._C._SetExcludeDispatchKeyGuard(torch._C.DispatchKey.AutogradFunctionality, False),
        torch.enable_grad(),
    ):
        inputs = [tensor.detach().requires_grad_() for tensor in (x, *weights)]
        y = _library_lstm(inputs[0], inputs[1:], train=True)
        return [gradient.contiguous() for gradient in torch.autograd.grad(y, inputs, grad)]


@_opaque_lstm_backward.register_fake
def _(grad: Tensor, x: Tensor, weights: list[Tensor]) -> list[Tensor]:
    return [tensor.new_empty(tensor.shape) for tensor in (x, *weights)]


def _setup_context(ctx, inputs, output) -> None:
    x, weights = inputs
    ctx.save_for_backward(x, *weights)


def _backward(ctx, grad: Tensor):
    x, *weights = ctx.saved_tensors
    grad_x, *grad_weights = _opaque_lstm_backward(grad, x, weights)
    return grad_x, grad_weights


_opaque_lstm.register_autograd(_backward, setup_context=_setup_context)
