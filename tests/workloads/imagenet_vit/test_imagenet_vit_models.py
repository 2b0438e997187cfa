"""The two ViTs: one function of the same weights, with the sizes, types and initial values that AlgoPerf states."""

import collections
import functools

import image_pairs
import jax
import numpy as np
import pytest
import torch
from image_pairs import EVAL, RNG, TRAIN

from algoperf import param_utils, registry
from algoperf.bound_workload import Workload
from algoperf.spec import UsageError
from workloads.imagenet_vit import model_torch, weights
from workloads.imagenet_vit.position_encoding import position_table

BASE_TYPES = {
    "ATTENTION_Q": 12,
    "ATTENTION_K": 12,
    "ATTENTION_V": 12,
    "ATTENTION_OUT": 12,
    "ATTENTION_BIAS": 48,
    "LAYER_NORM_SCALE": 25,
    "LAYER_NORM_BIAS": 25,
    "CONV_WEIGHT": 1,
    "WEIGHT": 26,
    "BIAS": 27,
}
# Name -> parameters, and how the numbers of tensors of each type differ from the base's.
VARIANTS = {
    "imagenet_vit": (22_122_472, {}),
    "imagenet_vit_glu": (50_452_456, {"WEIGHT": 12, "BIAS": 12}),
    "imagenet_vit_post_ln": (22_121_704, {"LAYER_NORM_SCALE": -1, "LAYER_NORM_BIAS": -1}),
    "imagenet_vit_map": (
        23_896_552,
        {
            **{f"ATTENTION_{role}": 1 for role in ("Q", "K", "V", "OUT")},
            "ATTENTION_BIAS": 4,
            "LAYER_NORM_SCALE": 1,
            "LAYER_NORM_BIAS": 1,
            "WEIGHT": 3,  # The probe and two layers.
            "BIAS": 2,
        },
    ),
}


@functools.cache
def mini_pair(name="imagenet_vit"):
    return image_pairs.make_pair(registry.get(f"{name}_mini"))


# ---- the same function -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_the_frameworks_compute_the_same_logits_loss_and_gradients(name):
    # Full width; the base at full depth, too.
    depth = 12 if name == "imagenet_vit" else 3
    spec = image_pairs.with_settings(name, crop_size=48, depth=depth)
    pair = image_pairs.make_pair(spec)
    image_pairs.assert_same_step(pair, image_pairs.random_batch(spec, 3, soft=True))


@pytest.mark.parametrize("name", VARIANTS)
def test_the_frameworks_compute_the_same_logits_in_evaluation(name):
    pair = mini_pair(name)
    image_pairs.assert_close(*image_pairs.eval_logits(pair, image_pairs.random_batch(pair.spec, 3)))


def test_pixels_beyond_the_last_whole_patch_do_not_matter():
    spec = image_pairs.with_settings("imagenet_vit_mini", crop_size=35)
    pair = image_pairs.make_pair(spec)
    batch = image_pairs.random_batch(spec, 2)
    in_torch, in_jax = image_pairs.eval_logits(pair, batch)
    image_pairs.assert_close(in_torch, in_jax)
    batch["inputs"][:, 32:] = 9
    batch["inputs"][:, :, 32:] = 9
    np.testing.assert_array_equal(image_pairs.eval_logits(pair, batch)[0], in_torch)


def test_the_patch_embedding_is_a_convolution():
    layer = model_torch.PatchEmbedding(8, 4)
    images = torch.randn(2, 3, 10, 12)
    wanted = torch.nn.functional.conv2d(images, layer.weight, layer.bias, stride=4)
    torch.testing.assert_close(layer(images), wanted.flatten(2).transpose(1, 2), rtol=1e-4, atol=1e-5)


def test_position_encoding_has_the_known_values():
    table = position_table(14, 14, 384)
    found = table[15, [0, 1, 95, 96, 192, 193, 288, 383]]
    wanted = [0.84147096, 0.78802884, 0.0001, 0.54030228, 0.84147096, 0.78802884, 0.54030228, 1.0]
    np.testing.assert_allclose(found, wanted, atol=1e-6)
    assert table.sum(dtype=np.float64) == pytest.approx(34_742.76, abs=0.05)
    # Row 1, column 0: the first half is about the column.
    np.testing.assert_allclose(table[14, [0, 96, 192]], [0, 1, 0.84147096], atol=1e-6)


@pytest.mark.parametrize("width", [4, 66])
def test_a_width_without_four_parts_is_an_error(width):
    with pytest.raises(UsageError, match=f"multiple of 4 and at least 8, got {width}"):
        position_table(2, 2, width)


# ---- dropout ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["imagenet_vit", "imagenet_vit_map"])
def test_dropout_is_after_the_embedding_each_sublayer_and_the_hidden_layer_only(name, monkeypatch):
    rates = []
    monkeypatch.setattr(model_torch, "dropout", lambda x, rate, training: rates.append((rate, training)) or x)
    pair = mini_pair(name)
    pair.module.train()(torch.zeros(1, 3, 32, 32), dropout_rate=0.3)
    per_block = [(0.3, True)] * 3
    in_map_head = [(0.0, True)] if name.endswith("map") else []
    assert rates == [(0.3, True)] + pair.spec.model.depth * per_block + in_map_head


def test_the_same_dropout_in_jax_draws_once_for_each_place(monkeypatch):
    from workloads.imagenet_vit import model_jax

    rates = []

    class Recorder(model_jax.Dropout):
        def __call__(self, x, rate, *, train):
            rates.append((rate, train))
            return x

    monkeypatch.setattr(model_jax, "Dropout", Recorder)
    spec = registry.get("imagenet_vit_map_mini")
    batch = model_jax.example_batch(spec)
    model = model_jax.make_model(spec)
    jax.eval_shape(functools.partial(model.init, train=True, dropout_rate=0.3), jax.random.key(0), **batch)
    assert rates == [(0.3, True)] + spec.model.depth * [(0.3, True)] * 3 + [(0.0, False)]


def test_a_rate_that_changes_does_not_compile_again_in_jax():
    pair = mini_pair()
    batch = image_pairs.random_batch(pair.spec, 2)
    count = 0

    @jax.jit
    def logits(dropout_rate, rng):
        nonlocal count
        count += 1
        return pair.in_jax.model_fn(pair.params, batch, None, TRAIN, rng, False, dropout_rate)[0]

    without = logits(0.0, RNG)
    image_pairs.assert_close(without, image_pairs.eval_logits(pair, batch)[1], 1e-5)
    some, other = logits(0.5, RNG), logits(0.5, RNG + 1)
    assert count == 1
    assert not np.allclose(some, without)
    assert not np.allclose(some, other)


# ---- compilation -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "mode"), [*((name, "train") for name in VARIANTS), ("imagenet_vit", "eval")]
)
def test_pytorch_compiles_one_graph_for_every_batch(name, mode):
    module = getattr(mini_pair(name).module, mode)()
    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    inputs = [torch.randn(2, 32, 32, 3).permute(0, 3, 1, 2) for _ in range(2)]
    with torch._dynamo.config.patch(error_on_recompile=True):
        for images in inputs:
            torch.testing.assert_close(
                compiled(images, dropout_rate=0.0), module(images), rtol=1e-4, atol=1e-4
            )
    torch.compiler.reset()


def test_pytorch_compiles_dropout_once_more_for_all_other_rates():
    module = mini_pair().module.train()
    torch.compiler.reset()
    graphs = []

    def backend(graph, inputs):
        graphs.append(graph)
        return graph.forward

    compiled = torch.compile(module, fullgraph=True, backend=backend)
    images = torch.randn(2, 3, 32, 32)
    outputs = [compiled(images, dropout_rate=rate) for rate in (0.1, 0.2, 0.3, 0.4)]
    assert len(graphs) == 2
    assert all(output.isfinite().all() for output in outputs)
    assert not torch.allclose(*outputs[:2])
    torch.compiler.reset()


# ---- parameters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_and_their_types_are_algoperfs_in_both_frameworks(name):
    spec = registry.get(name)
    num_params, more = VARIANTS[name]
    types = collections.Counter(BASE_TYPES)
    types.update(more)
    shapes = param_utils.jax_param_shapes(image_pairs.abstract_variables(spec)["params"])
    assert sum(np.prod(leaf.shape_tuple) for leaf in jax.tree.leaves(shapes)) == num_params
    module = image_pairs.meta_module(spec)
    torch_shapes = param_utils.pytorch_param_shapes(module)
    assert sum(parameter.numel() for parameter in module.parameters()) == num_params
    for found in (
        jax.tree.leaves(param_utils.jax_param_types(shapes)),
        list(param_utils.pytorch_param_types(torch_shapes).values()),
    ):
        assert collections.Counter(kind.name for kind in found) == types
    attention = shapes["Transformer"]["encoderblock_11"]["MultiHeadDotProductAttention_1"]
    assert attention["query"]["kernel"].shape_tuple == (384, 6, 64)
    assert attention["query"]["bias"].shape_tuple == (6, 64)
    assert attention["out"]["kernel"].shape_tuple == (6, 64, 384)
    assert {"encoder.net.11.self_attention1.query.weight", "conv_patch_extract.bias"} <= torch_shapes.keys()


def test_types_line_up_between_the_frameworks():
    spec = registry.get("imagenet_vit_map")
    shapes = param_utils.jax_param_shapes(image_pairs.abstract_variables(spec)["params"])
    in_torch = param_utils.pytorch_param_types(
        param_utils.pytorch_param_shapes(image_pairs.meta_module(spec))
    )
    numbers = {kind: index for index, kind in enumerate(dict.fromkeys(in_torch.values()))}
    filled = jax.tree.map(
        lambda shape, kind: np.full(shape.shape_tuple, numbers[kind], np.int8),
        shapes,
        param_utils.jax_param_types(shapes),
    )
    carried = weights.jax_to_torch(filled, spec)
    assert {key: value.flat[0] for key, value in carried.items()} == {
        key: numbers[kind] for key, kind in in_torch.items()
    }


@functools.cache
def initial(framework):
    """Name in PyTorch -> initial value in the mini twin of the MAP variant."""
    spec = registry.get("imagenet_vit_map_mini")
    workload = Workload(spec, framework)
    params, _ = workload.init_model_fn(workload.backend.root_key(0))
    if framework == "jax":
        return weights.jax_to_torch(params, spec)
    return {key: value.numpy() for key, value in params.state_dict().items()}


def test_initial_values_follow_their_laws(framework):
    for name, value in initial(framework).items():
        size = value.size
        if name.endswith("norm.weight") or ("layer_norm" in name and name.endswith("weight")):
            np.testing.assert_array_equal(value, 1.0, err_msg=name)
        elif name in ("conv_patch_extract.weight", "pre_logits.weight"):
            assert value.std() == pytest.approx(value[0].size ** -0.5, rel=0.06), name
        elif "linear" in name and name.endswith("bias"):
            assert value.std() == pytest.approx(1e-6, rel=0.4), name
        elif name.startswith("head") or name.endswith("bias"):
            np.testing.assert_array_equal(value, 0.0, err_msg=name)
        else:  # Xavier uniform.
            bound = (6 / (value.shape[0] * (value.ndim == 2) + value.shape[-1] + (value.ndim == 3))) ** 0.5
            assert np.abs(value).max() <= bound * (1 + 1e-6), name
            assert np.abs(value).max() > bound * (1 - 20 / size), name
            assert value.std() == pytest.approx(bound / 3**0.5, rel=0.5 if name == "map.probe" else 0.06), (
                name
            )


# ---- facts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_the_evaluated_part_of_the_training_split_fills_whole_batches(name):
    spec = registry.get(name)
    num_batches = -(-spec.num_validation_examples // spec.eval_batch_size)
    assert spec.num_eval_train_examples == num_batches * spec.eval_batch_size
    assert spec.dataset == "imagenet"


def test_both_image_families_read_one_folder_of_mini_data():
    vit, resnet = registry.get("imagenet_vit_mini"), registry.get("imagenet_resnet_mini")
    assert vit.dataset == resnet.dataset
    for key in ("num_classes", "image_size"):
        assert vit.data[key] == resnet.data[key]
    for split in ("train", "validation", "test"):
        assert getattr(vit, f"num_{split}_examples") == getattr(resnet, f"num_{split}_examples")


def test_evaluation_ignores_the_rate():
    pair = mini_pair()
    on_device = pair.in_torch.model.to_device(image_pairs.random_batch(pair.spec, 2))
    first, _ = pair.in_torch.model_fn(pair.module, on_device, None, EVAL, None, False, 0.0)
    second, _ = pair.in_torch.model_fn(pair.module, on_device, None, EVAL, None, False, 0.9)
    assert torch.equal(first, second)
