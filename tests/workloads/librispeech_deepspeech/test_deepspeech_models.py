"""The DeepSpeech models: one function of the same weights, with the sizes and types that AlgoPerf states."""

import copy
import dataclasses
import functools
from collections import Counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from algoperf import param_utils, registry
from algoperf.losses import jax_losses, torch_losses
from workloads.librispeech_deepspeech import model_jax, model_torch, weights

FAMILY = "librispeech_deepspeech"
VARIANTS = [FAMILY, f"{FAMILY}_tanh", f"{FAMILY}_no_resnet", f"{FAMILY}_norm_and_spec_aug"]
NUM_SAMPLES = 9_600


@functools.cache
def settings(name, num_samples=NUM_SAMPLES, **model):
    """The spec with less audio and without what is random."""
    spec = registry.get(name)
    data = {**spec.data, "max_audio_samples": num_samples}
    return dataclasses.replace(spec, model={**spec.model, "use_specaug": False, **model}, data=data)


def once_per_spec(function):
    """`functools.cache` for a function of one spec, which has no hash; `settings` keeps each spec alive."""
    results = {}

    @functools.wraps(function)
    def cached(spec):
        if id(spec) not in results:
            results[id(spec)] = function(spec)
        return results[id(spec)]

    return cached


def few_layers(name):
    """At full width; one layer of each kind, because those that repeat only take time to compile.

    With ReLU in float64: one among a million that float32's rounding puts on its other side moves gradients by a
    thousandth. That is slow, so the convolutions have fewer channels there.
    """
    is_relu = not registry.get(name).model.use_tanh
    fewer = {"subsampling_channels": 48} if is_relu else {}
    spec = settings(name, num_lstm_layers=1, num_ffn_layers=1, **fewer)
    return spec, np.float64 if is_relu else np.float32


def abstract_variables(spec):
    shapes = [
        jax.ShapeDtypeStruct(array.shape, array.dtype) for array in model_jax.example_batch(spec)["inputs"]
    ]
    init = functools.partial(model_jax.make_model(spec).lazy_init, train=False, dropout_rate=0.0)
    return dict(jax.eval_shape(init, jax.random.PRNGKey(0), *shapes))


def random_leaf(path, shape, rng):
    """Of the size that training gives, so that no bias and no scale is neutral."""
    values = rng.standard_normal(shape, dtype=np.float32)
    name = path[-1].key
    if name == "kernel":
        return values * np.float32(np.prod(shape[:-1]) ** -0.5)
    return 1 + 0.1 * np.tanh(values) if name == "var" else 0.1 * values


@once_per_spec
def pair(spec):
    """Flax module, its variables, and the PyTorch module with the same ones."""
    rng = np.random.default_rng(0)
    variables = jax.tree_util.tree_map_with_path(
        lambda path, leaf: random_leaf(path, leaf.shape, rng), abstract_variables(spec)
    )
    variables.setdefault("batch_stats", {})
    module = model_torch.make_model(spec)
    module.load_state_dict(torch_state(variables, spec))
    return model_jax.make_model(spec), variables, module


def torch_state(variables, spec):
    state = weights.jax_to_torch(variables["params"], spec)
    state |= weights.batch_stats_to_torch(variables["batch_stats"], spec)
    return {key: torch.tensor(value) for key, value in state.items()}


def batch(spec):
    """Utterances of different length; the audio goes on where the paddings say that it does not."""
    rng = np.random.default_rng(1)
    rows, num_samples, num_tokens = 2, spec.data.max_audio_samples, 4
    audio = (2000 * rng.standard_normal((rows, num_samples))).astype(np.float32)
    lengths = num_samples - np.arange(rows) * num_samples // (2 * rows)
    tokens = rng.integers(3, spec.model.vocab_size, (rows, num_tokens)).astype(np.float32)
    token_lengths = num_tokens - np.arange(rows) % 2
    return {
        "inputs": (audio, is_padding(lengths, num_samples)),
        "targets": (tokens, is_padding(token_lengths, num_tokens)),
    }


def is_padding(lengths, size):
    return (np.arange(size) >= np.asarray(lengths)[:, None]).astype(np.float32)


def cast(tree, dtype):
    return jax.tree.map(lambda array: np.asarray(array, dtype), tree)


@once_per_spec
def jax_step_of(spec):
    model = model_jax.make_model(spec)

    @jax.jit
    def step(variables, batch, dropout_rate, key):
        @functools.partial(jax.value_and_grad, has_aux=True)
        def loss(params):
            output, state = model.apply(
                {**variables, "params": params},
                **model_jax.call_args(batch, train=True),
                train=True,
                dropout_rate=dropout_rate,
                mutable=["batch_stats"],
                rngs={"dropout": key},
            )
            found = jax_losses.ctc_loss(batch["targets"], output)
            return found["summed"], (output, state.get("batch_stats", {}))

        (value, (output, batch_stats)), grads = loss(variables["params"])
        return value, output, batch_stats, grads

    return step


def jax_step(spec, batch, dropout_rate=0.0, seed=0, dtype=np.float32):
    """(loss, (logits, paddings), new running statistics, gradients) in training mode, as NumPy."""
    _, variables, _ = pair(spec)
    with jax.enable_x64(dtype is np.float64):
        variables, batch = cast(variables, dtype), cast(batch, dtype)
        key = jax.random.PRNGKey(seed)
        return jax.tree.map(np.asarray, jax_step_of(spec)(variables, batch, dtype(dropout_rate), key))


def torch_step(spec, batch, dropout_rate=0.0, dtype=np.float32):
    """(loss, (logits, paddings), new module with gradients)."""
    module = copy.deepcopy(pair(spec)[2]).train()
    if dtype is np.float64:
        module.double()
    batch = jax.tree.map(torch.tensor, cast(batch, dtype))
    output = module(**model_torch.call_args(batch, train=True), dropout_rate=dropout_rate)
    loss = torch_losses.ctc_loss(batch["targets"], output)["summed"]
    loss.backward()
    return loss.item(), tuple(array.detach().numpy() for array in output), module


def assert_close(found, wanted, tolerance, what=""):
    scale = max(np.abs(wanted).max(), 1e-6)
    np.testing.assert_allclose(found, wanted, atol=tolerance * scale, rtol=0, err_msg=what)


@pytest.mark.parametrize("name", VARIANTS)
def test_frameworks_agree_on_logits_loss_gradients_and_statistics(name):
    spec, dtype = few_layers(name)
    tolerance = 1e-4 if dtype is np.float32 else 1e-8
    wanted_loss, (wanted, paddings), batch_stats, grads = jax_step(spec, batch(spec), dtype=dtype)
    loss, (logits, own_paddings), module = torch_step(spec, batch(spec), dtype=dtype)
    assert wanted.shape == (2, 15, 1024)
    np.testing.assert_array_equal(own_paddings, paddings)
    assert 0 < paddings[1].sum() < paddings.shape[1]
    assert_close(logits, wanted, tolerance)
    assert_close(loss, wanted_loss, tolerance)
    carried = weights.jax_to_torch(grads, spec)
    assert carried.keys() == dict(module.named_parameters()).keys()
    for key, grad in carried.items():
        assert_close(module.get_parameter(key).grad.numpy(), grad, tolerance, key)
    statistics = weights.batch_stats_to_torch(batch_stats, spec)
    assert bool(statistics) != spec.model.layernorm_everywhere
    for key, value in statistics.items():
        assert_close(module.get_buffer(key).numpy(), value, tolerance, key)
        assert (value != np.asarray(pair(spec)[2].get_buffer(key))).any(), "updated"


def mini(**model):
    return settings(f"{FAMILY}_mini", **model)


def test_evaluation_gives_the_same_loss_and_ids_and_survives_rows_of_padding():
    spec = mini()
    model, variables, module = pair(spec)
    arrays = with_empty_row(batch(spec))
    wanted = jax.jit(lambda *args: model_jax.eval_outputs(model, *args, spec))(variables, arrays)
    with torch.inference_mode():
        found = model_torch.eval_outputs(module.eval(), jax.tree.map(torch.tensor, arrays), spec)
    assert found.keys() == wanted.keys() == {"loss", "ids"}
    np.testing.assert_allclose(found["loss"], wanted["loss"], rtol=1e-4)
    assert np.isfinite(found["loss"]).all()
    assert found["ids"].dtype == torch.int32
    assert wanted["ids"].dtype == np.int32
    np.testing.assert_array_equal(found["ids"], wanted["ids"])
    num_padded = (found["ids"] == -1).sum(dim=1).tolist()
    assert num_padded[0] == 0 < num_padded[1] < num_padded[2] == found["ids"].shape[1]


def test_padding_has_no_influence_on_loss_gradients_and_statistics():
    spec = mini()
    without, arrays = batch(spec), with_empty_row(batch(spec))
    (audio, paddings), (tokens, token_paddings) = arrays["inputs"], arrays["targets"]
    other = {
        "inputs": (np.where(paddings > 0, np.float32(77), audio), paddings),
        "targets": (np.where(token_paddings > 0, np.float32(9), tokens), token_paddings),
    }
    loss, (logits, _), batch_stats, grads = jax_step(spec, arrays)
    loss_2, (logits_2, _), batch_stats_2, grads_2 = jax_step(spec, other)
    assert_close(loss_2, loss, 1e-5)
    assert_close(logits_2[:2], logits[:2], 1e-5)
    for one, two in zip(*map(jax.tree.leaves, ((grads, batch_stats), (grads_2, batch_stats_2))), strict=True):
        assert np.isfinite(one).all()
        assert_close(two, one, 1e-4)

    for case in (without, other):
        loss_3, (logits_3, _), module = torch_step(spec, case)
        assert_close(loss_3, loss, 1e-5)
        assert_close(logits_3[:2], logits[:2], 1e-5)
        for key, grad in weights.jax_to_torch(grads, spec).items():
            found = module.get_parameter(key).grad.numpy()
            assert np.linalg.norm(found - grad) <= 1e-2 * np.linalg.norm(grad), key
        for key, value in weights.batch_stats_to_torch(batch_stats, spec).items():
            assert_close(module.get_buffer(key).numpy(), value, 1e-5, key)


def with_empty_row(arrays):
    """One more row that is nothing but padding."""

    def extended(array, value):
        return np.concatenate([array, np.full_like(array[:1], value)])

    return {key: (extended(values, 5), extended(paddings, 1)) for key, (values, paddings) in arrays.items()}


def test_more_padding_after_the_end_does_not_change_the_logits_of_real_frames():
    short, long = mini(), settings(f"{FAMILY}_mini", num_samples=NUM_SAMPLES + 3_210)
    audio, _ = batch(short)["inputs"]
    results = []
    for spec in (short, long):
        num_samples = spec.data.max_audio_samples
        padded = np.pad(audio, ((0, 0), (0, num_samples - NUM_SAMPLES)))
        inputs = jax.tree.map(torch.tensor, (padded, is_padding((6_000, 8_000), num_samples)))
        with torch.inference_mode():
            logits, paddings = copy.deepcopy(pair(short)[2]).train()(*inputs, dropout_rate=0.0)
        results.append([row[padding == 0].numpy() for row, padding in zip(logits, paddings)])
    for one, two in zip(*results, strict=True):
        assert one.shape[0] > 8
        assert_close(two, one, 1e-5)


def test_dropout_follows_the_rate_of_the_call_in_feed_forward_layers_too():
    spec = mini()
    arrays = with_empty_row(batch(spec))
    losses = {seed: jax_step(spec, arrays, 0.3, seed)[0] for seed in (0, 1)}
    assert losses[0] != losses[1]
    assert jax_step(spec, arrays, 0.0, 0)[0] == jax_step(spec, arrays, 0.0, 1)[0]
    assert torch_step(spec, arrays, 0.3)[0] != torch_step(spec, arrays, 0.3)[0]
    assert torch_step(spec, arrays, 0.0)[0] == torch_step(spec, arrays, 0.0)[0]

    model, variables, module = pair(spec)
    x, paddings = np.ones((2, 3, spec.model.encoder_dim), np.float32), np.zeros((2, 3), np.float32)
    one = {key: value["FeedForwardModule_0"] for key, value in variables.items()}
    for rate, is_dropped in ((1.0, True), (0.0, False)):
        in_jax, _ = model_jax.FeedForwardModule(model.config).apply(
            one, x + jnp.arange(3)[:, None], paddings, True, rate,
            mutable=["batch_stats"], rngs={"dropout": jax.random.PRNGKey(0)},
        )  # fmt: skip
        in_torch = module.ffns[0].train()(torch.tensor(x), torch.tensor(paddings), rate)
        assert (not np.asarray(in_jax).any()) == (not in_torch.any()) == is_dropped


def test_training_masks_features_at_any_dropout_rate_and_evaluation_does_not():
    spec = mini(use_specaug=True)
    model, variables, module = pair(spec)
    audio, paddings = batch(spec)["inputs"]

    @jax.jit
    def training_logits(key):
        args = {"train": True, "dropout_rate": 0.0, "mutable": ["batch_stats"], "rngs": {"dropout": key}}
        return model.apply(variables, audio, paddings, **args)[0][0]

    def torch_logits():
        with torch.inference_mode():
            return module(torch.tensor(audio), torch.tensor(paddings), dropout_rate=0.0)[0].numpy()

    in_jax = [np.asarray(training_logits(jax.random.PRNGKey(seed))) for seed in range(2)]
    assert not np.allclose(*in_jax)
    module.train()
    assert not np.allclose(torch_logits(), torch_logits())
    module.eval()
    np.testing.assert_array_equal(torch_logits(), torch_logits())


def test_the_whole_model_compiles_in_training_and_evaluation():
    spec = mini()
    module = copy.deepcopy(pair(spec)[2])
    compiled = torch.compile(module, fullgraph=True, backend="eager")
    inputs = jax.tree.map(torch.tensor, batch(spec)["inputs"])
    for train in (True, False):
        module.train(train)
        for wanted, found in zip(module(*inputs, dropout_rate=0.0), compiled(*inputs, dropout_rate=0.0)):
            np.testing.assert_allclose(found.detach(), wanted.detach(), atol=1e-5)
    module.train()
    logits, _ = compiled(*inputs, dropout_rate=0.1)
    logits.sum().backward()
    assert all(parameter.grad is not None for parameter in module.parameters())


@pytest.mark.parametrize("name", VARIANTS)
def test_parameters_have_the_stated_number_and_types(name):
    spec = registry.get(name)
    has_batch_norm = not spec.model.layernorm_everywhere
    variables = abstract_variables(spec)
    params = variables["params"]
    with torch.device("meta"):
        module = model_torch.make_model(spec)
    num_params = 18_381_312 if has_batch_norm else 18_380_288
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == num_params
    assert sum(parameter.numel() for parameter in module.parameters()) == num_params
    norm = {"BATCH_NORM_SCALE": 9, "BATCH_NORM_BIAS": 9, "LAYER_NORM_SCALE": 1, "LAYER_NORM_BIAS": 1}
    if not has_batch_norm:
        norm = {"LAYER_NORM_SCALE": 9, "LAYER_NORM_BIAS": 9}
    in_jax = param_utils.jax_param_types(param_utils.jax_param_shapes(params))
    found = Counter(kind.name for kind in jax.tree.leaves(in_jax))
    assert found == Counter(norm | {"WEIGHT": 101, "BIAS": 55, "CONV_WEIGHT": 2})
    shapes = param_utils.pytorch_param_shapes(module)
    found = Counter(kind.name for kind in param_utils.pytorch_param_types(shapes).values())
    assert found == Counter(norm | {"WEIGHT": 29, "BIAS": 19, "CONV_WEIGHT": 2})
    assert len(jax.tree.leaves(variables.get("batch_stats", {}))) == (18 if has_batch_norm else 0)
    assert {key for key in spec.output_params["pytorch"]} <= shapes.keys()
    assert {key for key in spec.output_params["jax"]} <= params.keys()
