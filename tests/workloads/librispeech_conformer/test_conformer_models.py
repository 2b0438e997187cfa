"""The two Conformers: one function of the same weights, with the sizes, types and initial values AlgoPerf states."""

import collections
import dataclasses
import functools

import jax
import numpy as np
import pytest
import speech_pairs
import torch
from speech_pairs import TRAIN

from algoperf import param_utils, registry
from algoperf.bound_workload import Workload
from algoperf.jax_utils import dropout_key
from workloads.librispeech_conformer.position_encoding import position_table

VARIANTS = [
    "librispeech_conformer",
    "librispeech_conformer_attention_temperature",
    "librispeech_conformer_layernorm",
    "librispeech_conformer_gelu",
]
MINI = "librispeech_conformer_mini"
# 0.6 s of audio: 58 frames, 15 after subsampling.
FEW_SAMPLES = 9_600


@functools.cache
def mini_pair():
    return speech_pairs.make_pair(speech_pairs.with_settings(MINI, FEW_SAMPLES, num_encoder_layers=1))


def mini_batch(lengths=(9_600, 6_000, 3_000), num_tokens=(6, 4, 2)):
    return speech_pairs.random_batch(mini_pair().spec, list(lengths), list(num_tokens))


# ---- the same function -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_the_frameworks_compute_the_same_function_at_full_width(name):
    # In float64: a ReLU that rounding puts on its other side moves float32 gradients by up to 1e-2. All channels of
    # the subsampling are in test_speech_layers.py: XLA's convolution of float64 for CPUs is slow.
    spec = speech_pairs.with_settings(name, 2_800, num_encoder_layers=1, subsampling_channels=16)
    pair = speech_pairs.make_pair(spec, np.float64)
    batch = speech_pairs.random_batch(spec, [2_800, 1_700], [3, 1], np.float64)
    with jax.enable_x64(True):
        speech_pairs.assert_same_step(pair, batch, 1e-7)


def test_the_frameworks_compute_the_same_function_in_evaluation():
    batch = mini_batch()
    in_torch, torch_paddings = speech_pairs.torch_eval(mini_pair(), batch)
    in_jax, jax_paddings = speech_pairs.jax_eval(mini_pair(), batch)
    speech_pairs.assert_close(in_torch, in_jax)
    np.testing.assert_array_equal(torch_paddings, jax_paddings)
    assert (1 - torch_paddings).sum(axis=1).tolist() == [15, 10, 5]


def test_outputs_of_evaluation_agree_and_bear_rows_that_are_all_padding():
    pair = mini_pair()
    batch = mini_batch((9_600, 0, 3_000), (6, 0, 2))
    in_torch = pair.in_torch.model.eval_step(pair.module, None, pair.in_torch.model.to_device(batch))
    in_jax = pair.in_jax.model.eval_step(pair.params, pair.model_state, batch)
    for outputs in (in_torch, in_jax):
        assert set(outputs) == {"loss", "ids"}
        assert outputs["loss"].shape == (3,)
        assert np.isfinite(outputs["loss"]).all()
        assert outputs["ids"].dtype == np.int32
        assert ((outputs["ids"] >= 0).sum(axis=1) == [15, 0, 5]).all()
        assert (outputs["ids"][1] == -1).all()
    np.testing.assert_allclose(in_torch["loss"], in_jax["loss"], rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(in_torch["ids"], in_jax["ids"])


def test_training_without_updating_statistics_normalises_by_the_batch():
    pair, batch = mini_pair(), mini_batch()
    on_device = pair.in_torch.model.to_device(batch)
    before = {key: value.clone() for key, value in pair.module.named_buffers()}
    frozen, _ = pair.in_torch.model_fn(pair.module, on_device, None, TRAIN, None, False, 0.0)
    for key, value in pair.module.named_buffers():
        assert torch.equal(value, before[key]), key
    updated, _ = pair.in_torch.model_fn(pair.module, on_device, None, TRAIN, None, True, 0.0)
    torch.testing.assert_close(frozen[0], updated[0])
    changed = [key for key, value in pair.module.named_buffers() if not torch.equal(value, before[key])]
    assert len(changed) == 2, "mean and variance"
    pair.module.load_state_dict({**pair.module.state_dict(), **{key: before[key] for key in changed}})


# ---- padding -----------------------------------------------------------------------------------------------------


def outputs_of(framework, batch, train, spec=None):
    """Logits, paddings and running statistics."""
    pair = mini_pair()
    if spec is not None:
        pair = pair._replace(in_jax=Workload(spec, "jax"), in_torch=Workload(spec, "pytorch"))
        module = registry.model_module(spec, "torch").make_model(spec)
        module.load_state_dict(pair.module.state_dict())
        pair = pair._replace(module=module)
    if not train:
        evaluate = speech_pairs.jax_eval if framework == "jax" else speech_pairs.torch_eval
        return evaluate(pair, batch)
    kept = {key: value.clone() for key, value in pair.module.state_dict().items()}
    step = speech_pairs.jax_step(pair, batch) if framework == "jax" else speech_pairs.torch_step(pair, batch)
    state = {key: value.copy() for key, value in step.state.items()}
    pair.module.load_state_dict(kept)
    return step.logits, step.paddings, step.loss, state


@pytest.mark.parametrize("train", [False, True])
def test_what_lies_under_padding_and_how_much_of_it_changes_no_real_frame(framework, train):
    batch = mini_batch((6_000, 4_000, 3_000))
    wanted = outputs_of(framework, batch, train)
    # Longer by 8 hops: 'SAME' padding depends on whether a size is odd, so sizes stay what they were modulo 4.
    longer = FEW_SAMPLES + 8 * 160
    spec = dataclasses.replace(mini_pair().spec, data={**mini_pair().spec.data, "max_audio_samples": longer})
    audio, paddings = batch["inputs"]
    audio = np.pad(np.where(paddings > 0, -777, audio), ((0, 0), (0, longer - FEW_SAMPLES)))
    paddings = np.pad(paddings, ((0, 0), (0, longer - FEW_SAMPLES)), constant_values=1)
    tokens, token_paddings = batch["targets"]
    targets = np.where(token_paddings > 0, 3, tokens).astype(np.float32), token_paddings
    found = outputs_of(
        framework, {"inputs": (audio.astype(np.float32), paddings), "targets": targets}, train, spec
    )
    is_real = wanted[1] == 0
    assert found[0].shape[1] == wanted[0].shape[1] + 2
    np.testing.assert_array_equal(found[1][:, : is_real.shape[1]] == 0, is_real)
    speech_pairs.assert_close(found[0][:, : is_real.shape[1]][is_real], wanted[0][is_real], 2e-5)
    if train:
        np.testing.assert_allclose(found[2], wanted[2], rtol=1e-5)
        for name, value in wanted[3].items():
            np.testing.assert_allclose(found[3][name], value, rtol=1e-4, atol=1e-6, err_msg=name)


def test_one_utterance_does_not_see_another_in_evaluation(framework):
    evaluate = speech_pairs.jax_eval if framework == "jax" else speech_pairs.torch_eval
    batch = mini_batch()
    wanted, _ = evaluate(mini_pair(), batch)
    audio, paddings = batch["inputs"]
    changed = np.concatenate([audio[:1], audio[1:] * 0.5])
    found, _ = evaluate(mini_pair(), {**batch, "inputs": (changed, paddings)})
    np.testing.assert_allclose(found[0], wanted[0], atol=1e-4)
    assert not np.allclose(found[1], wanted[1], atol=1e-2)


# ---- dropout, SpecAugment, compilation -----------------------------------------------------------------------------


def test_pytorch_masks_features_and_drops_in_training_only():
    spec = registry.get(MINI)
    batch = speech_pairs.random_batch(spec, [spec.data.max_audio_samples, 20_000], [6, 4])
    audio, paddings = map(torch.tensor, batch["inputs"])
    module = registry.model_module(spec, "torch").make_model(spec)

    def logits(dropout_rate, seed):
        torch.manual_seed(seed)
        return module(audio, paddings, dropout_rate=dropout_rate)[0].detach()

    assert not torch.equal(logits(0.0, 0), logits(0.0, 1)), "SpecAugment follows no rate"
    module.front_end.use_specaug = False
    assert torch.equal(logits(0.0, 0), logits(0.0, 1))
    assert not torch.equal(logits(0.1, 0), logits(0.1, 1))
    module.front_end.use_specaug = True
    module.eval()
    assert torch.equal(logits(0.1, 0), logits(0.1, 1))


def test_jax_masks_features_and_drops_in_training_only_with_one_compiled_step():
    spec = mini_pair().spec
    pair = mini_pair()
    audio, paddings = mini_batch()["inputs"]
    count = collections.Counter()

    @functools.partial(jax.jit, static_argnames="use_specaug")
    def logits(dropout_rate, seed, use_specaug):
        count[use_specaug] += 1
        model = registry.model_module(spec, "jax").make_model(
            dataclasses.replace(spec, model={**spec.model, "use_specaug": use_specaug})
        )
        key = dropout_key(jax.random.PRNGKey(seed))
        variables = {"params": pair.params, **pair.model_state}
        outputs, _ = model.apply(
            variables,
            audio,
            paddings,
            train=True,
            dropout_rate=dropout_rate,
            rngs={"dropout": key},
            mutable=["batch_stats"],
        )
        return outputs[0]

    with_masks = functools.partial(logits, use_specaug=True)
    assert not np.array_equal(with_masks(0.0, 0), with_masks(0.0, 1)), "SpecAugment follows no rate"
    without = functools.partial(logits, use_specaug=False)
    assert np.array_equal(without(0.0, 0), without(0.0, 1))
    assert not np.array_equal(without(0.1, 0), without(0.1, 1))
    assert count == {True: 1, False: 1}, "the rate is traced"


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_pytorch_compiles_one_graph_and_with_dropout_once_more_for_all_other_rates(mode):
    spec = speech_pairs.with_settings(MINI, FEW_SAMPLES, use_specaug=True, num_encoder_layers=1)
    module = registry.model_module(spec, "torch").make_model(spec)
    getattr(module, mode)()
    graphs = []

    def backend(graph, _):
        graphs.append(graph)
        return graph.forward

    torch.compiler.reset()
    compiled = torch.compile(module, fullgraph=True, backend=backend)
    for lengths, dropout_rate in (
        ((9_600, 4_000), 0.1),
        ((5_000, 8_000), 0.1),
        ((800, 0), 0.2),
        ((1, 1), 0.3),
    ):
        audio, paddings = speech_pairs.random_batch(spec, list(lengths), [2, 2])["inputs"]
        arguments = torch.tensor(audio), torch.tensor(paddings)
        logits, _ = compiled(*arguments, dropout_rate=dropout_rate)
        assert logits.isfinite().all()
        if mode == "eval":
            torch.testing.assert_close(logits, module(*arguments)[0])
        else:
            assert len(graphs) == 1 + (dropout_rate > 0.1)
    torch.compiler.reset()


# ---- parameters ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_and_their_types_are_algoperfs(name):
    spec = registry.get(name)
    size = 32_317_696 if name.endswith("layernorm") else 32_321_792
    num_norms = 17 if name.endswith("layernorm") else 21
    common = {
        "WEIGHT": 22,
        "BIAS": 32,
        "CONV_WEIGHT": 18,
        "BATCH_NORM_SCALE": 4,
        "BATCH_NORM_BIAS": 4,
        "LAYER_NORM_SCALE": num_norms,
        "LAYER_NORM_BIAS": num_norms,
        "ATTENTION_OUT": 4,
    }
    separate = {"ATTENTION_Q": 4, "ATTENTION_K": 4, "ATTENTION_V": 4, "ATTENTION_BIAS": 16}
    fused = {"ATTENTION_QKV": 4, "ATTENTION_BIAS": 8}

    variables = speech_pairs.abstract_variables(spec)
    shapes = param_utils.jax_param_shapes(variables["params"])
    leaves = jax.tree.leaves(shapes)
    assert sum(np.prod(leaf.shape_tuple) for leaf in leaves) == size
    assert {leaf.shape for leaf in jax.tree.leaves(variables["batch_stats"])} == {(512,)}
    kinds = jax.tree.leaves(param_utils.jax_param_types(shapes))
    assert collections.Counter(kind.name for kind in kinds) == {**common, **separate}
    blocks = {f"ConformerBlock_{index}" for index in range(4)}
    assert shapes.keys() == {"Subsample_0", *blocks, "LayerNorm_0", "Dense_0"}

    module = speech_pairs.meta_module(spec)
    assert sum(parameter.numel() for parameter in module.parameters()) == size
    torch_shapes = param_utils.pytorch_param_shapes(module)
    kinds = param_utils.pytorch_param_types(torch_shapes).values()
    assert collections.Counter(kind.name for kind in kinds) == {**common, **fused}
    assert {key.split(".")[0] for key in torch_shapes} == {"subsample", "conformers", "ln", "lin"}
    inner = {key.split(".")[2] for key in torch_shapes if key.startswith("conformers.3.")}
    assert inner == {"ff1", "mhsa", "conv", "ff2"} | ({"ln"} if num_norms == 21 else set())
    if num_norms == 21:
        assert len(leaves) == 154
        assert len(torch_shapes) == 138


@functools.cache
def initial(framework):
    """Name in PyTorch -> initial value in the mini twin."""
    from workloads.librispeech_conformer import weights

    spec = registry.get(MINI)
    workload = Workload(spec, framework)
    params, model_state = workload.init_model_fn(workload.backend.root_key(0))
    if framework == "jax":
        state = weights.jax_to_torch(params, spec)
        return state | weights.batch_stats_to_torch(model_state["batch_stats"], spec)
    return {key: value.numpy() for key, value in params.state_dict().items()}


def test_initial_values_follow_their_laws(framework):
    width = registry.get(MINI).model.encoder_dim
    for name, value in initial(framework).items():
        if value.ndim == 1:
            np.testing.assert_array_equal(value, float(name.endswith("running_var")), err_msg=name)
            continue
        parts = {name: value}
        if name.endswith("in_proj_weight"):  # Each projection is Xavier by itself.
            parts = dict(zip("qkv", np.split(value, 3), strict=True))
        for part, kernel in parts.items():
            receptive = np.prod(kernel.shape[2:])
            fan_in, fan_out = kernel.shape[1] * receptive, kernel.shape[0] * receptive
            bound = (6 / (fan_in + fan_out)) ** 0.5
            assert 0.9 * bound < np.abs(kernel).max() <= bound * (1 + 1e-6), (name, part)
            assert kernel.std() == pytest.approx(bound / 3**0.5, rel=0.15), (name, part)
    depthwise = initial(framework)["conformers.0.conv.conv1.weight"]
    assert depthwise.shape == (width, 1, 5)
    assert np.abs(depthwise).max() <= (6 / (5 + 5 * width)) ** 0.5


def test_the_position_encoding_is_algoperfs():
    table = position_table(500, 512)
    assert table.dtype == np.float32
    wanted = {
        (0, 0): 0.0,
        (0, 256): 1.0,
        (1, 0): 0.841471,
        (1, 1): 0.821779,
        (1, 255): 0.0001,
        (1, 256): 0.540302,
        (7, 100): 0.187881,
        (499, 300): 0.261931,
    }
    for place, value in wanted.items():
        assert table[place] == pytest.approx(value, abs=2e-5), place
    assert table.sum(dtype=np.float64) == pytest.approx(69015.33, abs=0.1)


def test_a_query_scale_of_0_multiplies_by_1():
    from workloads.librispeech_conformer import model_jax, model_torch

    for unit in (model_jax.QUERY_SCALE_UNIT, model_torch.QUERY_SCALE_UNIT):
        assert unit == pytest.approx(1.442695041, abs=1e-9)
