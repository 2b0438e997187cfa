"""The LSTM over padded sequences: against packed sequences, against a plain loop, and between the frameworks."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import torch

from algoperf.layers.torch_initializers import TRUNCATED_STDDEV
from workloads.librispeech_deepspeech import lstm_jax, lstm_torch, weights

NUM_FEATURES, HIDDEN, NUM_FRAMES = 6, 5, 9
LENGTHS = (9, 4, 1)


def paddings(lengths=LENGTHS, num_frames=NUM_FRAMES):
    return (np.arange(num_frames) >= np.array(lengths)[:, None]).astype(np.float32)


@functools.cache
def arrays(rows=3):
    rng = np.random.default_rng(0)
    shapes = (rows, NUM_FRAMES, NUM_FEATURES), (rows, NUM_FRAMES, 2 * HIDDEN)
    return tuple(rng.standard_normal(shape).astype(np.float32) for shape in shapes)


@functools.cache
def jax_params():
    rng = np.random.default_rng(1)
    module = lstm_jax.BiLSTM(HIDDEN)
    shapes = jax.eval_shape(module.init, jax.random.PRNGKey(0), arrays()[0], paddings())["params"]
    return jax.tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(np.float32), shapes)


def torch_module(params=None):
    """With the weights of `params`, by default those of `jax_params`."""
    params = jax_params() if params is None else params
    module = lstm_torch.BiLSTM(NUM_FEATURES, HIDDEN)
    pairs = {"": "forward", "_reverse": "backward"}
    state = {
        name + suffix: torch.tensor(value)
        for suffix, key in pairs.items()
        for name, value in weights.fuse_gates(params[key]).items()
    }
    module.load_state_dict(state)
    return module


def torch_step(forward, module, lengths=LENGTHS):
    """Outputs, and the gradients of inputs and weights."""
    x, towards = (torch.tensor(array) for array in arrays(len(lengths)))
    x.requires_grad_()
    y = forward(x, torch.tensor(paddings(lengths)))
    y.backward(towards)
    return y.detach(), x.grad, {name: value.grad for name, value in module.named_parameters()}


def test_outputs_and_gradients_are_those_of_packed_sequences():
    module = torch_module()
    y, grad_x, grads = torch_step(module, module)

    library = torch.nn.LSTM(NUM_FEATURES, HIDDEN, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for name, value in library.named_parameters():
            kind, _, suffix = name.partition("_l0")
            own = {"bias_ih": "bias"}.get(kind, kind)
            value.copy_(0 * value if kind == "bias_hh" else module.get_parameter(own + suffix))

    def packed(x, _):
        x = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor(LENGTHS), batch_first=True)
        return torch.nn.utils.rnn.pad_packed_sequence(library(x)[0], batch_first=True)[0]

    wanted, wanted_grad_x, wanted_grads = torch_step(packed, library)
    np.testing.assert_allclose(y, wanted, atol=1e-6)
    np.testing.assert_allclose(grad_x, wanted_grad_x, atol=1e-5)
    for name, grad in grads.items():
        kind, _, suffix = name.partition("_reverse")
        kind = "bias_ih" if kind == "bias" else kind
        wanted = wanted_grads[f"{kind}_l0" + ("_reverse" if name.endswith("_reverse") else "")]
        np.testing.assert_allclose(grad, wanted, atol=1e-5, err_msg=name)


@functools.cache
def jax_step(lengths=LENGTHS):
    x, towards = arrays(len(lengths))

    @jax.jit
    def both(params, x):
        module = lstm_jax.BiLSTM(HIDDEN)
        y, vjp = jax.vjp(lambda params, x: module.apply({"params": params}, x, paddings(lengths)), params, x)
        return y, *vjp(towards)

    return both(jax_params(), x)


def test_frameworks_agree_on_outputs_and_gradients_on_padded_frames_too():
    module = torch_module()
    y, grad_x, grads = torch_step(module, module)
    in_jax, params_grad, x_grad = jax_step()
    np.testing.assert_allclose(in_jax, y, atol=1e-5)
    np.testing.assert_allclose(x_grad, grad_x, atol=1e-5)
    carried = torch_module(jax.tree.map(np.asarray, params_grad))
    for name, grad in grads.items():
        np.testing.assert_allclose(carried.get_parameter(name).detach(), grad, atol=2e-5, err_msg=name)


def test_padded_frames_give_zeros_and_have_no_influence_and_a_row_may_be_all_padding():
    lengths = (9, 4, 0)
    module = torch_module()
    in_torch, grad_x, grads = torch_step(module, module, lengths)
    in_jax, _, x_grad = jax_step(lengths)
    is_padded = paddings(lengths) > 0
    for y, grad in ((in_torch.numpy(), grad_x.numpy()), (np.asarray(in_jax), np.asarray(x_grad))):
        assert not y[is_padded].any()
        assert not grad[is_padded].any()
        assert y[~is_padded].all()
    assert all(torch.isfinite(grad).all() for grad in grads.values())


def test_the_recurrence_has_the_derivatives_of_a_plain_loop():
    rng = np.random.default_rng(0)
    z = rng.standard_normal((7, 2, 3, 4 * HIDDEN)).astype(np.float32)
    r = rng.standard_normal((2, HIDDEN, 4 * HIDDEN)).astype(np.float32)

    def plain(z, r):
        def step(state, z):
            h, c = state
            i, f, g, o = jnp.split(z + jnp.einsum("kbh,khg->kbg", h, r), 4, axis=-1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
            return (h, c), h

        start = jnp.zeros((2, 3, HIDDEN))
        return jax.lax.scan(step, (start, start), z)[1]

    def up_to_second_order(function):
        def loss(z, r):
            return jnp.sum(jnp.square(function(z, r)))

        def grad(r):
            return jax.grad(loss, argnums=(0, 1))(z, r)

        return jax.jit(lambda r: (loss(z, r), *jax.jvp(grad, (r,), (jnp.ones_like(r),))))(r)

    found, wanted = up_to_second_order(lstm_jax.recurrence), up_to_second_order(plain)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_compiled_lstm_is_one_operation_with_the_same_results():
    module = torch_module()
    wanted = torch_step(module, module)
    compiled = torch_module()
    found = torch_step(torch.compile(compiled, fullgraph=True, backend="aot_eager"), compiled)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-6)
    torch.library.opcheck(
        torch.ops.algoperf.bilstm.default,
        (torch.tensor(np.pad(arrays()[0], ((0, 0), (0, 0), (0, 1)))), compiled._weights()),
        test_utils=("test_schema", "test_faketensor", "test_autograd_registration"),
    )


def test_no_derivative_is_kept_when_none_is_wanted():
    module = torch_module()
    with torch.inference_mode():
        y = module(torch.tensor(arrays()[0]), torch.tensor(paddings()))
    assert not y.requires_grad
    np.testing.assert_allclose(y, jax_step()[0], atol=1e-5)


def test_initial_weights_are_those_of_flax_in_both_frameworks():
    size, num_features = 32, 48
    torch.manual_seed(0)
    module = lstm_torch.BiLSTM(num_features, size)
    x = np.zeros((1, 2, num_features), np.float32)
    params = lstm_jax.BiLSTM(size).init(jax.random.PRNGKey(0), x, np.zeros((1, 2)))["params"]
    in_torch = {
        name: value.detach().numpy() for name, value in module.named_parameters() if "reverse" not in name
    }
    for state in (in_torch, weights.fuse_gates(params["backward"])):
        assert not state["bias"].any()
        for kernel in np.split(state["weight_hh"], 4):
            np.testing.assert_allclose(kernel @ kernel.T, np.eye(size), atol=1e-5)
        for kernel in np.split(state["weight_ih"], 4):
            assert abs(kernel.std() * num_features**0.5 - 1) < 0.06
            assert np.abs(kernel).max() * num_features**0.5 < 2 / TRUNCATED_STDDEV + 1e-3
