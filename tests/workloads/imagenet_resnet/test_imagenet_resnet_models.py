"""The two ResNets: one function of the same weights, with the sizes, types and initial values that AlgoPerf states."""

import collections
import functools

import flax.linen as nn
import image_pairs
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from image_pairs import EVAL, RNG, TRAIN

from algoperf import param_utils, registry
from algoperf.bound_workload import Workload
from algoperf.spec import UsageError
from workloads.imagenet_resnet.max_pool_jax import max_pool_3x3

VARIANTS = [
    "imagenet_resnet",
    "imagenet_resnet_silu",
    "imagenet_resnet_gelu",
    "imagenet_resnet_large_bn_init",
]
# Of each stage, at full width: a step takes half a second to compile for each block, of which most only repeat.
FEW_BLOCKS = (2, 1, 1, 1)
TYPES = {"CONV_WEIGHT": 53, "BATCH_NORM_SCALE": 53, "BATCH_NORM_BIAS": 53, "WEIGHT": 1, "BIAS": 1}


@functools.cache
def mini_pair(name="imagenet_resnet"):
    return image_pairs.make_pair(registry.get(f"{name}_mini"), residual_scale=0.5)


# ---- the same function -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["imagenet_resnet_silu", "imagenet_resnet_gelu"])
def test_the_frameworks_compute_the_same_function_in_float32(name):
    spec = image_pairs.with_settings(name, crop_size=64, stage_sizes=FEW_BLOCKS)
    pair = image_pairs.make_pair(spec, residual_scale=0.2)
    image_pairs.assert_same_step(pair, image_pairs.random_batch(spec, 4))


@pytest.mark.parametrize("name", ["imagenet_resnet", "imagenet_resnet_large_bn_init"])
def test_the_frameworks_compute_the_same_function_with_relu(name):
    # In float64: one ReLU among a million that rounding puts on its other side changes float32 gradients by 1e-3,
    # and residual branches that are 8 times as large as their shortcuts multiply rounding.
    spec = image_pairs.with_settings(name, crop_size=64, stage_sizes=FEW_BLOCKS)
    pair = image_pairs.make_pair(spec, spec.model.bn_init_scale or 0.2, np.float64)
    with jax.enable_x64(True):
        image_pairs.assert_same_step(pair, image_pairs.random_batch(spec, 4, dtype=np.float64), 1e-6)


def test_the_frameworks_compute_the_same_function_in_evaluation_with_all_blocks():
    spec = image_pairs.with_settings("imagenet_resnet", crop_size=64)
    pair = image_pairs.make_pair(spec, residual_scale=0.2)
    image_pairs.assert_close(*image_pairs.eval_logits(pair, image_pairs.random_batch(spec, 2)))


def test_odd_sizes_are_padded_alike():
    spec = image_pairs.with_settings("imagenet_resnet_mini", crop_size=37)
    pair = image_pairs.make_pair(spec, residual_scale=0.5)
    image_pairs.assert_same_step(pair, image_pairs.random_batch(spec, 3))


def test_training_without_updating_statistics_normalises_by_the_batch():
    pair = mini_pair()
    batch = image_pairs.random_batch(pair.spec, 4)

    @jax.jit
    def logits_of(params, model_state, batch):
        arguments = params, batch, model_state, TRAIN, RNG
        frozen = pair.in_jax.model_fn(*arguments, update_batch_norm=False)
        return frozen, pair.in_jax.model_fn(*arguments, update_batch_norm=True)

    (frozen, kept_state), (updated, new_state) = logits_of(pair.params, pair.model_state, batch)
    np.testing.assert_array_equal(frozen, updated)
    jax.tree.map(np.testing.assert_array_equal, kept_state, pair.model_state)
    assert all(not np.array_equal(*both) for both in zip(*map(jax.tree.leaves, (new_state, kept_state))))

    on_device = pair.in_torch.model.to_device(batch)
    before = {key: value.clone() for key, value in pair.module.named_buffers() if "running" in key}
    in_torch, _ = pair.in_torch.model_fn(pair.module, on_device, None, TRAIN, None, update_batch_norm=False)
    image_pairs.assert_close(in_torch.detach().numpy(), np.asarray(frozen))
    for key, value in pair.module.named_buffers():
        if "running" in key:
            assert torch.equal(value, before[key])


def test_images_arrive_in_pytorch_as_views_with_channels_first():
    pair = mini_pair()
    batch = image_pairs.random_batch(pair.spec, 2)
    on_device = pair.in_torch.model.to_device(batch)
    size = pair.spec.data.crop_size
    assert on_device["inputs"].shape == (2, 3, size, size)
    assert on_device["inputs"].is_contiguous(memory_format=torch.channels_last)
    np.testing.assert_array_equal(on_device["inputs"].permute(0, 2, 3, 1), batch["inputs"])


# ---- max pool --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("height", "width"), [(8, 8), (7, 10), (9, 5), (1, 2)])
def test_the_max_pool_and_its_gradient_are_those_of_flax_and_pytorch_with_ties_too(height, width):
    rng = np.random.default_rng(0)
    # Few different values: most windows hold the largest one more than once.
    x = rng.integers(-2, 2, (2, height, width, 3)).astype(np.float32)
    towards = rng.standard_normal((2, (height + 1) // 2, (width + 1) // 2, 3)).astype(np.float32)
    wanted, wanted_vjp = jax.vjp(lambda x: nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1))), x)
    found, found_vjp = jax.vjp(max_pool_3x3, x)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_allclose(found_vjp(towards)[0], wanted_vjp(towards)[0], atol=1e-6)

    in_torch = torch.tensor(x).permute(0, 3, 1, 2).requires_grad_()
    pooled = torch.nn.functional.max_pool2d(in_torch, 3, 2, padding=1)
    pooled.backward(torch.tensor(towards).permute(0, 3, 1, 2))
    np.testing.assert_allclose(in_torch.grad.permute(0, 2, 3, 1), found_vjp(towards)[0], atol=1e-6)


# ---- compilation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mode"), [*((name, "train") for name in VARIANTS[:3]), (VARIANTS[0], "eval")]
)
def test_pytorch_compiles_one_graph_once(name, mode):
    module = registry.model_module(registry.get(name), "torch").make_model(registry.get(f"{name}_mini"))
    getattr(module, mode)()
    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    inputs = [torch.randn(4, 32, 32, 3).permute(0, 3, 1, 2) for _ in range(2)]
    with torch._dynamo.config.patch(error_on_recompile=True):
        for images, dropout_rate in zip(inputs, (0.0, 0.1)):
            again = compiled(images, dropout_rate=dropout_rate)
            torch.testing.assert_close(again, module(images))
    torch.compiler.reset()


def test_jax_compiles_one_step_for_all_dropout_rates():
    pair = mini_pair()
    batch = image_pairs.random_batch(pair.spec, 4)
    count = 0

    @jax.jit
    def logits(batch, dropout_rate):
        nonlocal count
        count += 1
        return pair.in_jax.model_fn(pair.params, batch, pair.model_state, TRAIN, RNG, False, dropout_rate)[0]

    first, second = logits(batch, 0.0), logits(batch, 0.5)
    assert count == 1
    np.testing.assert_array_equal(first, second)  # A rate is accepted, but there is nothing to drop.


# ---- parameters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_and_their_types_are_algoperfs_in_both_frameworks(name):
    spec = registry.get(name)
    variables = image_pairs.abstract_variables(spec)
    shapes = param_utils.jax_param_shapes(variables["params"])
    leaves = jax.tree.leaves(shapes)
    assert sum(np.prod(leaf.shape_tuple) for leaf in leaves) == 25_557_032
    assert sum(leaf.size for leaf in jax.tree.leaves(variables["batch_stats"])) == 53_120
    module = image_pairs.meta_module(spec)
    torch_shapes = param_utils.pytorch_param_shapes(module)
    assert sum(parameter.numel() for parameter in module.parameters()) == 25_557_032
    assert sum(value.numel() for key, value in module.named_buffers() if "running" in key) == 53_120
    for types in (
        jax.tree.leaves(param_utils.jax_param_types(shapes)),
        list(param_utils.pytorch_param_types(torch_shapes).values()),
    ):
        assert len(types) == 161
        assert collections.Counter(kind.name for kind in types) == TYPES
    assert {"conv1.weight", "layer3.5.bn2.bias", "layer4.0.downsample.conv.weight"} <= torch_shapes.keys()
    assert {"Conv_init", "BatchNorm_init", "BottleneckResNetBlock_15", "Dense_0"} <= shapes.keys()


@functools.cache
def initial(framework):
    """Name in PyTorch -> initial value in the mini twin of large_bn_init."""
    from workloads.imagenet_resnet import weights

    spec = registry.get("imagenet_resnet_large_bn_init_mini")
    workload = Workload(spec, framework)
    params, model_state = workload.init_model_fn(workload.backend.root_key(0))
    if framework == "jax":
        state = weights.jax_to_torch(params, spec)
        return state | weights.batch_stats_to_torch(model_state["batch_stats"], spec)
    return {key: value.numpy() for key, value in params.state_dict().items()}


def test_initial_values_follow_their_laws(framework):
    for name, value in initial(framework).items():
        if name == "fc.weight":
            assert value.std() == pytest.approx(0.01, rel=0.05)
        elif "conv" in name:
            stddev = value[0].size ** -0.5
            assert value.std() == pytest.approx(stddev, rel=0.06), name
            assert abs(value.mean()) < 5 * stddev / value.size**0.5
            # Cut off at two standard deviations of the normal distribution before cutting.
            assert 1.9 < np.abs(value).max() / stddev * 0.87962566 <= 2 + 1e-5
        elif name.endswith("bn3.weight"):
            np.testing.assert_array_equal(value, 8.0)
        elif not name.endswith("num_batches_tracked"):
            is_one = name.endswith(("running_var", "weight"))
            np.testing.assert_array_equal(value, float(is_one), err_msg=name)


def test_residual_branches_of_the_base_start_at_zero():
    module = registry.model_module(registry.get("imagenet_resnet"), "torch").make_model(
        registry.get("imagenet_resnet_mini")
    )
    scales = {key: value for key, value in module.named_parameters() if "bn" in key and "weight" in key}
    assert [key for key, value in scales.items() if not value.any()] == [
        key for key in scales if key.endswith("bn3.weight")
    ]
    model = registry.model_module(registry.get("imagenet_resnet"), "jax").make_model(
        registry.get("imagenet_resnet")
    )
    assert model.bn_init_scale == 0.0


# ---- settings --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", ["jax", "torch"])
def test_silu_and_gelu_together_are_an_error(suffix):
    spec = image_pairs.with_settings("imagenet_resnet", use_silu=True, use_gelu=True)
    with pytest.raises(UsageError, match=r"use_silu and use_gelu are both True; switch on one"):
        registry.model_module(spec, suffix).make_model(spec)


@pytest.mark.parametrize("name", VARIANTS)
def test_the_evaluated_part_of_the_training_split_fills_whole_batches(name):
    spec = registry.get(name)
    num_batches = -(-spec.num_validation_examples // spec.eval_batch_size)
    assert spec.num_eval_train_examples == num_batches * spec.eval_batch_size
    assert spec.dataset == "imagenet"
    assert spec.default_batch_size == (512 if name.endswith("lu") else 1024)


def test_the_model_with_running_statistics_is_the_one_that_is_evaluated():
    pair = mini_pair()
    batch = image_pairs.random_batch(pair.spec, 4)
    arguments = pair.params, batch, pair.model_state
    evaluated, _ = pair.in_jax.model_fn(*arguments, EVAL, None, update_batch_norm=False)
    found, _ = pair.in_jax.model_fn(
        *arguments, TRAIN, RNG, update_batch_norm=False, use_running_average_bn=True
    )
    np.testing.assert_array_equal(found, evaluated)
    assert jnp.isfinite(found).all()
