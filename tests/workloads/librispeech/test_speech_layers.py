"""Layers of the speech models: subsampling and normalisations that know padding, one function in both frameworks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workloads.librispeech import layers_jax, layers_torch


def paddings_of(lengths, size):
    return (np.arange(size) >= np.array(lengths)[:, None]).astype(np.float32)


def batch_of(shape=(3, 9, 6), lengths=(9, 5, 0), seed=0):
    x = np.random.default_rng(seed).normal(1.5, 2.0, shape).astype(np.float32)
    return x, paddings_of(lengths, shape[1])


def batch_norms(momentum=0.9):
    """Both layers with one set of parameters that are not 0."""
    rng = np.random.default_rng(1)
    scale, bias = rng.normal(0, 0.3, (2, 6)).astype(np.float32)
    in_torch = layers_torch.BatchNorm(6, momentum=1 - momentum)
    with torch.no_grad():
        in_torch.scale.copy_(torch.tensor(scale))
        in_torch.bias.copy_(torch.tensor(bias))
    variables = {
        "params": {"scale": jnp.asarray(scale), "bias": jnp.asarray(bias)},
        "batch_stats": {"mean": jnp.zeros(6), "var": jnp.ones(6)},
    }
    return layers_jax.BatchNorm(momentum), variables, in_torch


def in_training(x, paddings):
    """Output, running mean and variance after one batch: JAX's, PyTorch's."""
    in_jax, variables, in_torch = batch_norms()
    y, state = in_jax.apply(variables, x, paddings, train=True, mutable=["batch_stats"])
    stats = state["batch_stats"]
    z = in_torch(torch.tensor(x), torch.tensor(paddings)).detach().numpy()
    return (y, stats["mean"], stats["var"]), (z, in_torch.running_mean.numpy(), in_torch.running_var.numpy())


# ---- batch norm ------------------------------------------------------------------------------------------------------


def test_batch_norm_normalises_by_the_real_frames_alone():
    x, paddings = batch_of()
    _, variables, _ = batch_norms()
    params = variables["params"]
    real = x[paddings == 0]
    mean, var = real.mean(axis=0), real.var(axis=0)
    wanted = (x - mean) / np.sqrt(var + 1e-3) * (1 + params["scale"]) + params["bias"]
    wanted *= 1 - paddings[:, :, None]
    for y, running_mean, running_var in in_training(x, paddings):
        np.testing.assert_allclose(y, wanted, atol=1e-5)
        np.testing.assert_allclose(running_mean, 0.1 * mean, rtol=1e-5)
        np.testing.assert_allclose(running_var, 0.9 + 0.1 * var, rtol=1e-5)


def test_batch_norm_of_padding_alone_is_0_and_finite():
    x, paddings = batch_of(lengths=(0, 0, 0))
    for y, running_mean, running_var in in_training(x, paddings):
        np.testing.assert_array_equal(y, 0)
        np.testing.assert_array_equal(running_mean, 0)
        np.testing.assert_allclose(running_var, 0.9, rtol=1e-6)


def test_longer_padding_and_what_lies_under_it_change_nothing():
    x, paddings = batch_of()
    longer = np.concatenate([np.where(paddings[:, :, None] > 0, 1e3, x), np.full((3, 4, 6), -1e3)], axis=1)
    more_paddings = paddings_of((9, 5, 0), 13)
    for before, after in zip(in_training(x, paddings), in_training(longer.astype(np.float32), more_paddings)):
        np.testing.assert_allclose(after[0][:, :9], before[0], atol=1e-5)
        np.testing.assert_allclose(after[1], before[1], rtol=1e-5)
        np.testing.assert_allclose(after[2], before[2], rtol=1e-5)


def test_batch_norm_evaluates_with_running_statistics():
    x, paddings = batch_of()
    in_jax, variables, in_torch = batch_norms()
    rng = np.random.default_rng(2)
    mean, var = rng.normal(size=6).astype(np.float32), rng.uniform(0.5, 2, 6).astype(np.float32)
    variables["batch_stats"] = {"mean": mean, "var": var}
    in_torch.running_mean.copy_(torch.tensor(mean))
    in_torch.running_var.copy_(torch.tensor(var))
    in_torch.eval()
    y = in_jax.apply(variables, x, paddings, train=False)
    z = in_torch(torch.tensor(x), torch.tensor(paddings)).detach().numpy()
    params = variables["params"]
    wanted = (x - mean) / np.sqrt(var + 1e-3) * (1 + params["scale"]) + params["bias"]
    wanted *= 1 - paddings[:, :, None]
    np.testing.assert_allclose(y, wanted, atol=1e-5)
    np.testing.assert_allclose(z, wanted, atol=1e-5)
    np.testing.assert_array_equal(in_torch.running_mean, mean)


def test_batch_norm_starts_neutral_and_keeps_the_shape_of_its_statistics():
    x, paddings = batch_of()
    in_jax = layers_jax.BatchNorm()
    variables = in_jax.init(jax.random.PRNGKey(0), x, paddings, train=True)
    in_torch = layers_torch.BatchNorm(6)
    assert in_torch.momentum == pytest.approx(0.001)
    _, state = in_jax.apply(variables, x, paddings, train=True, mutable=["batch_stats"])
    for name, first in (("mean", 0.0), ("var", 1.0)):
        np.testing.assert_array_equal(variables["batch_stats"][name], np.full(6, first))
        np.testing.assert_array_equal(getattr(in_torch, f"running_{name}"), np.full(6, first))
        assert state["batch_stats"][name].shape == (6,)
    for parameter in (*variables["params"].values(), in_torch.scale.detach(), in_torch.bias.detach()):
        np.testing.assert_array_equal(parameter, 0)


def test_a_momentum_of_0_freezes_the_running_statistics_of_pytorch():
    x, paddings = batch_of()
    in_torch = layers_torch.BatchNorm(6, momentum=0.0)
    in_torch(torch.tensor(x), torch.tensor(paddings))
    np.testing.assert_array_equal(in_torch.running_mean, 0)
    np.testing.assert_array_equal(in_torch.running_var, 1)


# ---- layer norm ------------------------------------------------------------------------------------------------------


def test_layer_norm_scales_by_1_plus_its_parameter():
    x, _ = batch_of()
    scale, bias = np.random.default_rng(1).normal(0, 0.3, (2, 6)).astype(np.float32)
    wanted = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-6) * (1 + scale) + bias
    in_torch = layers_torch.LayerNorm(6)
    assert not in_torch.scale.any()
    assert not in_torch.bias.any()
    in_torch.load_state_dict({"scale": torch.tensor(scale), "bias": torch.tensor(bias)})
    np.testing.assert_allclose(in_torch(torch.tensor(x)).detach().numpy(), wanted, atol=1e-5)
    found = layers_jax.LayerNorm().apply({"params": {"scale": scale, "bias": bias}}, x)
    np.testing.assert_allclose(found, wanted, atol=1e-5)


# ---- subsampling -----------------------------------------------------------------------------------------------------


def subsamples(channels=5, dim=7, num_bins=80):
    """Both modules with one set of random parameters."""
    rng = np.random.default_rng(0)
    in_jax = layers_jax.Subsample(dim, channels, jnp.tanh)
    shapes = {
        "Conv_0": (3, 3, 1, channels),
        "Conv_1": (3, 3, channels, channels),
        "Dense_0": (20 * channels, dim),
    }
    params = {
        name: {
            "kernel": rng.normal(size=shape).astype(np.float32) / np.sqrt(np.prod(shape[:-1])),
            "bias": rng.normal(size=shape[-1]).astype(np.float32),
        }
        for name, shape in shapes.items()
    }
    in_torch = layers_torch.Subsample(dim, channels, torch.tanh)
    layers = {"Conv_0": in_torch.conv1, "Conv_1": in_torch.conv2, "Dense_0": in_torch.linear}
    with torch.no_grad():
        for name, layer in layers.items():
            kernel = params[name]["kernel"]
            axes = (3, 2, 0, 1) if kernel.ndim == 4 else (1, 0)
            layer.weight.copy_(torch.tensor(kernel.transpose(axes)))
            layer.bias.copy_(torch.tensor(params[name]["bias"]))
    return in_jax, {"params": params}, in_torch


@pytest.mark.parametrize("num_frames", [8, 9, 10, 11])
def test_subsampling_pads_all_sizes_alike_and_keeps_the_order_of_features(num_frames):
    in_jax, variables, in_torch = subsamples()
    x = np.random.default_rng(1).normal(size=(2, num_frames, 80)).astype(np.float32)
    paddings = paddings_of((num_frames, 6), num_frames)
    y, y_paddings = in_jax.apply(variables, x, paddings)
    z, z_paddings = in_torch(torch.tensor(x), torch.tensor(paddings))
    assert y.shape == (2, -(-num_frames // 4), 7)
    np.testing.assert_allclose(z.detach().numpy(), y, atol=1e-5)
    np.testing.assert_array_equal(y_paddings, z_paddings)
    np.testing.assert_array_equal(y_paddings, paddings[:, ::2][:, ::2])


def test_subsampling_hides_padded_frames_after_each_convolution():
    in_jax, variables, _ = subsamples()
    x = np.random.default_rng(1).normal(size=(2, 12, 80)).astype(np.float32)
    paddings = paddings_of((12, 5), 12)
    y, _ = in_jax.apply(variables, x, paddings)
    # A frame of conv 1 sees three frames of features, so feature frame 7 and later reach padding only.
    changed = x.copy()
    changed[1, 7:] += 10
    again, _ = in_jax.apply(variables, changed, paddings)
    np.testing.assert_allclose(again, y, atol=1e-5)


def test_subsampling_is_convolution_with_zeros_after_an_even_size():
    _, _, in_torch = subsamples()
    x = torch.randn(1, 8, 80, generator=torch.Generator().manual_seed(0))
    y, _ = in_torch(x, torch.zeros(1, 8))
    image = x[:, None]
    for conv in (in_torch.conv1, in_torch.conv2):
        image = torch.tanh(F.conv2d(F.pad(image, (0, 1, 0, 1)), conv.weight, conv.bias, stride=2))
    torch.testing.assert_close(y, in_torch.linear(image.permute(0, 2, 3, 1).reshape(1, 2, -1)))


def test_kernels_start_xavier_uniform_and_biases_at_0():
    in_jax = layers_jax.Subsample(64, 32, jax.nn.relu)
    x, paddings = np.zeros((1, 8, 80), np.float32), np.zeros((1, 8), np.float32)
    params = in_jax.init(jax.random.PRNGKey(0), x, paddings)["params"]
    torch.manual_seed(0)
    in_torch = layers_torch.Subsample(64, 32, F.relu)
    bounds = {"Conv_1": (6 / (9 * 32 + 9 * 32)) ** 0.5, "Dense_0": (6 / (640 + 64)) ** 0.5}
    layers = {"Conv_1": in_torch.conv2, "Dense_0": in_torch.linear}
    for name, bound in bounds.items():
        for kernel in (np.asarray(params[name]["kernel"]), layers[name].weight.detach().numpy()):
            assert 0.99 * bound < np.abs(kernel).max() <= bound
            assert kernel.std() == pytest.approx(bound / 3**0.5, rel=0.03)
        assert not np.asarray(params[name]["bias"]).any()
        assert not layers[name].bias.any()
