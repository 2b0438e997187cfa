"""The U-Net in both frameworks, on one set of weights, at full width and 64 x 64 pixels."""

import copy
import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from algoperf import param_utils, registry
from algoperf.layers.torch_initializers import TRUNCATED_STDDEV
from algoperf.losses import jax_losses, torch_losses
from algoperf.spec import ParameterType
from workloads.fastmri import model_jax, model_torch, weights

VARIANTS = ["fastmri", "fastmri_model_size", "fastmri_tanh", "fastmri_layernorm"]
NUM_PARAMS = {
    "fastmri": (7_756_097, 24),
    "fastmri_model_size": (7_692_929, 19),
    "fastmri_tanh": (7_756_097, 24),
    "fastmri_layernorm": (7_761_985, 60),
}


def abstract_params(name):
    spec = registry.get(name)
    init = functools.partial(model_jax.make_model(spec).init, train=False, dropout_rate=0.0)
    inputs = jnp.zeros((1, 16, 16))
    return jax.eval_shape(lambda key: init(key, inputs), jax.random.PRNGKey(0))["params"]


@functools.cache
def pair(name):
    """Flax module, its parameters, and the PyTorch module with the same ones."""
    spec = registry.get(name)
    rng = np.random.default_rng(0)

    def draw(path, leaf):
        values = rng.standard_normal(leaf.shape, dtype=np.float32)
        if len(leaf.shape) == 1:
            return 0.1 * values + (path[-1].key == "scale")
        return values * np.float32(np.prod(leaf.shape[:-1]) ** -0.5)

    params = jax.tree_util.tree_map_with_path(draw, abstract_params(name))
    module = model_torch.make_model(spec)
    module.load_state_dict(
        {key: torch.tensor(value) for key, value in weights.jax_to_torch(params, spec).items()}
    )
    return model_jax.make_model(spec), params, module


def batch():
    rng = np.random.default_rng(1)
    images = rng.standard_normal((2, 2, 64, 64)).astype(np.float32)
    scales = {"mean": [1, 2], "std": [0.5, 2], "volume_max": [4, 9]}
    return {"inputs": images[0], "targets": images[1]} | {
        key: np.float32(value) for key, value in scales.items()
    }


@pytest.mark.parametrize("name", VARIANTS)
def test_frameworks_agree_on_outputs_loss_and_gradients(name):
    # In float64: with two million activations around the kink of leaky ReLU, float32's rounding puts one or two of
    # them on the other side in one framework, which moves some gradients by a thousandth.
    spec = registry.get(name)
    model, params, module = pair(name)
    with jax.enable_x64(True):
        params = jax.tree.map(np.float64, params)
        inputs, targets = (batch()[key].astype(np.float64) for key in ("inputs", "targets"))

        @jax.jit
        @functools.partial(jax.value_and_grad, has_aux=True)
        def jax_loss(params):
            logits = model.apply({"params": params}, inputs, train=True, dropout_rate=0.0)
            return jax_losses.LOSSES[spec.loss_type](targets, logits)["summed"], logits

        (wanted_loss, wanted), grads = jax.tree.map(np.asarray, jax_loss(params))
    module = copy.deepcopy(module).double().train()
    logits = module(torch.tensor(inputs), dropout_rate=0.0)
    loss = torch_losses.LOSSES[spec.loss_type](torch.tensor(targets), logits)["summed"]
    loss.backward()
    np.testing.assert_allclose(logits.detach(), wanted, atol=1e-9)
    np.testing.assert_allclose(loss.item(), np.abs(wanted - targets).mean((1, 2)).sum(), rtol=1e-9)
    np.testing.assert_allclose(loss.item(), wanted_loss, rtol=1e-9)
    carried = weights.jax_to_torch(grads, spec)
    found = {key: parameter.grad.numpy() for key, parameter in module.named_parameters()}
    assert found.keys() == carried.keys()
    for key, grad in carried.items():
        np.testing.assert_allclose(found[key], grad, atol=1e-8 * np.abs(grad).max(), err_msg=key)


def test_evaluation_gives_the_same_ssim_and_loss_in_both_frameworks():
    name = "fastmri"
    spec = registry.get(name)
    model, params, module = pair(name)
    arrays = batch()
    wanted = jax.jit(lambda params: model_jax.eval_outputs(model, {"params": params}, arrays, spec))(params)
    with torch.inference_mode():
        tensors = {key: torch.tensor(value) for key, value in arrays.items()}
        found = model_torch.eval_outputs(module.eval(), tensors, spec)
    assert found.keys() == wanted.keys() == {"ssim", "loss"}
    for key, value in wanted.items():
        assert value.shape == (2,)
        np.testing.assert_allclose(found[key], value, rtol=1e-4)


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_have_the_published_number_and_the_right_types(name):
    params, module = abstract_params(name), pair(name)[2]
    sizes = [int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params)]
    assert (sum(sizes), len(sizes)) == NUM_PARAMS[name]
    named = dict(module.named_parameters())
    assert (sum(parameter.numel() for parameter in named.values()), len(named)) == NUM_PARAMS[name]
    wanted = Counter({ParameterType.CONV_WEIGHT: 18 if "size" in name else 23, ParameterType.BIAS: 1})
    if "layernorm" in name:
        wanted.update({ParameterType.LAYER_NORM_SCALE: 18, ParameterType.LAYER_NORM_BIAS: 18})
    in_jax = param_utils.jax_param_types(param_utils.jax_param_shapes(params))
    assert Counter(jax.tree.leaves(in_jax)) == wanted
    assert (
        Counter(param_utils.pytorch_param_types(param_utils.pytorch_param_shapes(module)).values()) == wanted
    )
    spec = registry.get(name)
    head = [named[key].numel() for key in spec.output_params["pytorch"]]
    assert sum(head) == sum(leaf.size for leaf in jax.tree.leaves(params["Conv_0"])) == head[0] + 1


def test_initial_weights_have_the_same_spread_in_both_frameworks():
    spec = registry.get("fastmri_mini")
    torch.manual_seed(0)
    module = model_torch.make_model(spec)
    for key, parameter in module.named_parameters():
        if parameter.ndim < 2:
            assert not parameter.any()
            continue
        transposed = "up_transpose_conv" in key
        fan_in = 4 * parameter.shape[0] if transposed else parameter[0].numel()
        spread = float(parameter.detach().std()) * fan_in**0.5
        assert abs(spread - 1) < 4 / parameter.numel() ** 0.5, key
        assert parameter.abs().max() * fan_in**0.5 < 2 / TRUNCATED_STDDEV + 1e-3
    kernel = model_jax.ConvTranspose(32).init(jax.random.PRNGKey(0), jnp.zeros((1, 2, 2, 64)))["params"][
        "kernel"
    ]
    assert abs(float(kernel.std()) * (4 * 64) ** 0.5 - 1) < 0.05


def test_the_whole_model_compiles_in_training_and_evaluation():
    torch.manual_seed(0)
    module = model_torch.make_model(registry.get("fastmri_layernorm_mini"))
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    inputs = torch.tensor(batch()["inputs"])
    for train in (True, False):
        module.train(train)
        if train:
            assert compiled(inputs, dropout_rate=0.1).shape == inputs.shape
        wanted = module(inputs, dropout_rate=0.0)
        np.testing.assert_allclose(compiled(inputs, dropout_rate=0.0).detach(), wanted.detach(), atol=1e-5)
        if not train:
            np.testing.assert_array_equal(module(inputs, dropout_rate=0.5).detach(), wanted.detach())


def test_dropout_takes_whole_channels_and_keeps_their_mean():
    torch.manual_seed(0)
    x = torch.ones(50, 40, 3, 3)
    dropped = model_torch.channel_dropout(x, 0.25, training=True)
    assert set(dropped.unique().tolist()) == {0.0, float(torch.tensor(1 / 0.75))}
    assert (dropped.amax((2, 3)) == dropped.amin((2, 3))).all()
    assert abs(dropped.mean() - 1) < 0.05
    assert model_torch.channel_dropout(x, 0.25, training=False) is x


def test_odd_sizes_are_padded_alike_in_both_frameworks():
    spec = registry.get("fastmri_mini")
    rng = np.random.default_rng(0)
    small, large = (rng.standard_normal((1, size, size + 1, 3)).astype(np.float32) for size in (4, 5))
    in_jax = model_jax.pad_like(small, large)
    in_torch = model_torch.pad_like(
        torch.tensor(small).permute(0, 3, 1, 2), torch.tensor(large).permute(0, 3, 1, 2)
    )
    np.testing.assert_array_equal(in_torch.permute(0, 2, 3, 1), in_jax)
    inputs = torch.zeros(1, 19, 22)
    assert model_torch.make_model(spec)(inputs, dropout_rate=0.0).shape == inputs.shape
    np.testing.assert_allclose(
        model_jax.average_pool(large), large[:, :4].reshape(1, 2, 2, 3, 2, 3).mean((2, 4))
    )


def test_the_normalisation_has_the_derivative_of_its_definition():
    rng = np.random.default_rng(0)
    x, grad = (rng.standard_normal((2, 4, 5, 3)).astype(np.float32) for _ in range(2))

    def definition(x):
        mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
        return model_jax.leaky_relu((x - mean) / jnp.sqrt(variance + 1e-5))

    def ours(x):
        return model_jax.normalize(x, (1, 2), 1e-5, model_jax.leaky_relu)

    @functools.partial(jax.jit, static_argnums=0)
    def both(function, x):
        value, vjp = jax.vjp(function, x)
        return value, vjp(grad)[0]

    for found, wanted in zip(both(ours, x + 10), both(definition, x + 10), strict=True):
        np.testing.assert_allclose(found, wanted, atol=2e-5)
