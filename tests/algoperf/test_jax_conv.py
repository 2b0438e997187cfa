import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from algoperf.layers import jax_conv

CASES = [
    # batch, size, channels in and out, window, strides, padding
    (2, 12, 3, 5, 3, 1, "SAME"),
    (3, 40, 2, 4, 3, 1, 1),
    (2, 9, 3, 4, 3, 2, "SAME"),
    (2, 8, 3, 4, 1, 1, "VALID"),
    (2, 8, 3, 4, 1, 2, "SAME"),
    (2, 14, 3, 4, 7, 2, ((3, 3), (3, 3))),
    (2, 11, 2, 4, 3, 2, "SAME"),
    (1, 10, 2, 3, 5, 1, ((1, 2), (0, 3))),
]


@pytest.mark.parametrize("case", CASES)
def test_it_is_flax_convolution_with_its_parameters_and_gradients(case, monkeypatch):
    monkeypatch.setattr(jax_conv, "_STRIP_PIXELS", 90)  # Several strips, of rows or of images.
    monkeypatch.setattr(jax_conv, "_LEAST_STRIDED_PIXELS", 1)
    monkeypatch.setattr(jax_conv, "_LEAST_STRIP_CHANNELS", 3)
    batch, size, inputs, outputs, window, strides, padding = case
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(batch, size, size + 2, inputs)), jnp.float32)
    arguments = dict(strides=strides, padding=padding)
    ours = jax_conv.Conv(outputs, (window, window), **arguments)
    flax = nn.Conv(outputs, (window, window), **arguments)
    params = ours.init(jax.random.key(0), x)
    params["params"]["bias"] = jnp.asarray(rng.normal(size=outputs), jnp.float32)
    for one, two in zip(
        jax.tree.leaves(params), jax.tree.leaves(flax.init(jax.random.key(0), x)), strict=True
    ):
        assert one.shape == two.shape

    def loss(model, params, x):
        y = model.apply(params, x)
        return (y * jnp.sin(y)).sum(), y

    found, wanted = (
        jax.value_and_grad(lambda p, x, model=model: loss(model, p, x), (0, 1), has_aux=True)(params, x)
        for model in (ours, flax)
    )
    assert found[0][1].shape == wanted[0][1].shape
    for one, two in zip(jax.tree.leaves(found), jax.tree.leaves(wanted), strict=True):
        np.testing.assert_allclose(one, two, atol=3e-5 * float(jnp.abs(two).max()))


def test_gradients_of_gradients_are_those_of_plain_convolution():
    rng = np.random.default_rng(1)
    x, kernel = (jnp.asarray(rng.normal(size=shape), jnp.float32) for shape in ((2, 6, 6, 2), (3, 3, 2, 3)))
    padding = ((1, 1), (1, 1))

    def curvature(convolve):
        def loss(kernel):
            return jnp.sum(jnp.tanh(convolve(x, kernel)))

        return jax.grad(lambda kernel: jnp.sum(jax.grad(loss)(kernel) ** 2))(kernel)

    found = curvature(lambda x, kernel: jax_conv.conv2d(x, kernel, padding=padding))
    wanted = curvature(lambda x, kernel: jax_conv._xla_conv(x, kernel, (1, 1), padding))
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


def test_accelerators_get_plain_convolutions(monkeypatch):
    x, kernel = jnp.ones((1, 4, 4, 1)), jnp.ones((1, 1, 1, 1))
    assert "conv_general_dilated" not in str(jax.make_jaxpr(lambda *a: jax_conv.conv2d(*a))(x, kernel))
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    assert "conv_general_dilated" in str(jax.make_jaxpr(lambda *a: jax_conv.conv2d(*a))(x, kernel))
