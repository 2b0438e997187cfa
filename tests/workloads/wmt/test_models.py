"""The two Transformers: one function of the same weights, with the sizes, types and laws that AlgoPerf states."""

import collections
import functools
import re

import flax.linen as nn
import jax
import numpy as np
import pytest
import torch
from transformer_pairs import (
    PACKED,
    VARIANTS,
    abstract_params,
    make_pair,
    mini_pair,
    packed_batch,
    plain_batch,
    to_torch,
    with_model,
)

from algoperf import param_utils, registry
from algoperf.jax_utils import Dropout, dropout_key
from algoperf.losses import jax_losses, torch_losses
from algoperf.spec import ParameterType
from workloads.wmt import model_jax, model_torch, weights
from workloads.wmt.position_encoding import position_table


def assert_close(found, wanted, tolerance=1e-4, **context):
    """Within `tolerance` of the largest element of `wanted`."""
    limit = tolerance * np.abs(wanted).max()
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=limit, err_msg=str(context))


def assert_same_loss_and_gradients(pair, batch):
    def jax_loss(params):
        args = model_jax.call_args(batch, train=True)
        logits = pair.jax_model.apply({"params": params}, **args, train=False, dropout_rate=0.0)
        loss = jax_losses.softmax_cross_entropy(batch["targets"], logits, batch["weights"])
        return loss["summed"] / loss["n_valid_examples"], logits

    (jax_value, jax_logits), jax_gradients = jax.jit(jax.value_and_grad(jax_loss, has_aux=True))(pair.params)

    torch_batch = to_torch(batch)
    # In training mode, whose attention on CPUs is another piece of code; dropout is off by its rate.
    torch_logits = pair.torch_model.train()(
        **model_torch.call_args(torch_batch, train=True), dropout_rate=0.0
    )
    loss = torch_losses.softmax_cross_entropy(torch_batch["targets"], torch_logits, torch_batch["weights"])
    torch_value = loss["summed"] / loss["n_valid_examples"]
    pair.torch_model.zero_grad()
    torch_value.backward()

    assert_close(torch_logits.detach().numpy(), jax_logits)
    assert_close(torch_value.item(), jax_value)
    wanted = weights.jax_to_torch(jax_gradients, pair.spec)
    found = {name: parameter.grad.numpy() for name, parameter in pair.torch_model.named_parameters()}
    assert found.keys() == wanted.keys()
    for name in wanted:
        assert_close(found[name], wanted[name], parameter=name)


# ---- one function ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("variant", VARIANTS)
def test_logits_of_plain_rows_agree_padding_included(variant):
    pair = mini_pair(variant)
    batch = plain_batch(pair.spec)
    assert_close(pair.torch_logits(batch), pair.jax_logits(batch))


@pytest.mark.parametrize("variant", VARIANTS)
def test_loss_and_gradients_of_packed_rows_agree(variant):
    # A second layer costs seconds to compile.
    pair = mini_pair("wmt") if variant == "wmt" else make_pair(with_model(f"{variant}_mini", num_layers=1))
    assert_same_loss_and_gradients(pair, packed_batch(pair.spec))


def test_loss_and_gradients_agree_at_full_width():
    pair = make_pair(with_model("wmt", num_layers=1))
    assert_same_loss_and_gradients(pair, packed_batch(pair.spec))


@pytest.mark.parametrize("change", [{"attention_temp": 4.0}, {"activation": "tanh"}, {"pre_ln": False}])
def test_a_variant_is_another_function_of_the_same_weights(change):
    base = mini_pair("wmt")
    batch = plain_batch(base.spec)
    changed = model_torch.make_model(with_model("wmt_mini", **change))
    changed.load_state_dict(base.torch_model.state_dict(), strict=False)
    logits = base._replace(torch_model=changed).torch_logits(batch)
    assert np.abs(logits - base.torch_logits(batch)).max() > 0.1


# ---- sizes and types -------------------------------------------------------------------------------------------

NUM_PARAMS = {  # Source: AlgoPerf 0.6, counted in both of its implementations.
    "wmt": 133_521_408,
    "wmt_post_ln": 133_517_312,
    "wmt_attention_temp": 133_521_408,
    "wmt_glu_tanh": 146_116_608,
}
NUM_TENSORS_BY_TYPE = {
    ParameterType.WEIGHT: 24,
    ParameterType.BIAS: 24,
    ParameterType.LAYER_NORM_SCALE: 32,
    ParameterType.LAYER_NORM_BIAS: 32,
    ParameterType.EMBEDDING: 1,
    ParameterType.ATTENTION_Q: 18,
    ParameterType.ATTENTION_K: 18,
    ParameterType.ATTENTION_V: 18,
    ParameterType.ATTENTION_OUT: 18,
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_full_size_models_have_as_many_parameters_as_algoperf(variant):
    spec = registry.get(variant)
    shapes = jax.tree.leaves(abstract_params(spec))
    with torch.device("meta"):
        torch_model = model_torch.make_model(spec)
    assert sum(leaf.size for leaf in shapes) == NUM_PARAMS[variant]
    assert sum(parameter.numel() for parameter in torch_model.parameters()) == NUM_PARAMS[variant]
    assert len(shapes) == len(list(torch_model.parameters()))


def test_parameter_types_follow_from_the_names():
    spec = registry.get("wmt")
    jax_types = param_utils.jax_param_types(param_utils.jax_param_shapes(abstract_params(spec)))
    with torch.device("meta"):
        torch_shapes = param_utils.pytorch_param_shapes(model_torch.make_model(spec))
    torch_types = param_utils.pytorch_param_types(torch_shapes)
    assert collections.Counter(jax.tree.leaves(jax_types)) == NUM_TENSORS_BY_TYPE
    assert collections.Counter(torch_types.values()) == NUM_TENSORS_BY_TYPE


def test_names_that_submissions_may_rely_on_are_those_of_algoperf():
    spec = registry.get("wmt")
    params = abstract_params(spec)
    assert params.keys() == {"shared_embedding", "encoder", "decoder"}
    assert params["encoder"].keys() == {*(f"encoderblock_{i}" for i in range(6)), "encoder_layernorm"}
    assert params["decoder"].keys() == {
        *(f"encoderdecoderblock_{i}" for i in range(6)),
        "encoderdecoder_layernorm",
    }
    assert params["encoder"]["encoderblock_0"]["self_attention"]["query"]["kernel"].shape == (1024, 16, 64)
    with torch.device("meta"):
        names = [name for name, _ in model_torch.make_model(spec).named_parameters()]
    pattern = r"shared_embedding\.weight|(encoder\.encoder|decoder\.decoder)\.(layers\.[0-5]\..*|norm\.(weight|bias))"
    assert [name for name in names if not re.fullmatch(pattern, name)] == []
    for framework, keys in spec.output_params.items():
        assert set(keys) <= set(params if framework == "jax" else names)


# ---- masks -----------------------------------------------------------------------------------------------------


@pytest.fixture(params=["jax", "torch"])
def logits_of(request):
    """Logits of a batch by the base model of one framework."""
    pair = mini_pair("wmt")
    return pair.jax_logits if request.param == "jax" else pair.torch_logits


def test_padding_does_not_influence_real_tokens(logits_of):
    short = plain_batch(mini_pair("wmt").spec)
    long = {key: np.pad(value, ((0, 1), (0, 5))) for key, value in short.items()}
    is_real = short["weights"] > 0
    assert_close(logits_of(long)[:-1, :-5][is_real], logits_of(short)[is_real], tolerance=1e-5)


def test_a_token_is_predicted_from_earlier_target_tokens_only(logits_of):
    batch = plain_batch(mini_pair("wmt").spec)
    changed = {**batch, "targets": batch["targets"].copy()}
    changed["targets"][:, 5] = 7
    before, after = logits_of(batch), logits_of(changed)
    assert_close(after[:2, :6], before[:2, :6], tolerance=1e-6)
    assert np.abs(after[:2, 6:] - before[:2, 6:]).max() > 0.1


def test_packed_pairs_do_not_see_each_other(logits_of):
    batch = packed_batch(mini_pair("wmt").spec)
    changed = {key: value.copy() for key, value in batch.items()}
    row, (_, source_end), (_, target_end) = PACKED[0]
    changed["inputs"][row, :source_end] = 5
    changed["targets"][row, : target_end - 1] = 6  # Its EOS stays: it is the next pair's first decoder input.
    before, after = logits_of(batch), logits_of(changed)
    _, _, (start, end) = PACKED[1]
    assert_close(after[row, start:end], before[row, start:end], tolerance=1e-6)
    assert np.abs(after[row, :target_end] - before[row, :target_end]).max() > 0.1


def test_the_first_pair_of_a_packed_row_gives_the_logits_that_it_gives_alone(logits_of):
    batch = packed_batch(mini_pair("wmt").spec)
    for row, (start, source_end), (_, target_end) in PACKED:
        if start == 0:
            inputs = np.where(np.arange(12) < source_end, batch["inputs"][[row]], 0)
            targets = np.where(np.arange(12) < target_end, batch["targets"][[row]], 0)
            alone = logits_of({"inputs": inputs, "targets": targets})[0, :target_end]
            assert_close(logits_of(batch)[row, :target_end], alone, tolerance=1e-5)


def test_the_decoder_input_after_a_boundary_is_the_end_of_the_pair_before(logits_of):
    """Kept from AlgoPerf: the shift to the right does not know about segments."""
    batch = packed_batch(mini_pair("wmt").spec)
    changed = {**batch, "targets": batch["targets"].copy()}
    row, _, (_, end) = PACKED[0]
    changed["targets"][row, end - 1] = 9
    assert np.abs(logits_of(changed)[row, end] - logits_of(batch)[row, end]).max() > 0.1


def test_rows_of_padding_give_finite_logits_and_gradients():
    pair = mini_pair("wmt")
    batch = {key: np.zeros((2, 12), np.int32) for key in ("inputs", "targets")}
    assert np.isfinite(pair.jax_logits(batch)).all()
    logits = pair.torch_model.train()(**to_torch(batch), dropout_rate=0.1)
    pair.torch_model.zero_grad()
    logits.sum().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in pair.torch_model.parameters())


# ---- position encoding -----------------------------------------------------------------------------------------


def test_position_encoding_has_the_published_values():
    table = position_table(256, 1024)
    wanted = {
        (1, 0): 0.841471,
        (1, 1): 0.831686,
        (1, 511): 0.000100,
        (1, 512): 0.540302,
        (7, 100): 0.914512,
        (255, 700): -0.684769,
    }
    for index, value in wanted.items():
        np.testing.assert_allclose(table[index], value, atol=3e-6)
    np.testing.assert_allclose(table.sum(dtype=np.float64), 80387.38, atol=0.05)


# ---- initialisation --------------------------------------------------------------------------------------------


def initial_weights(framework, spec):
    """Name in PyTorch -> initial value."""
    if framework == "torch":
        torch.manual_seed(0)
        return {name: value.numpy() for name, value in model_torch.make_model(spec).state_dict().items()}
    model = model_jax.make_model(spec)
    args = model_jax.call_args(model_jax.example_batch(spec), train=False)
    abstract = {key: jax.ShapeDtypeStruct(value.shape, value.dtype) for key, value in args.items()}
    variables = model.lazy_init(jax.random.PRNGKey(0), **abstract, train=False, dropout_rate=0.0)
    return weights.jax_to_torch(variables["params"], spec)


@pytest.mark.parametrize("framework", ["jax", "torch"])
def test_initial_weights_follow_their_laws(framework):
    # Full width, so that the bounds are the published ones; fewer words and layers.
    for name, value in initial_weights(framework, with_model("wmt", num_layers=1, vocab_size=1000)).items():
        if "embedding" in name:
            np.testing.assert_allclose([value.mean(), value.std()], [0, 1], atol=0.01, err_msg=name)
        elif "norm" in name:
            assert (value == (1 if "weight" in name else 0)).all(), name
        elif "bias" in name:
            np.testing.assert_allclose(value.std(), 1e-6, rtol=0.2, err_msg=name)
        else:
            # Xavier uniform per projection, fan-in and fan-out 1024: a = sqrt(6 / 2048).
            np.testing.assert_allclose(np.abs(value).max(), 0.05413, rtol=1e-3, err_msg=name)
            np.testing.assert_allclose(value.std(), 0.05413 / 3**0.5, rtol=0.01, err_msg=name)
            np.testing.assert_allclose(value.mean(), 0, atol=1e-3, err_msg=name)


# ---- dropout ---------------------------------------------------------------------------------------------------


def test_dropout_is_at_the_same_places_in_both_frameworks(monkeypatch):
    pair = mini_pair("wmt")
    batch = packed_batch(pair.spec)
    jax_shapes, torch_shapes = [], []

    def record_jax(call, args, kwargs, context):
        if isinstance(context.module, Dropout):
            assert kwargs["train"]
            jax_shapes.append(args[0].shape)
        return call(*args, **kwargs)

    def record_torch(x, rate, training):
        assert training
        assert rate == 0.1
        torch_shapes.append(tuple(x.shape))
        return x

    with nn.intercept_methods(record_jax):
        jax.eval_shape(functools.partial(train_logits, pair), batch, jax.random.PRNGKey(0), 0.1)
    monkeypatch.setattr(model_torch, "dropout", record_torch)
    pair.torch_model.train()(**model_torch.call_args(to_torch(batch), train=True), dropout_rate=0.1)
    assert torch_shapes == jax_shapes
    # Two embeddings; per layer 4 places in the encoder and 6 in the decoder, attention probabilities among them.
    assert len(jax_shapes) == 2 + 2 * (4 + 6)
    assert sum(len(shape) == 4 for shape in jax_shapes) == 2 * (1 + 2)


def train_logits(pair, batch, rng, dropout_rate):
    args = model_jax.call_args(batch, train=True)
    variables = {"params": pair.params}
    return pair.jax_model.apply(
        variables, **args, train=True, dropout_rate=dropout_rate, rngs={"dropout": rng}
    )


def test_one_compiled_step_serves_every_dropout_rate():
    pair = mini_pair("wmt")
    batch = packed_batch(pair.spec)
    step = jax.jit(functools.partial(train_logits, pair))
    rng = dropout_key(jax.random.PRNGKey(3))
    plain = pair.jax_logits(batch)
    assert_close(step(batch, rng, 0.0), plain, tolerance=1e-6)
    some = step(batch, rng, 0.3)
    assert np.abs(some - plain).max() > 0.1
    np.testing.assert_array_equal(step(batch, rng, 0.3), some)
    # With everything dropped, only the last normalisation is left: the same logits everywhere.
    nothing = np.asarray(step(batch, rng, 1.0))
    assert_close(nothing, np.broadcast_to(nothing[0, 0], nothing.shape), tolerance=1e-6)
    assert step._cache_size() == 1


def test_dropout_follows_the_mode_and_the_rate_in_pytorch():
    pair = mini_pair("wmt")
    batch = packed_batch(pair.spec)
    args = model_torch.call_args(to_torch(batch), train=True)
    plain = pair.torch_logits(batch)
    with torch.inference_mode():
        assert_close(pair.torch_model.eval()(**args, dropout_rate=0.3).numpy(), plain, tolerance=1e-6)
        assert_close(pair.torch_model.train()(**args, dropout_rate=0.0).numpy(), plain, tolerance=1e-5)
        assert np.abs(pair.torch_model(**args, dropout_rate=0.3).numpy() - plain).max() > 0.1
        nothing = pair.torch_model(**args, dropout_rate=1.0).numpy()
    assert_close(nothing, np.broadcast_to(nothing[0, 0], nothing.shape), tolerance=1e-6)


def test_the_pytorch_model_compiles_without_a_break_in_the_graph():
    pair = mini_pair("wmt")
    batch = packed_batch(pair.spec)
    compiled = torch.compile(pair.torch_model.eval(), backend="eager", fullgraph=True)
    args = model_torch.call_args(to_torch(batch), train=True)
    with torch.no_grad():
        assert_close(compiled(**args, dropout_rate=0.1).numpy(), pair.torch_logits(batch), tolerance=1e-6)
        torch.compile(pair.torch_model.train(), backend="eager", fullgraph=True)(**args, dropout_rate=0.1)
