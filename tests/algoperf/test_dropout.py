"""Dropout in both frameworks: the law of its masks, whatever draws them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from algoperf.jax_utils import Dropout, dropout_key
from algoperf.layers.torch_dropout import dropout

SHAPE = (40, 50, 101)  # Odd, because one random number makes several elements.


def in_jax(rate, seed=0, x=None, convert=dropout_key):
    x = jnp.ones(SHAPE) if x is None else x
    rngs = {"dropout": convert(jax.random.PRNGKey(seed))}
    return Dropout().apply({}, x, rate, train=True, rngs=rngs)


def in_torch(rate, seed=0, x=None):
    torch.manual_seed(seed)
    return dropout(torch.ones(SHAPE) if x is None else x, rate, True)


@pytest.fixture(params=[in_jax, in_torch])
def drop(request):
    return request.param


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_as_many_elements_are_dropped_as_the_rate_says_and_the_mean_stays(drop, rate):
    y = np.asarray(drop(rate))
    deviation = (rate * (1 - rate) / y.size) ** 0.5
    assert abs((y == 0).mean() - rate) < 4 * deviation
    np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-4)


def test_a_rate_of_zero_keeps_all_and_a_rate_of_one_nothing(drop):
    np.testing.assert_array_equal(drop(0.0), np.ones(SHAPE))
    np.testing.assert_array_equal(drop(1.0), np.zeros(SHAPE))


def test_elements_are_dropped_independently_of_their_neighbours_and_of_other_seeds(drop):
    dropped = np.asarray(drop(0.5)) == 0
    other = np.asarray(drop(0.5, seed=1)) == 0
    pairs = [(dropped, other)]
    for axis in range(3):
        for lag in (1, 2, 4, 32):
            pairs.append((dropped, np.roll(dropped, lag, axis)))
    for left, right in pairs:
        # Under independence this is normal with a standard deviation of 1.
        assert abs((left == right).mean() - 0.5) * 2 * dropped.size**0.5 < 4.5
    counts = dropped.sum(axis=(1, 2))
    spread = counts.std() / (0.25 * dropped[0].size) ** 0.5
    assert 0.6 < spread < 1.5


def test_the_same_seed_gives_the_same_mask(drop):
    np.testing.assert_array_equal(drop(0.3, seed=3), drop(0.3, seed=3))
    assert (np.asarray(drop(0.3, seed=3)) != np.asarray(drop(0.3, seed=4))).any()


def test_gradients_pass_where_elements_do():
    x = jnp.linspace(1, 2, 60).reshape(3, 20)
    for rate in (0.4, 1.0):
        y, pull_back = jax.vjp(lambda x, rate=rate: in_jax(rate, x=x), x)
        np.testing.assert_allclose(pull_back(jnp.ones_like(x))[0], y / x, rtol=1e-6)
        x_torch = torch.linspace(1, 2, 60).requires_grad_()
        y_torch = in_torch(rate, x=x_torch)
        y_torch.sum().backward()
        np.testing.assert_allclose(x_torch.grad, (y_torch / x_torch).detach(), rtol=1e-6)


def test_the_jax_rate_may_be_traced_and_keys_of_any_kind_work():
    compiled = jax.jit(in_jax)
    for rate in (0.0, 0.25):
        np.testing.assert_array_equal(compiled(rate), in_jax(rate))
    assert compiled._cache_size() == 1
    for convert in (lambda key: key, jax.random.wrap_key_data):
        share = (np.asarray(in_jax(0.25, convert=convert)) == 0).mean()
        np.testing.assert_allclose(share, 0.25, atol=0.01)
    raw = jax.random.PRNGKey(5)
    assert dropout_key(raw) == dropout_key(jax.random.wrap_key_data(raw))


def test_places_of_one_model_get_masks_of_their_own():
    class Twice(Dropout):
        def __call__(self, x, rate, *, train):
            return super().__call__(x, rate, train=train), super().__call__(x, rate, train=train)

    one, two = Twice().apply(
        {}, jnp.ones(SHAPE), 0.5, train=True, rngs={"dropout": dropout_key(jax.random.PRNGKey(0))}
    )
    np.testing.assert_allclose(((one == 0) == (two == 0)).mean(), 0.5, atol=0.01)


def test_dropout_does_nothing_outside_training():
    x = jnp.ones(3)
    assert Dropout().apply({}, x, 0.5, train=False) is x
    y = torch.ones(3)
    assert dropout(y, 0.5, False) is y


def test_a_rate_that_is_no_probability_is_refused():
    with pytest.raises(ValueError, match=r"must be in \[0, 1\], got 1.5"):
        in_torch(1.5)


def test_compiled_pytorch_takes_a_rate_that_changes_as_an_input():
    torch.compiler.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(lambda x, rate: dropout(x, rate, True), fullgraph=True, backend=backend)
    x = torch.ones(4, 2000)
    for rate in (0.1, 0.2, 0.5, 0.75, 0.25):
        y = compiled(x, rate)
        np.testing.assert_allclose((y == 0).float().mean(), rate, atol=0.03)
        np.testing.assert_allclose(y[y != 0], 1 / (1 - rate), rtol=1e-6)
    assert len(graphs) <= 2, "one for the first rate, one for all others"
    assert not compiled(x, 1.0).any()
    assert torch.equal(compiled(x, 0.0), x)
    torch.compiler.reset()
